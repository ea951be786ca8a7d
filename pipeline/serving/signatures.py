"""What an exported ranker answers to."""

from __future__ import annotations

import tensorflow as tf

from ...models.schema import Schema


def make_input_specs(schema: Schema) -> dict[str, tf.TensorSpec]:
    """The raw features by name, any number of rows, a bag with any number of values; no label among them."""
    specs = {}
    for feature in schema.features:
        shape = (None,) if feature.kind == "bag" else feature.shape
        specs[feature.name] = tf.TensorSpec((None, *shape), feature.dtype, feature.name)
    return specs
