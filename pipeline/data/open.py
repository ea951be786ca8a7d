"""The source that a configuration names."""

from __future__ import annotations

from ..config.settings import Data
from .movielens import MovielensLog
from .simulated import SimulatedLog
from .source import Source
from .tables import TableLog


def open_source(data: Data) -> Source:
    """The log of ``data.source``, with its own settings.

    Raises:
      UserError: When the log is not there or cannot be read.
    """
    if data.source == "movielens":
        return MovielensLog(data.movielens)
    if data.source == "files":
        return TableLog(data.files)
    return SimulatedLog(data.simulated)
