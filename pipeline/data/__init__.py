"""Logs of impressions, as batches of columns.

A :class:`Source` is a sequence of days of blocks of columns, any of which can be asked for at any time; ``open_source``
makes the one that a configuration names, and :mod:`.batches` cuts its blocks into the batches of a training step.
"""

from .columns import Columns
from .open import open_source
from .source import Source

__all__ = ["Columns", "Source", "open_source"]
