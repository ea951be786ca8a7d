"""From raw columns to one dense vector a row, inside the model, so that serving reads what training read.

Shapes: B rows of a batch, L places of a bag, E columns of an embedding table, D width of the encoded row.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras

from ..foundation.signed_log import signed_log
from .schema import MISSING_INTEGER, MISSING_STRING, Feature, Schema
from .statistics import Statistics


class Encoder(tf_keras.layers.Layer):
    """Encodes every feature of a schema and concatenates the results, in the schema's order.

    Numbers are normalised, ids and strings are looked up in embedding tables, bags are combined. The embedding tables
    are variables called ``<table>/embeddings``.

    Args:
      schema: Names the features.
      statistics: Mean and deviation of each normalised feature. A feature that it lacks is an error.
      name: Name of the layer.

    Input: a mapping from feature name to ``[B]``, or ``[B, L]`` for vectors and bags. Output: ``[B, D]`` in the layer's
    compute dtype.

    Raises:
      ValueError: When ``statistics`` lacks a feature, or a vocabulary is still to be learned.
    """

    def __init__(self, schema: Schema, statistics: Statistics, name: str = "encoder"):
        # Raw counters do not fit float16: the columns are read in float32, whatever the policy, and cast at the end.
        super().__init__(name=name, autocast=False)
        self._features = schema.features
        self._normalizers: dict[str, Normalizer] = {}
        self._ids: dict[str, IdLookup] = {}
        self._tables: dict[str, tf_keras.layers.Embedding] = {}
        for feature in schema.features:
            if feature.kind == "numerical":
                self._normalizers[feature.name] = Normalizer(feature, statistics)
            elif feature.table_name not in self._tables:
                ids = IdLookup(feature)
                self._ids[feature.table_name] = ids
                self._tables[feature.table_name] = tf_keras.layers.Embedding(
                    ids.rows, feature.embedding_width, name=feature.table_name
                )

    def call(self, columns: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The rows' encodings."""
        encoded = [self._encode(feature, tf.convert_to_tensor(columns[feature.name])) for feature in self._features]
        return tf.concat([tf.cast(part, self.compute_dtype) for part in encoded], axis=-1)

    def _encode(self, feature: Feature, column: tf.Tensor) -> tf.Tensor:
        if feature.kind == "numerical":
            return self._normalizers[feature.name](column)
        ids = self._ids[feature.table_name](column)
        embeddings = self._tables[feature.table_name](ids)
        if feature.kind == "categorical":
            return embeddings
        missing = MISSING_STRING if feature.dtype == "string" else MISSING_INTEGER
        there = tf.cast(tf.not_equal(column, missing), embeddings.dtype)[..., tf.newaxis]
        total = tf.reduce_sum(embeddings * there, axis=1)
        if feature.combiner == "sum":
            return total
        return tf.math.divide_no_nan(total, tf.reduce_sum(there, axis=1))


class Normalizer(tf_keras.layers.Layer):
    """A numerical column, within the feature's bounds, as numbers of mean 0 and deviation 1 on the data from which the statistics were learned.

    Input ``[B]`` or ``[B, width]``, output ``[B, width]``, float32 whatever the policy. Mean and deviation are weights
    that do not train: they travel with checkpoints and exports.
    """

    def __init__(self, feature: Feature, statistics: Statistics):
        super().__init__(name=f"normalize_{feature.name}", dtype="float32", autocast=False)
        self._feature = feature
        if feature.normalization == "none":
            return
        for what, given in (("mean", statistics.mean), ("deviation", statistics.deviation)):
            if feature.name not in given:
                raise ValueError(
                    f"feature '{feature.name}' has normalization '{feature.normalization}', but the statistics hold no "
                    f"{what} for it; learn them from data or use normalization 'none'"
                )
        constant = tf_keras.initializers.Constant
        shape = (feature.width,)
        self._mean = self.add_weight(
            name="mean", shape=shape, initializer=constant(statistics.mean[feature.name]), trainable=False
        )
        self._deviation = self.add_weight(
            name="deviation", shape=shape, initializer=constant(statistics.deviation[feature.name]), trainable=False
        )

    def call(self, column: tf.Tensor) -> tf.Tensor:
        """The normalised column."""
        numbers = tf.reshape(tf.cast(column, tf.float32), [-1, self._feature.width])
        if self._feature.default is not None:
            numbers = tf.where(tf.math.is_nan(numbers), self._feature.default, numbers)
        low, high = self._feature.bounds
        if (low, high) != (-np.inf, np.inf):
            # NaN stays NaN: it must be seen.
            numbers = tf.clip_by_value(numbers, low, high)
        if self._feature.normalization == "none":
            return numbers
        if self._feature.normalization == "log":
            numbers = signed_log(numbers, tf.math)
        return (numbers - self._mean) / self._deviation


class IdLookup(tf_keras.layers.Layer):
    """Rows of an embedding table for ids or strings.

    Attributes:
      rows: Rows that the table needs. Row 0 is shared by all values that a vocabulary or a range of ids does not hold,
        the missing one among them.
    """

    def __init__(self, feature: Feature):
        super().__init__(name=f"lookup_{feature.table_name}", autocast=False)
        self._feature = feature
        if feature.vocabulary_size:
            raise ValueError(
                f"feature '{feature.name}' wants a vocabulary of {feature.vocabulary_size} values that is not learned yet; "
                "`compute_statistics` in steadyrank.pipeline.data.feature_statistics gives the schema that has it"
            )
        if feature.vocabulary:
            lookup = tf_keras.layers.StringLookup if feature.dtype == "string" else tf_keras.layers.IntegerLookup
            self._lookup = lookup(vocabulary=list(feature.vocabulary), num_oov_indices=1)
            self.rows = len(feature.vocabulary) + 1
        elif feature.hash_buckets:
            self._lookup = tf_keras.layers.Hashing(feature.hash_buckets)
            self.rows = feature.hash_buckets
        else:
            self._lookup = None
            self.rows = feature.num_ids + 1

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Rows, int64, of ``values``' shape."""
        if self._lookup is not None:
            return self._lookup(values)
        known = (values >= 0) & (values < self._feature.num_ids)
        return tf.where(known, values + 1, tf.zeros_like(values))
