"""Proposes a schema for a log from its columns' names, types and values.

Start with :func:`propose_schema`, which samples a log and returns a :class:`SchemaProposal`: for each column a feature,
a task, or the reason why the column is left out. :func:`format_proposal` writes it as a YAML file for a person to
correct. The command ``describe`` does both.

| module | content |
|---|---|
| :mod:`.proposal` | :func:`propose_schema`: samples the log, and picks the rules for each column |
| :mod:`.column_proposal` | the proposal for one column, and names that a schema accepts |
| :mod:`.number_columns` | rules for numbers: labels, timestamps, row numbers, ids, counters |
| :mod:`.text_columns` | rules for strings |
| :mod:`.list_columns` | rules for lists: vectors and bags |
| :mod:`.id_encoding` | vocabulary, id range or hash buckets, and the width of an embedding |
| :mod:`.yaml_text` | the proposal as commented YAML |
"""

from .column_proposal import ColumnProposal
from .proposal import SchemaProposal, propose_schema
from .yaml_text import format_proposal

__all__ = ["ColumnProposal", "SchemaProposal", "format_proposal", "propose_schema"]
