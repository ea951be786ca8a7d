"""Divides a log's groups of rows into days of blocks, either by the folders of days or into periods of equal length."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ...config.errors import UserError
from ...config.settings import Files
from .layout import LogLayout


@dataclasses.dataclass(frozen=True)
class Block:
    """Consecutive rows of one group of a file: the whole group, or the part of it that belongs to a period.

    Attributes:
      file: The file.
      group: Position of the group in the file.
      first: Position of the block's first row in the group.
      rows: Number of rows.
      group_start: Position of the group's first row in the file.
    """

    file: str
    group: int
    first: int
    rows: int
    group_start: int

    @property
    def rows_of_group(self) -> slice:
        """The block's rows in the group."""
        return slice(self.first, self.first + self.rows)

    def row_of_file(self, row: int) -> int:
        """Returns the position in the file of a row of the block."""
        return self.group_start + self.first + row


Day = tuple[str, list[Block]]


def divide_into_days(
    layout: LogLayout, group_rows: Mapping[str, Sequence[int]], settings: Files
) -> tuple[list[Day], list[str]]:
    """Divides the rows of a log into days.

    Args:
      layout: The log.
      group_rows: The number of rows of each group of each file.
      settings: ``periods`` is the number of periods for a log without folders of days. ``on_anomalous_day`` decides
        whether a day may have no rows.

    Returns:
      The name and the blocks of each day, and the names of the days without rows.

    Raises:
      UserError: If the log has folders of days and ``periods`` is not its default. If a day has no rows and ``on_anomalous_day`` is not ``skip``, or if the log has too few rows.
    """
    if layout.days and layout.days[0][0] and settings.periods != Files().periods:
        raise UserError(
            f"{settings.path}: data.files.periods = {settings.periods} has no effect, because the log has days "
            f"({layout.days[0][0]} …); omit it, or set data.files.day_keys=none to cut the rows of all folders into periods"
        )
    days: list[Day] = []
    empty_days: list[str] = []
    for name, files in layout.days:
        blocks = [block for file in files for block in _list_blocks(file, group_rows[file])]
        if blocks:
            days.append((name, blocks))
        elif name and settings.on_anomalous_day == "skip":
            empty_days.append(name)
        else:
            raise UserError(f"{settings.path}: {_describe_empty_day(name)}")
    if not days:
        raise UserError(f"{settings.path}: no day has any rows; add files with rows")
    has_folders = bool(days[0][0])
    return days if has_folders else divide_into_periods(days[0][1], settings), empty_days


def divide_into_periods(blocks: Sequence[Block], settings: Files) -> list[Day]:
    """Cuts rows, in their order, into ``settings.periods`` periods whose lengths differ by at most one row.

    Raises:
      UserError: If there are fewer rows than periods.
    """
    total_rows, periods = sum(block.rows for block in blocks), settings.periods
    if total_rows < periods:
        raise UserError(
            f"{settings.path}: data.files.periods must be at most the log's number of rows, {total_rows}, got {periods}"
        )
    ends = [total_rows * (i + 1) // periods for i in range(periods)]
    digits = len(str(periods - 1))
    days: list[Day] = [(f"period_{i:0{digits}}", []) for i in range(periods)]
    num_assigned, period = 0, 0
    for block in blocks:
        first = 0
        while first < block.rows:
            rows = min(block.rows - first, ends[period] - num_assigned)
            days[period][1].append(dataclasses.replace(block, first=first, rows=rows))
            first, num_assigned = first + rows, num_assigned + rows
            if num_assigned == ends[period]:
                period += 1
    return days


def _describe_empty_day(name: str) -> str:
    if not name:
        return "the log has no rows; add files with rows"
    return (
        f"{name} has no rows; remove the day, add its files, or train without it: "
        "--config.data.files.on_anomalous_day=skip"
    )


def _list_blocks(file: str, group_rows: Sequence[int]) -> list[Block]:
    blocks, start = [], 0
    for group, rows in enumerate(group_rows):
        if rows:
            blocks.append(Block(file, group, 0, rows, start))
        start += rows
    return blocks
