"""The report of a run: one HTML file without external resources.

:func:`render` turns the record of a run (:class:`RunRecord`) into a page. :func:`read_lines` reads the JSON-lines files
of a run's metrics, even of a running or killed run. :func:`read_object` reads a file with one JSON object.

>>> record = RunRecord(
...     title="demo",
...     status={"status": "done", "step": 704},
...     divergence={"verdict": "healthy", "events": []},
...     train=[{"step": 32, "loss": 0.71}, {"step": 64, "loss": 0.66}],
... )
>>> render(record).startswith("<!doctype html>")
True

Start with ``page.py``, which lists the sections in order. The modules, from the lowest layer up:

| module | what it does |
|---|---|
| :mod:`.record` | holds the record and reads its files |
| :mod:`.analysis` | computes numbers from the record |
| :mod:`.figures` | draws numbers as SVG |
| :mod:`.report_text`, :mod:`.page_layout`, :mod:`.stylesheet` | format numbers, HTML and CSS |
| :mod:`.sections` | makes the sections, one per module |
| :mod:`.page` | assembles the page |

The package imports no other package of steadyrank than :mod:`steadyrank.foundation`.
"""

from .page import render
from .record import RunRecord, read_lines, read_object

__all__ = ["RunRecord", "read_lines", "read_object", "render"]
