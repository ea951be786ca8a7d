"""Reads the sample as training would, and leaves out what training would refuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ....foundation.formatting import pluralize
from ....models.schema import Schema
from ...config.errors import UserError
from ..columns import EncodedColumns
from ..files.arrow_columns import ColumnError
from ..files.layout import LogLayout
from ..files.readers import make_reader
from ..files.sample import LogSample
from .column_proposal import ColumnProposal
from .example_weights import set_example_weight


def make_schema(proposals: Sequence[ColumnProposal]) -> Schema | None:
    """Makes the schema of the proposed features and tasks; None if it would lack either."""
    features = tuple(p.feature for p in proposals if p.feature and not p.is_excluded)
    tasks = tuple(p.task for p in proposals if p.task and not p.is_excluded)
    return Schema(features, tasks) if features and tasks else None


def exclude_unreadable(
    proposals: Sequence[ColumnProposal], layout: LogLayout, sample: LogSample
) -> tuple[list[ColumnProposal], list[EncodedColumns]]:
    """Leaves out the features and the example weight that training would refuse in the sampled rows.

    Args:
      proposals: The proposals for all columns.
      layout: The log.
      sample: The sample.

    Returns:
      The proposals, and the sampled rows as training reads them; no rows without a feature or a task.

    Raises:
      UserError: If training would refuse a label.
    """
    by_name = {p.name: p for p in proposals}
    while True:
        schema = make_schema(list(by_name.values()))
        if schema is None:
            return list(by_name.values()), []
        try:
            blocks, faults = _read_sample(schema, layout, sample)
        except ColumnError as error:
            _exclude(by_name, error.column, f"training cannot read it: {error}.")
            continue
        if not faults:
            return list(by_name.values()), blocks
        columns = {feature.name: feature.log_column for feature in schema.features}
        for source, (reason, count) in faults.items():
            rows = f"{pluralize(count, 'row')} of the sample"
            _exclude(by_name, columns.get(source, source), f"training would refuse {rows}: {reason}. Correct them.")


def _exclude(by_name: dict[str, ColumnProposal], column: str, reason: str) -> None:
    if by_name[column].task:
        raise UserError(f"--labels: column '{column}' cannot be a label: {reason}")
    by_name[column] = by_name[column].exclude(reason)
    if by_name[column].is_weight:
        by_name.update({proposal.name: proposal for proposal in set_example_weight(by_name.values())})


def _read_sample(
    schema: Schema, layout: LogLayout, sample: LogSample
) -> tuple[list[EncodedColumns], dict[str, tuple[str, int]]]:
    """Returns the sampled rows, and for each feature or label with faulty rows the first reason and their number."""
    reader = make_reader(layout, schema)
    blocks = []
    counts: Counter[str] = Counter()
    for group in sample.groups:
        columns, masks = reader.read_columns(group.file, group.index)
        rows = slice(0, group.table.num_rows)
        blocks.append({name: column[rows] for name, column in columns.items()})
        for reason, mask in masks.select_rows(rows).faulty.items():
            counts[reason] += int(mask.sum())
    return blocks, dict(_split_reasons(counts))


def _split_reasons(counts: Counter[str]) -> Iterator[tuple[str, tuple[str, int]]]:
    for reason, count in reversed(list(counts.items())):
        source, _, text = reason.rpartition(": ")
        yield source, (text, count)
