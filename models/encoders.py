"""Encodes raw columns as one dense vector per row, inside the model, so that serving and training read the same input.

Shapes: B rows of a batch, L values of a bag, W width of a numerical feature, E columns of an embedding table, D width
of the encoded row.
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
    """Encodes each feature of a schema and concatenates the results in the schema's order.

    The encoder normalizes numbers, looks up ids and strings in embedding tables, and combines the embeddings of a bag.
    The variable of an embedding table is named ``<table>/embeddings``.

    Args:
      schema: The features.
      statistics: Mean and standard deviation of each normalized feature.
      name: Name of the layer.

    Input: a mapping from feature name to ``[B]``, or to ``[B, W]`` for a vector and ``[B, L]`` for a bag, of which the
      encoder reads the first ``feature.width`` values. Output: ``[B, D]`` in the layer's compute dtype.

    Raises:
      ValueError: If ``statistics`` lacks a normalized feature, or a feature has a ``vocabulary_size`` instead of a
        vocabulary.
    """

    def __init__(self, schema: Schema, statistics: Statistics, name: str = "encoder"):
        # Raw counters overflow float16, so the columns stay in their dtype under any policy and are cast at the end.
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
                    ids.num_rows, feature.embedding_width, name=feature.table_name
                )

    def call(self, columns: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the encoded rows, ``[B, D]``."""
        encoded = [self._encode(feature, tf.convert_to_tensor(columns[feature.name])) for feature in self._features]
        return tf.concat([tf.cast(part, self.compute_dtype) for part in encoded], axis=-1)

    def _encode(self, feature: Feature, column: tf.Tensor) -> tf.Tensor:
        """Encodes one column as ``[B, W]`` or ``[B, E]``."""
        if feature.kind == "numerical":
            return self._normalizers[feature.name](column)
        if feature.kind == "bag":
            # A log's reader cuts bags as well, so the model sees at most `width` values in training.
            column = column[:, : feature.width]
        ids = self._ids[feature.table_name](column)
        embeddings = self._tables[feature.table_name](ids)
        if feature.kind == "categorical":
            return embeddings
        missing = MISSING_STRING if feature.dtype == "string" else MISSING_INTEGER
        mask_BL1 = tf.cast(tf.not_equal(column, missing), embeddings.dtype)[..., tf.newaxis]
        sum_BE = tf.reduce_sum(embeddings * mask_BL1, axis=1)
        if feature.combiner == "sum":
            return sum_BE
        return tf.math.divide_no_nan(sum_BE, tf.reduce_sum(mask_BL1, axis=1))


class Normalizer(tf_keras.layers.Layer):
    """Clips a numerical column to the feature's bounds and normalizes it to mean 0 and standard deviation 1.

    Mean and standard deviation come from the statistics. They are non-trainable weights, so checkpoints and exports
    contain them.

    Args:
      feature: The numerical feature.
      statistics: Its mean and standard deviation, unless ``feature.normalization`` is ``none``.

    Input: ``[B]`` or ``[B, W]``. Output: ``[B, W]``, float32 under any policy.

    Raises:
      ValueError: If ``statistics`` lacks the feature.
    """

    def __init__(self, feature: Feature, statistics: Statistics):
        super().__init__(name=f"normalize_{feature.name}", dtype="float32", autocast=False)
        self._feature = feature
        if feature.normalization == "none":
            return
        for quantity, values in (("mean", statistics.mean), ("deviation", statistics.deviation)):
            if feature.name not in values:
                raise ValueError(
                    f"feature '{feature.name}' has normalization '{feature.normalization}', but the statistics have no "
                    f"{quantity} for it; compute them from data or use normalization 'none'"
                )
        self._mean = self._add_constant("mean", statistics.mean[feature.name])
        self._deviation = self._add_constant("deviation", statistics.deviation[feature.name])

    def _add_constant(self, name: str, value: np.ndarray) -> tf.Variable:
        initializer = tf_keras.initializers.Constant(value)
        return self.add_weight(
            name=f"{self.name}/{name}", shape=(self._feature.width,), initializer=initializer, trainable=False
        )

    def call(self, column: tf.Tensor) -> tf.Tensor:
        """Returns the normalized column, ``[B, W]``."""
        if self._feature.width > 1:
            column = tf.ensure_shape(column, [None, self._feature.width])
        x_BW = tf.reshape(tf.cast(column, tf.float32), [-1, self._feature.width])
        if self._feature.default is not None:
            x_BW = tf.where(tf.math.is_nan(x_BW), self._feature.default, x_BW)
        low, high = self._feature.bounds
        if (low, high) != (-np.inf, np.inf):
            # NaN stays NaN, so that the ranker can mark the row.
            x_BW = tf.clip_by_value(x_BW, low, high)
        if self._feature.normalization == "none":
            return x_BW
        if self._feature.normalization == "log":
            x_BW = signed_log(x_BW, tf.math)
        return (x_BW - self._mean) / self._deviation


class IdLookup(tf_keras.layers.Layer):
    """Converts ids or strings to row numbers of an embedding table.

    Args:
      feature: A categorical feature or a bag.

    Attributes:
      num_rows: Number of rows of the table. With a vocabulary or a range of ids, all other values and the missing value
        share row 0.

    Raises:
      ValueError: If the feature has a ``vocabulary_size`` instead of a vocabulary.
    """

    def __init__(self, feature: Feature):
        super().__init__(name=f"lookup_{feature.table_name}", autocast=False)
        self._feature = feature
        if feature.vocabulary_size:
            raise ValueError(
                f"feature '{feature.name}' has a vocabulary_size ({feature.vocabulary_size}) but no vocabulary yet; call "
                "`compute_statistics` in steadyrank.pipeline.data.feature_statistics, which returns a schema with the "
                "vocabulary"
            )
        if feature.vocabulary:
            lookup = tf_keras.layers.StringLookup if feature.dtype == "string" else tf_keras.layers.IntegerLookup
            self._lookup = lookup(vocabulary=list(feature.vocabulary), num_oov_indices=1)
            self.num_rows = len(feature.vocabulary) + 1
        elif feature.hash_buckets:
            self._lookup = tf_keras.layers.Hashing(feature.hash_buckets)
            self.num_rows = feature.hash_buckets
        else:
            self._lookup = None
            self.num_rows = feature.num_ids + 1

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Returns row numbers, int64, in the shape of ``values``."""
        if self._lookup is not None:
            return self._lookup(values)
        is_known = (values >= 0) & (values < self._feature.num_ids)
        return tf.where(is_known, values + 1, tf.zeros_like(values))
