"""What a column's type means for a ranker, without the width in which a writer stores it."""

from __future__ import annotations

import pyarrow as pa

from .arrow_arrays import is_list, is_text


def name_kind(kind: pa.DataType) -> str:
    """Returns the same name for types whose values differ only in width, unit or encoding.

    Example:
    >>> name_kind(pa.int16()), name_kind(pa.dictionary(pa.int8(), pa.large_string())), name_kind(pa.list_(pa.float32()))
    ('integer', 'string', 'list of float')
    """
    if pa.types.is_dictionary(kind):
        return name_kind(kind.value_type)
    if is_list(kind):
        return f"list of {name_kind(kind.value_type)}"
    names = (
        ("integer", pa.types.is_integer),
        ("float", pa.types.is_floating),
        ("decimal", pa.types.is_decimal),
        ("boolean", pa.types.is_boolean),
        ("string", is_text),
        ("timestamp", pa.types.is_timestamp),
    )
    return next((name for name, is_kind in names if is_kind(kind)), str(kind))
