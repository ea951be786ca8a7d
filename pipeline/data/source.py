"""The contract of every data source.

A log is a sequence of days, a day is a sequence of blocks, and a block is a set of columns of equal length. Any process
can read any block at any time, and always reads the same rows. Resuming a run, sharing a day among workers and
evaluating a day before training on it therefore need no state and no replay.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...models.schema import Schema
from .columns import Columns, EncodedColumns

if TYPE_CHECKING:
    from .checks.checked_day import CheckedDay


@dataclasses.dataclass(frozen=True)
class RowFaults:
    """The faulty and the clamped rows of one block.

    The fields have plain types, so that a worker can send them to the trainer.

    Attributes:
      day: Position of the day.
      index: Position of the block in the day.
      skipped_rows: Number of faulty rows, which are excluded from training.
      rows: One record for each faulty or clamped row, with the keys ``file``, ``row`` and ``reasons``. A row whose
        number was set to its bound also has ``clamped``. The first records also have the row's ``values``.
    """

    day: int
    index: int
    skipped_rows: int
    rows: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class RowFaultCounts:
    """Totals of the faulty rows that were read so far. Each row counts once, however often it is read.

    Attributes:
      skipped_rows: Number of rows that were skipped.
      skipped: Number of skipped rows for each reason. A row can have several reasons.
      clamped: Number of other rows in which a number was set to its bound, for each reason.
    """

    skipped_rows: int = 0
    skipped: Mapping[str, int] = dataclasses.field(default_factory=dict)
    clamped: Mapping[str, int] = dataclasses.field(default_factory=dict)


class Source(abc.ABC):
    """A log of impressions, day by day.

    Subclass it to train on a log that no built-in source reads. Four members are required: the attribute
    :attr:`schema`, the property :attr:`days`, and the methods :meth:`block_rows` and :meth:`block`. All other members
    have defaults that suit a log in which every row is valid. Methods take a day by its position in ``days``.

    Attributes:
      schema: The columns of each block, with the dtypes and row shapes of ``schema.columns``. Strings are arrays of
        bytes.
      encodes_strings: Whether :meth:`read_block` returns string columns as :class:`~.columns.DictionaryColumn`. False
        by default.
      validates_rows: Whether rows can be faulty, so that :attr:`row_faults` counts something. False by default.

    Example:
    >>> import numpy as np
    >>> from steadyrank.models import Feature, Task
    >>> class Toy(Source):
    ...     schema = Schema((Feature("price", "numerical"),), (Task("click", "binary"),))
    ...     days = ("monday", "tuesday")
    ...
    ...     def block_rows(self, day):
    ...         return [3]
    ...
    ...     def block(self, day, index):
    ...         return {"price": np.arange(3, dtype=np.float32) + day, "click": np.zeros(3, np.float32)}
    >>> Toy().block(day=1, index=0)["price"]
    array([1., 2., 3.], dtype=float32)
    """

    schema: Schema
    encodes_strings: bool = False
    validates_rows: bool = False

    # Every source.

    @property
    @abc.abstractmethod
    def days(self) -> Sequence[str]:
        """The names of the days, in order."""

    @abc.abstractmethod
    def block_rows(self, day: int) -> Sequence[int]:
        """Returns the number of rows of each block of a day, in order."""

    @abc.abstractmethod
    def block(self, day: int, index: int) -> Columns:
        """Returns the columns of one block: a pure function of the source's settings, ``day`` and ``index``."""

    # Optional members: the ceiling, the statistics cache and the order of reads.

    def expected(self, day: int, index: int) -> Columns | None:
        """Returns the prediction of a perfect ranker for each task, row by row, or None if it is unknown.

        Only a simulated log knows these predictions. They give the best metrics that a ranker can reach; see
        :func:`.ceiling.compute_ceiling`.
        """
        return None

    def fingerprint(self, days: Sequence[int]) -> Any:
        """Returns a JSON value that changes when the rows of ``days`` change, or None if such a value is unknown.

        The fingerprint is part of the key under which statistics are cached; without one, they are computed for every
        run.
        """
        return None

    def storage_chunks(self, day: int) -> Sequence[Hashable]:
        """Returns, for each block of a day, the part of a file that it is stored in.

        Blocks of the same chunk are read one after the other, so that the chunk is read and decoded once.
        """
        return range(len(self.block_rows(day)))

    # A source whose rows can be faulty.

    def read_block(self, day: int, index: int) -> tuple[EncodedColumns, RowFaults | None]:
        """Returns the columns of one block and its faulty rows, without remembering the faults.

        A reader in another process sends the faults to the trainer, which calls :meth:`record_faults`.
        """
        return dict(self.block(day, index)), None

    def record_faults(self, faults: RowFaults) -> None:
        """Adds the faults of one block to :attr:`row_faults`, once for each block.

        Raises:
          UserError: If the day has more faulty rows than the settings allow.
        """
        return

    @property
    def row_faults(self) -> RowFaultCounts:
        """Totals of the faulty rows that were read so far."""
        return RowFaultCounts()

    def open_quarantine(self, path: Path) -> None:
        """Writes every faulty row to this file from now on; rows that the file already holds count as read."""
        return

    # A source whose days can be anomalous.

    def check_days(
        self, previous: Sequence[CheckedDay] = (), report_progress: Callable[[int, int], None] | None = None
    ) -> list[CheckedDay]:
        """Checks each day against the days before it and against the results of an earlier process of the run.

        Args:
          previous: The days that the earlier process checked.
          report_progress: Called repeatedly with the number of checked days and the number of all days.

        Returns:
          The checked days, in order; empty for a source that has nothing to check.

        Raises:
          UserError: If a day changed since the earlier process, or if the settings refuse an anomalous day.
        """
        return []

    def exclude_days(self, names: Collection[str]) -> None:
        """Removes days from the log. Call it before any block is read.

        Raises:
          UserError: If no day is left.
        """
        if names:
            raise NotImplementedError(f"{type(self).__name__} cannot exclude days, got {sorted(names)}")
