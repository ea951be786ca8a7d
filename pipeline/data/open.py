"""The source that a configuration names."""

from __future__ import annotations

from collections.abc import Collection

from ...models.schema import Schema
from ..config.settings import Data
from .files.log import FileLog
from .movielens.log import MovielensLog
from .simulated.log import SimulatedLog
from .source import Source


def open_source(data: Data, schema: Schema | None = None, left_out: Collection[str] = ()) -> Source:
    """The log of ``data.source``, with its own settings.

    Args:
      data: The settings.
      schema: Of files: taken instead of the schema's file.
      left_out: Of files: names of days that the log is to be without.

    Raises:
      UserError: When the log is not there or cannot be read.
    """
    if data.source == "movielens":
        return MovielensLog(data.movielens)
    if data.source == "files":
        return FileLog(data.files, schema, left_out)
    return SimulatedLog(data.simulated)
