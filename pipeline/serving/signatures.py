"""The inputs of an exported ranker, and how it reads them."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from ...models.schema import Schema


def make_input_specs(schema: Schema) -> dict[str, tf.TensorSpec]:
    """Makes the specs of the raw features by name, without labels.

    Every spec allows any number of rows. The spec of a bag also allows any number of values.

    Example:
    >>> from steadyrank.models.schema import Feature, Task
    >>> schema = Schema((Feature("history", "bag", width=5, num_ids=10),), (Task("click", "binary"),))
    >>> make_input_specs(schema)["history"].shape
    TensorShape([None, None])
    """
    specs = {}
    for feature in schema.features:
        shape = (None,) if feature.kind == "bag" else feature.shape
        specs[feature.name] = tf.TensorSpec((None, *shape), feature.dtype, feature.name)
    return specs


def strip_null_bytes(columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    r"""Removes null bytes at the end of strings, as NumPy does when a log is read.

    Example:
    >>> strip_null_bytes({"country": tf.constant([b"DE\0\0"])})["country"].numpy().tolist()
    [b'DE']
    """
    return {
        name: tf.strings.regex_replace(column, "\0+$", "") if column.dtype == tf.string else column
        for name, column in columns.items()
    }
