"""Adagrad with Clippy, with the argument names of TensorFlow Recommenders (TFRS), for Keras 2 (tf_keras)."""

from __future__ import annotations

import tf_keras

from .adagrad import Adagrad
from .arguments import ClippyArguments


@tf_keras.utils.register_keras_serializable("steadyrank")
class ClippyAdagrad(ClippyArguments, Adagrad):
    r"""Adagrad that never moves a weight further than a share of its size.

    When to use it: in place of Adagrad (or another optimizer) in a multitask ranker that diverges, or that trains without diverging
    only at a low learning rate.

    Formula, element-wise, with one factor ``sigma`` for each variable::

        G <- G + g^2
        r  = g / sqrt(G + epsilon)
        sigma = min(1, min_i (lambda_rel * |w_i| + lambda_abs) / (eta * |r_i|))
        w <- w - eta * sigma * r

    Reference: Tang et al., *Improving Training Stability for Multitask Ranking Models in Recommender Systems*, KDD 2023,
    Algorithm 1, https://arxiv.org/abs/2302.09178. The names and the order of the arguments are those of
    ``tfrs.experimental.optimizers.ClippyAdagrad``. The defaults are those of the paper, while **the defaults of TFRS differ** (0.1,
    1e-7, the accumulator updated after the step, embedding tables clipped): :class:`steadyrank.optimizers.tfrs.ClippyAdagrad` has
    them.

    Args:
      learning_rate: eta, a number of 0 or more or a Keras schedule. Default 0.001.
      initial_accumulator_value: G before the first step, 0 or more. Default 0.1.
      variable_relative_threshold: lambda_rel, a number of 0 or more or a schedule. Default 0.5.
      accumulator_relative_threshold: Adds this multiple of ``1 / sqrt(G + epsilon)`` to what a coordinate may move; not in the
        paper. A number of 0 or more or a schedule. Default 0.
      absolute_threshold: lambda_abs, a number of 0 or more or a schedule. Default 1e-2. With 0, a weight that is 0 can never move,
        and since the smallest factor counts, its variable cannot move either.
      epsilon: Keeps the root above 0. Default 1e-7.
      export_clipping_factors: Whether to keep, for each variable, what :meth:`read_explanations` returns, and the last factors in
        the attribute ``clipping_factors``, in the order of the variables. Default False.
      clip_accumulator_update: Whether the accumulator takes ``(sigma * g)^2`` instead of ``g^2``. Requires
        ``use_standard_accumulator_update=False``. Default False.
      use_standard_accumulator_update: Whether the accumulator takes the gradient before r is formed, as in the paper. With False,
        r is formed from the accumulator of the previous steps. Default True.
      name: Name of the optimizer. Default ``ClippyAdagrad``.
      exclude_from_clipping: Regular expressions, searched in the names of the variables; plain Adagrad updates a matching variable.
        Each must match a variable. Default None: Keras's embedding tables (``embeddings``), if there are any.
      groups: Rules for groups of variables, by pattern, see :class:`~.adagrad.Adagrad`. They take precedence over the exclusions.
      granularity: ``variable``, or ``row`` for one sigma for each row, see :class:`~.rules.clippy.Clippy`. Default ``variable``.
      **kwargs: As for :class:`~.adagrad.Adagrad`: ``skip_nonfinite``, ``gradient_limit``, ``max_skipped_steps``, ``jit_compile``,
        ``weight_decay`` and the other arguments of Keras optimizers.

    Raises:
      ValueError: When an argument is out of its range or contradicts another one; in :meth:`build`, when a pattern matches no
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
