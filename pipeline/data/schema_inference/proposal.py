"""Samples a log and proposes a schema for its columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pyarrow as pa

from ....models.schema import Schema
from ..files import layout
from ..files.arrow_arrays import is_list, is_number, is_text, to_single_array
from ..files.sample import read_sample
from ..tfds.features import ColumnMetadata
from .column_proposal import ColumnProposal, make_feature
from .id_encoding import choose_embedding_width
from .list_columns import propose_list_column
from .number_columns import propose_number_column
from .text_columns import propose_text_column

_SAMPLE_PARTS = 4
_MAX_CLASS_NAMES = 20
# A label with more classes would be a multi-class task, which a ranker does not have.
_MAX_LABEL_CLASSES = 2


@dataclasses.dataclass(frozen=True)
class SchemaProposal:
    """A proposed schema and where it comes from.

    Attributes:
      days: Names of the log's days.
      rows: Number of rows in the log.
      sampled_rows: Number of rows that the proposal is based on.
      columns: The proposals for the columns, in the log's order.
    """

    days: Sequence[str]
    rows: int
    sampled_rows: int
    columns: Sequence[ColumnProposal]

    @property
    def schema(self) -> Schema:
        """The schema of the proposed features and tasks.

        Raises:
          ValueError: If there is no feature or no task.
        """
        return Schema(
            tuple(column.feature for column in self.columns if column.feature),
            tuple(column.task for column in self.columns if column.task),
        )


def propose_schema(
    path: str, labels: Sequence[str] = (), rows: int = 200_000, day_keys: Sequence[str] = ()
) -> SchemaProposal:
    """Proposes a schema from rows at the beginning, in the middle and at the end of a log.

    Args:
      path: A file, a folder or a dataset; see :func:`~..files.layout.find_layout`.
      labels: The columns to predict. Empty: columns whose name and values suggest a label.
      rows: Approximate number of rows to read.
      day_keys: See the setting ``data.files.day_keys``.

    Raises:
      UserError: If there is no log at ``path``, or it cannot be read.
    """
    log = layout.find_layout(path, day_keys)
    total, sample = read_sample(log, rows, _SAMPLE_PARTS)
    columns = [
        _propose_column(name, sample.column(name), labels, log.column_metadata.get(name, ColumnMetadata()))
        for name in sample.column_names
    ]
    return SchemaProposal([name for name, _ in log.days], total, sample.num_rows, columns)


def _propose_column(
    name: str, column: pa.ChunkedArray, labels: Sequence[str], metadata: ColumnMetadata
) -> ColumnProposal:
    if metadata.unsupported_reason:
        return ColumnProposal(name, str(column.type), exclusion_reason=metadata.unsupported_reason)
    may_be_label = not labels and metadata.num_classes <= _MAX_LABEL_CLASSES
    proposal = _propose_from_values(name, column, is_label=name in labels, may_be_label=may_be_label)
    return _apply_classes(proposal, metadata) if metadata.num_classes else proposal


def _propose_from_values(name: str, column: pa.ChunkedArray, is_label: bool, may_be_label: bool) -> ColumnProposal:
    array = to_single_array(column)
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    missing = array.null_count / max(len(array), 1)
    missing_text = f", {missing:.1%} missing" if missing else ""
    if array.null_count == len(array):
        return ColumnProposal(name, str(kind), exclusion_reason="every value is missing.")
    if is_number(kind):
        return propose_number_column(name, array, missing_text, is_label, may_be_label)
    if is_text(kind):
        return propose_text_column(name, array, missing_text)
    if is_list(kind):
        return propose_list_column(name, array, missing_text)
    reason = f"a ranker does not read {kind}. Convert the column to numbers or strings."
    return ColumnProposal(name, str(kind), exclusion_reason=reason)


def _apply_classes(proposal: ColumnProposal, metadata: ColumnMetadata) -> ColumnProposal:
    """Replaces a feature that was inferred from numbers with the classes that the dataset's description names."""
    names = ", ".join(
        f"{index} {_to_one_line(name)}" for index, name in enumerate(metadata.class_names[:_MAX_CLASS_NAMES])
    )
    names += ", …" if len(metadata.class_names) > _MAX_CLASS_NAMES else ""
    summary = f"one of {metadata.num_classes:,} classes{': ' if names else ''}{names}; {proposal.summary}"
    inferred = proposal.feature
    if inferred is None:
        return dataclasses.replace(proposal, summary=summary)
    is_bag = inferred.kind == "bag"
    feature = make_feature(
        proposal.name,
        "bag" if is_bag else "categorical",
        width=inferred.width if is_bag else 1,
        num_ids=metadata.num_classes,
        embedding_width=choose_embedding_width(metadata.num_classes),
    )
    return dataclasses.replace(proposal, summary=summary, feature=feature)


def _to_one_line(text: str) -> str:
    """Replaces unprintable characters, such as line breaks, so that the text fits in a comment."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
