"""The one interface of all data sources.

A log is a sequence of days; a day is a sequence of blocks; a block is a set of columns of equal length. Any block can be
asked for at any time, in any process, and is always the same: resuming, sharding over workers and evaluating a day
before training on it then need no state and no replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ...models.schema import Schema

Columns = dict[str, np.ndarray]


class Source(Protocol):
    """A log of impressions, day by day.

    Attributes:
      schema: Names the columns of each block: dtypes and row shapes are those of ``schema.columns``; strings are arrays
        of bytes.

    The methods take a day by its position in ``days``.
    """

    schema: Schema

    @property
    def days(self) -> Sequence[str]:
        """The days' names, in order."""
        ...

    def block_rows(self, day: int) -> Sequence[int]:
        """Rows of each block of the day, in order."""
        ...

    def block(self, day: int, index: int) -> Columns:
        """The columns of one block: a pure function of the source's settings, ``day`` and ``index``."""
        ...

    def expected(self, day: int, index: int) -> Columns | None:
        """For each task the value that a perfect ranker would predict, row by row; None when nobody knows it.

        Known for a simulated log only: it gives the ceiling that a ranker can reach.
        """
        ...
