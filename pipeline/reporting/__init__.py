"""The report of a run: one HTML file that loads nothing, made from plain dicts.

:func:`render` turns the record of a run (:class:`RunRecord`) into a page. :func:`read_lines` reads the JSON-lines files of a
run's metrics, even while the run writes them or after it was killed; :func:`read_object` reads a file of one JSON object.

>>> record = RunRecord(
...     title="demo",
...     status={"status": "done", "step": 704},
...     divergence={"verdict": "healthy", "events": []},
...     train=[{"step": 32, "loss": 0.71}, {"step": 64, "loss": 0.66}],
... )
>>> render(record).startswith("<!doctype html>")
True

Start with ``page.py``, which lists the sections in their order. From the ground up:

| part | what it does |
|---|---|
| :mod:`.record` | the record and the readers of its files |
| :mod:`.analysis` | what the record says, in numbers |
| :mod:`.figures` | numbers to SVG |
| :mod:`.report_text`, :mod:`.page_layout`, :mod:`.stylesheet` | numbers to text, HTML building blocks, CSS |
| :mod:`.sections` | one section of the page per module |
| :mod:`.page` | the page |

Apart from :mod:`steadyrank.foundation`, no other package of steadyrank is imported.
"""

from .page import render
from .record import RunRecord, read_lines, read_object

__all__ = ["RunRecord", "read_lines", "read_object", "render"]
