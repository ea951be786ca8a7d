"""Samples a log and proposes a schema for its columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import pyarrow as pa

from ....foundation.formatting import pluralize
from ....models.schema import Schema
from ...config.errors import UserError
from ..checks.leaks import LeakReport, find_leaks
from ..columns import EncodedColumns
from ..files import layout as log_layout
from ..files.arrow_arrays import is_number, is_text
from ..files.layout import LogLayout
from ..files.sample import read_sample
from ..tfds.features import ColumnMetadata
from .column_proposal import ColumnProposal, make_feature, make_unique_names, to_one_line
from .column_roles import is_certain_weight
from .example_weights import set_example_weight
from .id_encoding import choose_embedding_width
from .label_columns import find_label_role, propose_label
from .list_columns import propose_list_column
from .log_columns import LogColumn, read_columns
from .number_columns import propose_number_column
from .similar_columns import share_tables, unify_number_encodings
from .text_columns import propose_text_column
from .verification import exclude_unreadable, make_schema

_SAMPLE_PARTS = 4
_MAX_CLASS_NAMES = 20
# A label with more classes would be a multi-class task, which a ranker does not have.
_MAX_LABEL_CLASSES = 2
_OUTCOME = "its name suggests an outcome, unknown at serving time."
_MAY_BE_WEIGHT = (
    "its name may mean the weight of a row. If so, set example_weight of the tasks to it. Uncomment the entry if it is a "
    "feature."
)


@dataclasses.dataclass(frozen=True)
class SchemaProposal:
    """A proposed schema and where it comes from.

    Attributes:
      days: Names of the log's days.
      rows: Number of rows in the log.
      sampled_rows: Number of rows that the proposal is based on.
      columns: The proposals for the columns, in the log's order.
      unchecked_tasks: Why a task was not checked for leaks, by the task's name.
      undated_folders: Folders of rows without a date. ``rows`` does not count these.
    """

    days: Sequence[str]
    rows: int
    sampled_rows: int
    columns: Sequence[ColumnProposal]
    unchecked_tasks: Mapping[str, str] = dataclasses.field(default_factory=dict)
    undated_folders: Sequence[str] = ()

    @property
    def features(self) -> list[ColumnProposal]:
        """The columns that become features."""
        return [column for column in self.columns if column.feature and not column.is_excluded]

    @property
    def tasks(self) -> list[ColumnProposal]:
        """The columns that become tasks."""
        return [column for column in self.columns if column.task and not column.is_excluded]

    @property
    def weights(self) -> list[ColumnProposal]:
        """The column with the weight of each row, if there is one."""
        return [column for column in self.columns if column.is_weight and not column.is_excluded]

    @property
    def candidates(self) -> list[ColumnProposal]:
        """The columns that are left out because they may be labels."""
        return [column for column in self.columns if column.may_be_label]

    @property
    def schema(self) -> Schema:
        """The schema of the proposed features and tasks.

        Raises:
          ValueError: If there is no feature or no task.
        """
        return Schema(
            tuple(column.feature for column in self.features if column.feature),
            tuple(column.task for column in self.tasks if column.task),
        )


def propose_schema(
    path: str, labels: Sequence[str] = (), rows: int = 200_000, day_keys: Sequence[str] = ()
) -> SchemaProposal:
    """Proposes a schema from rows at the beginning, in the middle and at the end of a log.

    Training accepts the proposal: the sample was read with it, as training reads a log.

    Args:
      path: A file, a folder or a dataset; see :func:`~..files.layout.find_layout`.
      labels: The columns to predict. Empty: the columns whose names can only be labels, such as ``click``, and whose
        values are 0 and 1.
      rows: Approximate number of rows to read.
      day_keys: See the setting ``data.files.day_keys``.

    Raises:
      UserError: If there is no log at ``path``, it cannot be read, or a column of ``labels`` cannot be a label.
    """
    layout = log_layout.find_layout(path, day_keys)
    sample = read_sample(layout, rows, _SAMPLE_PARTS)
    columns = read_columns(sample, layout)
    _check_labels(columns, labels)
    names = make_unique_names([column.name for column in columns])
    proposals = [
        _propose_column(column, labels, layout.column_metadata.get(column.name, ColumnMetadata())).rename(
            names[column.name]
        )
        for column in columns
    ]
    arrays = {column.name: column.array for column in columns}
    proposals = unify_number_encodings(proposals, arrays)
    proposals = [proposal.rename(names[proposal.name]) for proposal in proposals]
    proposals = share_tables(proposals, arrays)
    proposals, blocks = exclude_unreadable(set_example_weight(proposals), layout, sample)
    proposals, leaks = _exclude_leaks(proposals, blocks)
    return SchemaProposal(
        _list_days(layout), sample.total_rows, sample.num_rows, proposals, leaks.unchecked, layout.undated_folders
    )


def _list_days(layout: LogLayout) -> list[str]:
    return [name for name, _ in layout.days]


def _check_labels(columns: Sequence[LogColumn], labels: Sequence[str]) -> None:
    by_name = {column.name: column for column in columns}
    for label in labels:
        if label not in by_name:
            raise UserError(f"--labels: the log has no column '{label}'; it has {', '.join(by_name)}")
        if by_name[label].reason:
            raise UserError(f"--labels: column '{label}' cannot be a label: {by_name[label].reason}")


def _propose_column(column: LogColumn, labels: Sequence[str], metadata: ColumnMetadata) -> ColumnProposal:
    name, array = column.name, column.array
    if metadata.unsupported_reason:
        return ColumnProposal(name, column.type_name, exclusion_reason=metadata.unsupported_reason)
    if column.reason:
        return ColumnProposal(name, column.type_name, exclusion_reason=column.reason)
    missing = array.null_count / max(len(array), 1)
    missing_text = f", {missing:.1%} missing" if missing else ""
    if name in labels:
        return _add_classes(propose_label(name, array, missing_text), metadata)
    if array.null_count == len(array):
        return ColumnProposal(name, column.type_name or "null", exclusion_reason="every value is missing.")
    role = find_label_role(name, array) if metadata.num_classes <= _MAX_LABEL_CLASSES else "other"
    if role == "label" and not labels:
        proposal = propose_label(name, array, missing_text)
        return dataclasses.replace(proposal, summary=f"{proposal.summary}; a label by its name and values")
    proposal = _add_classes(_propose_feature(name, array, missing_text), metadata)
    # What is left out for another reason is not worth a choice.
    if role == "other" or proposal.is_excluded:
        return proposal
    if role == "weight":
        is_certain = is_certain_weight(name)
        return (
            ColumnProposal(name, proposal.summary, is_weight=True) if is_certain else proposal.exclude(_MAY_BE_WEIGHT)
        )
    try:
        propose_label(name, array, missing_text)
    except UserError:
        return proposal.exclude(f"{_OUTCOME} To predict it, write it as 0 and 1.")
    return proposal.exclude(f"{_OUTCOME} To predict it, name it in --labels.", may_be_label=True)


def _propose_feature(name: str, array: pa.Array, missing_text: str) -> ColumnProposal:
    if is_number(array.type):
        return propose_number_column(name, array, missing_text)
    if is_text(array.type):
        return propose_text_column(name, array, missing_text)
    return propose_list_column(name, array, missing_text)


def _exclude_leaks(
    proposals: Sequence[ColumnProposal], blocks: Sequence[EncodedColumns]
) -> tuple[list[ColumnProposal], LeakReport]:
    """Leaves out the features that alone predict a task in the sample."""
    schema = make_schema(proposals)
    if schema is None or not blocks:
        return list(proposals), LeakReport(0, (), {})
    report = find_leaks(blocks, schema)
    leaks = {leak.feature: leak for leak in report.leaks}
    checked = []
    for proposal in proposals:
        leak = leaks.get(proposal.feature.name) if proposal.feature and not proposal.is_excluded else None
        if leak is not None:
            reason = f"a leak: {leak}. Uncomment the entry only if the value is known before the outcome."
            proposal = proposal.exclude(reason)
        checked.append(proposal)
    return checked, report


def _add_classes(proposal: ColumnProposal, metadata: ColumnMetadata) -> ColumnProposal:
    """Replaces a feature that was inferred from numbers with the classes that the dataset's description names."""
    if not metadata.num_classes:
        return proposal
    names = ", ".join(
        f"{index} {to_one_line(name)}" for index, name in enumerate(metadata.class_names[:_MAX_CLASS_NAMES])
    )
    names += ", …" if len(metadata.class_names) > _MAX_CLASS_NAMES else ""
    summary = f"one of {pluralize(metadata.num_classes, 'class', 'classes')}{': ' if names else ''}{names}; {proposal.summary}"
    inferred = proposal.feature
    if inferred is None or proposal.is_excluded:
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
