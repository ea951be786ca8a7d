"""The source that a configuration names."""

from __future__ import annotations

from ...models.schema import Schema
from ..config.settings import Data
from .movielens import MovielensLog
from .simulated import SimulatedLog
from .source import Source
from .tables import TableLog


def open_source(data: Data, schema: Schema | None = None) -> Source:
    """The log of ``data.source``, with its own settings.

    Args:
      data: The settings.
      schema: Of files: taken instead of the schema's file.

    Raises:
      UserError: When the log is not there or cannot be read.
    """
    if data.source == "movielens":
        return MovielensLog(data.movielens)
    if data.source == "files":
        return TableLog(data.files, schema)
    return SimulatedLog(data.simulated)
