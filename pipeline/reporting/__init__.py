"""The report of a run: one HTML file without network, from plain dicts.

``render`` turns what a run left behind (:class:`RunRecord`) into a page; ``read_lines`` reads the JSON-lines files of its
metrics, also while they are being written or after the writer was killed, and ``read_object`` a file of one object:

>>> record = RunRecord(
...     title="demo",
...     status={"status": "done", "step": 704},
...     divergence={"verdict": "healthy", "events": []},
...     train=[{"step": 32, "loss": 0.71}, {"step": 64, "loss": 0.66}],
... )
>>> render(record).startswith("<!doctype html>")
True

The room's files, from the ground up: ``record`` (what goes in), ``series`` (metric lines to thinned curves), ``svg`` and
``figures`` (curves to SVG), ``scores`` (held-out figures by task), ``incidents`` (events to what happened at one time),
``words`` (numbers and sentences), ``story`` (what happened, in sentences), ``around`` (the publications around an incident),
``waiting`` (how long training waited for input), ``tables``, ``parts`` (what the page's sections share), ``style`` and
``page`` (the whole). What the log was like: ``days`` (day by day), ``day_figure`` and ``data_section``. No other room of the package is imported.
"""

from .page import render
from .record import RunRecord, read_lines, read_object

__all__ = ["RunRecord", "read_lines", "read_object", "render"]
