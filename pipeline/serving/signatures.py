"""The inputs of an exported ranker."""

from __future__ import annotations

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
