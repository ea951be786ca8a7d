"""The layers that all tasks share: the paper's shared bottom, and the DCN-v2 that may stand in front of it.

Shapes: B rows of a batch, D width of the encoded row, H width of the trunk's last layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras


class SharedBottom(tf_keras.layers.Layer):
    """Fully connected layers with ReLU, shared by all tasks; ``[B, D] -> [B, H]``.

    Args:
      units: Widths of the layers, from the input upwards; none leaves the input as it is.
      l2: Factor of the squared kernels in the loss.
      name: Name of the layer; its parts are called ``layer_0`` and so on.
    """

    def __init__(self, units: Sequence[int], l2: float = 0.0, name: str = "shared"):
        super().__init__(name=name)
        self._layers = [
            tf_keras.layers.Dense(
                width, "relu", kernel_initializer="he_normal", kernel_regularizer=regularizer(l2), name=f"layer_{i}"
            )
            for i, width in enumerate(units)
        ]

    def call(self, encoded: tf.Tensor) -> tf.Tensor:
        """What the towers read."""
        for layer in self._layers:
            encoded = layer(encoded)
        return encoded


class CrossNetwork(tf_keras.layers.Layer):
    """DCN-v2: products of features of growing degree; ``[B, D] -> [B, D]``.

    ``x_{k+1} = x_0 * (W_k x_k + b_k) + x_k``, by ``tfrs.layers.dcn.Cross`` (Wang et al. 2021,
    https://arxiv.org/abs/2008.13535). The products are what lets an unusual input grow without bound, so a layer
    normalisation stands in front, as in the paper's Large+DCN.

    Args:
      layers: How many crosses, 1 or more.
      projection: Rank of W; 0 for full rank.
      layer_norm: Whether ``x_0`` is normalised to mean 0 and deviation 1 over each row's D numbers.
      l2: Factor of the squared kernels in the loss.
      name: Name of the layer; its parts are called ``cross_0`` and so on.
    """

    def __init__(self, layers: int, projection: int = 0, layer_norm: bool = True, l2: float = 0.0, name: str = "dcn"):
        super().__init__(name=name)
        self._norm = tf_keras.layers.LayerNormalization(name="layer_norm") if layer_norm else None
        self._crosses = [
            tfrs.layers.dcn.Cross(
                projection_dim=projection or None, kernel_regularizer=regularizer(l2), name=f"cross_{i}"
            )
            for i in range(layers)
        ]

    def call(self, encoded: tf.Tensor) -> tf.Tensor:
        """The crossed rows."""
        x0 = self._norm(encoded) if self._norm else encoded
        x = x0
        for cross in self._crosses:
            x = cross(x0, x)
        return x


def regularizer(l2: float) -> tf_keras.regularizers.Regularizer | None:
    """``l2 * sum(w^2)``, or None for 0."""
    return tf_keras.regularizers.L2(l2) if l2 else None
