"""Adagrad with Clippy, with the argument names of TensorFlow Recommenders (TFRS), for Keras 2 (tf_keras)."""

from __future__ import annotations

import tf_keras

from .adagrad import Adagrad
from .arguments import ClippyArguments


@tf_keras.utils.register_keras_serializable("steadyrank")
class ClippyAdagrad(ClippyArguments, Adagrad):
    r"""Adagrad with Clippy, which limits how far each weight may move, in proportion to the weight's size.

    When to use it: instead of Adagrad or another optimizer, if a multitask ranker diverges, or if only a low learning
      rate keeps it
    from diverging.

    Formula, element-wise, with one factor ``sigma`` for each variable::

        G <- G + g^2
        r  = g / sqrt(G + epsilon)
        sigma = min(1, min_i (lambda_rel * |w_i| + lambda_abs) / (eta * |r_i|))
        w <- w - eta * sigma * r

    Reference: Tang et al., *Improving Training Stability for Multitask Ranking Models in Recommender Systems*, KDD
      2023,
    Algorithm 1, https://arxiv.org/abs/2302.09178. The arguments have the names and the order of
    ``tfrs.experimental.optimizers.ClippyAdagrad`` and the paper's defaults. **The defaults of TFRS differ** (0.1, 1e-7,
    the accumulator updated after the step, embedding tables clipped). For those, use
    :class:`steadyrank.optimizers.tfrs.ClippyAdagrad`.

    Args:
      learning_rate: eta, a number of 0 or more or a Keras schedule. Default 0.001.
      initial_accumulator_value: G before the first step, 0 or more. Default 0.1.
      variable_relative_threshold: lambda_rel, a number of 0 or more or a schedule. Default 0.5.
      accumulator_relative_threshold: Raises each coordinate's limit by this multiple of ``1 / sqrt(G + epsilon)``; not
        in the paper. A number of 0 or more or a schedule. Default 0.
      absolute_threshold: lambda_abs, a number of 0 or more or a schedule. Default 1e-2. With 0, a weight of 0 can never
        move. Because the smallest factor applies to the whole variable, its other weights do not move either.
      epsilon: Added to G under the root, so that the root is above 0. Default 1e-7.
      export_clipping_factors: Whether to record the explanations that :meth:`read_explanations` returns, and the last
        factors in the attribute ``clipping_factors``, in the order of the variables. Default False.
      clip_accumulator_update: Whether the accumulator takes ``(sigma * g)^2`` instead of ``g^2``. Requires
        ``use_standard_accumulator_update=False``. Default False.
      use_standard_accumulator_update: Whether the accumulator takes the gradient before r is computed, as in the paper.
        With False, r is computed from the accumulator of the previous steps. Default True.
      name: Name of the optimizer. Default ``ClippyAdagrad``.
      exclude_from_clipping: Regular expressions that are searched for in the variables' names. Plain Adagrad updates a
        matching variable. Each must match a variable. Default None: Keras's embedding tables (``embeddings``), if any
        exist.
      groups: Rules for groups of variables, see :class:`~.adagrad.Adagrad`. They take precedence over the exclusions.
      granularity: ``variable``, or ``row`` for one sigma per row, see :class:`~.rules.clippy.Clippy`. Default
        ``variable``.
      **kwargs: See :class:`~.adagrad.Adagrad`: ``skip_nonfinite``, ``gradient_limit``, ``max_skipped_steps``,
        ``jit_compile``, ``weight_decay`` and the other arguments of Keras optimizers.

    Raises:
      ValueError: If an argument is out of range or contradicts another one; in :meth:`build`, if a pattern matches no
        variable.

    Example:
    >>> import tensorflow as tf
    >>> from steadyrank.optimizers import ClippyAdagrad
    >>> w = tf.Variable([1.0, 0.0])
    >>> optimizer = ClippyAdagrad(learning_rate=1.0, export_clipping_factors=True)
    >>> _ = optimizer.apply_gradients([(tf.constant([1.0, 10.0]), w)])  # w[1] may move by 0.01; Adagrad asks for 1.0
    >>> [round(float(factor), 4) for factor in optimizer.clipping_factors]
    [0.01]
    """
