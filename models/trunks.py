"""The layers that all tasks share: the paper's shared bottom, and the DCN-v2 that may precede it.

Shapes: B rows of a batch, D width of the encoded row, H width of the trunk's last layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras


class SharedBottom(tf_keras.layers.Layer):
    """Fully connected ReLU layers that all tasks share; ``[B, D] -> [B, H]``.

    Args:
      units: Widths of the layers, from input to output. Empty: the layer returns its input.
      l2: Factor of the L2 regularization.
      name: Name of the layer. Its sublayers are named ``layer_0``, ``layer_1`` …
    """

    def __init__(self, units: Sequence[int], l2: float = 0.0, name: str = "shared"):
        super().__init__(name=name)
        self._layers = make_dense_layers(units, l2)

    def call(self, x_BD: tf.Tensor) -> tf.Tensor:
        """Returns the input of the towers."""
        for layer in self._layers:
            x_BD = layer(x_BD)
        return x_BD


class CrossNetwork(tf_keras.layers.Layer):
    """DCN-v2: products of features, of increasing degree; ``[B, D] -> [B, D]``.

    ``x_{k+1} = x_0 * (W_k x_k + b_k) + x_k``, computed by ``tfrs.layers.dcn.Cross``. Products can make
    an unusual input arbitrarily large, so a layer normalization precedes them, as in the paper's Large+DCN.

    Reference: Wang et al., *DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank
      Systems*, 2021,
    https://arxiv.org/abs/2008.13535.

    Args:
      layers: Number of cross layers, 1 or more.
      projection: Rank of W; 0 for full rank.
      layer_norm: Whether to normalize ``x_0`` to mean 0 and standard deviation 1 over the D numbers of each row.
      l2: Factor of the L2 regularization.
      name: Name of the layer. Its sublayers are named ``cross_0``, ``cross_1`` …
    """

    def __init__(self, layers: int, projection: int = 0, layer_norm: bool = True, l2: float = 0.0, name: str = "dcn"):
        super().__init__(name=name)
        self._norm = tf_keras.layers.LayerNormalization(name="layer_norm") if layer_norm else None
        self._crosses = [
            tfrs.layers.dcn.Cross(
                projection_dim=projection or None, kernel_regularizer=make_regularizer(l2), name=f"cross_{i}"
            )
            for i in range(layers)
        ]

    def call(self, x_BD: tf.Tensor) -> tf.Tensor:
        """Returns the crossed rows."""
        x0_BD = self._norm(x_BD) if self._norm else x_BD
        x_BD = x0_BD
        for cross in self._crosses:
            x_BD = cross(x0_BD, x_BD)
        return x_BD


def make_dense_layers(units: Sequence[int], l2: float) -> list[tf_keras.layers.Dense]:
    """Makes fully connected ReLU layers named ``layer_0``, ``layer_1`` … with He initialization."""
    return [
        tf_keras.layers.Dense(
            width, "relu", kernel_initializer="he_normal", kernel_regularizer=make_regularizer(l2), name=f"layer_{i}"
        )
        for i, width in enumerate(units)
    ]


def make_regularizer(l2: float) -> tf_keras.regularizers.Regularizer | None:
    """Makes the regularizer ``l2 * sum(w^2)``; None for 0."""
    return tf_keras.regularizers.L2(l2) if l2 else None
