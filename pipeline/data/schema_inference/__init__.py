"""Proposes a schema for a log from its columns' names, types and values.

Start with :func:`propose_schema`, which samples a log and returns a :class:`SchemaProposal`: for each column a feature,
a task, or the reason why the column is left out. :func:`format_proposal` writes it as a YAML file for a person to
correct. The command ``describe`` does both.

| module | content |
|---|---|
| :mod:`.proposal` | :func:`propose_schema`: samples the log, picks the rules for each column, and leaves out leaks |
| :mod:`.column_proposal` | the proposal for one column, and names that a schema accepts |
| :mod:`.log_columns` | the columns of a sample, and which of them training cannot read |
| :mod:`.plain_types` | Arrow's types reduced to the few that the rules know |
| :mod:`.column_roles` | labels, outcomes and weights by their names |
| :mod:`.label_columns` | rules for labels |
| :mod:`.example_weights` | the weight of each row |
| :mod:`.number_columns` | rules for numbers: timestamps, row numbers, ids, counters |
| :mod:`.text_columns` | rules for strings |
| :mod:`.list_columns` | rules for lists: vectors and bags |
| :mod:`.id_encoding` | vocabulary, id range or hash buckets, and the width of an embedding |
| :mod:`.similar_columns` | similar encodings for similar numbers, and shared tables |
| :mod:`.verification` | what training refuses in the sample |
| :mod:`.yaml_text` | the proposal as commented YAML |
| :mod:`.summary_text` | the proposal as tables for a terminal |
"""

from .column_proposal import ColumnProposal
from .proposal import SchemaProposal, propose_schema
from .summary_text import format_summary
from .yaml_text import format_proposal

__all__ = ["ColumnProposal", "SchemaProposal", "format_proposal", "format_summary", "propose_schema"]
