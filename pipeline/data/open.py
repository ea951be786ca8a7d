"""Opens the source that a configuration names."""

from __future__ import annotations

from collections.abc import Collection

from ...models.schema import Schema
from ..config.settings import Data
from .files.log import FileLog
from .movielens.log import MovielensLog
from .simulated.log import SimulatedLog
from .source import Source


def open_source(data: Data, schema: Schema | None = None, excluded_days: Collection[str] = ()) -> Source:
    """Opens the log that ``data.source`` names.

    Args:
      data: The settings. Only the section of the named source is read.
      schema: The schema of a log of files, instead of the file that ``data.files.schema`` names. Other sources have
        their own.
      excluded_days: Names of days to remove from a log of files.

    Returns:
      The log.

    Raises:
      UserError: If the log does not exist or cannot be read.

    Example:
    >>> from steadyrank.pipeline.config.settings import Simulated
    >>> source = open_source(Data(source="simulated", simulated=Simulated(days=3, rows_per_day=1000)))
    >>> source.days, source.block_rows(day=0)
    (('day_000', 'day_001', 'day_002'), (1000,))
    """
    if data.source == "movielens":
        return MovielensLog(data.movielens)
    if data.source == "files":
        return FileLog(data.files, schema, excluded_days)
    return SimulatedLog(data.simulated)
