"""Adagrad with Clippy under the argument names that TensorFlow Recommenders' users know, for Keras 2 (tf_keras)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tf_keras

from . import settings
from .adagrad import Adagrad, schedule
from .rule import Granularity, Rule, Threshold


@tf_keras.utils.register_keras_serializable("steadyrank")
class ClippyAdagrad(Adagrad):
    r"""Adagrad that never moves a weight further than a share of its size.

    When to use it: in place of Adagrad (or of another optimizer) in a multitask ranker that diverges, or that must be
    kept at a low learning rate so that it does not.

    Formula (all element-wise; one factor ``sigma`` for each variable)::

        G <- G + g^2
        r  = g / sqrt(G + epsilon)
        sigma = min(1, min_i (lambda_rel * abs(w_i) + lambda_abs) / (eta * abs(r_i)))
        w <- w - eta * sigma * r

    Reference: Tang et al., *Improving Training Stability for Multitask Ranking Models in Recommender Systems*, KDD 2023,
    Algorithm 1, https://arxiv.org/abs/2302.09178. The argument names and their order are those of
    ``tfrs.experimental.optimizers.ClippyAdagrad``; where one is left out, the value is the paper's. **TFRS's own values
    differ** (0.1, 1e-7, the accumulator after the step, embedding tables clipped): :class:`steadyrank.optimizers.tfrs.ClippyAdagrad`
    has those.

    Args:
      learning_rate: eta; a number of 0 or more, or a Keras schedule. Default 0.001.
      initial_accumulator_value: G before the first step, 0 or more. Default 0.1.
      variable_relative_threshold: lambda_rel, a number of 0 or more or a schedule. Default 0.5.
      accumulator_relative_threshold: Adds this multiple of ``1 / sqrt(G + epsilon)`` to what a coordinate may move; not
        in the paper. Default 0.
      absolute_threshold: lambda_abs, a number of 0 or more or a schedule. Default 1e-2. With 0, a weight that is 0 can
        never move, and since the smallest factor counts, neither can its variable.
      epsilon: Keeps the root away from 0. Default 1e-7.
      export_clipping_factors: Keep, for each variable, what :meth:`read_explanations` tells, and the last factors in the
        attribute ``clipping_factors``, in the order of the variables. Default False.
      clip_accumulator_update: The accumulator takes ``(sigma * g)^2`` in place of ``g^2``; only with
        ``use_standard_accumulator_update=False``. Default False.
      use_standard_accumulator_update: The accumulator takes the gradient before r is formed, as in the paper. With False
        r is formed from the accumulator of the steps before. Default True.
      name: Name of the optimizer.
      exclude_from_clipping: Regular expressions, searched in the variables' names; a variable that matches is updated by
        plain Adagrad. Each must match a variable. None: Keras's embedding tables (``embeddings``), where there are any.
      groups: Rules for groups of variables, by pattern, see :class:`~.adagrad.Adagrad`; they come before the exclusions.
      granularity: ``variable`` or ``row``, see :class:`~.rules.Clippy`. Default ``variable``.
      **kwargs: As for :class:`~.adagrad.Adagrad`: ``skip_nonfinite``, ``gradient_limit``, ``max_skipped_steps``,
        ``jit_compile``, ``weight_decay`` …

    Raises:
      ValueError: When an argument is out of its range or contradicts another; in :meth:`build`, when a pattern matches
        nothing.

    Example:
    >>> w = tf.Variable([1.0, 0.0])
    >>> optimizer = ClippyAdagrad(learning_rate=1.0, export_clipping_factors=True)
    >>> optimizer.apply_gradients([(tf.constant([1.0, 10.0]), w)])  # w[1] may move by 0.01, Adagrad asks for 1.0
    >>> [round(float(factor), 4) for factor in optimizer.clipping_factors]
    [0.01]
    """

    def __init__(
        self,
        learning_rate: float | tf_keras.optimizers.schedules.LearningRateSchedule = 0.001,
        initial_accumulator_value: float = 0.1,
        variable_relative_threshold: Threshold = 0.5,
        accumulator_relative_threshold: Threshold = 0.0,
        absolute_threshold: Threshold = 1e-2,
        epsilon: float = 1e-7,
        export_clipping_factors: bool = False,
        clip_accumulator_update: bool = False,
        use_standard_accumulator_update: bool = True,
        name: str = "ClippyAdagrad",
        *,
        exclude_from_clipping: Sequence[str] | None = None,
        groups: Mapping[str, Rule | str | Mapping[str, Any] | None] | None = None,
        granularity: Granularity = "variable",
        **kwargs: Any,
    ):
        rule = settings.clippy_rule(
            schedule, variable_relative_threshold, accumulator_relative_threshold, absolute_threshold, granularity
        )
        super().__init__(
            learning_rate,
            rule,
            groups=groups,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            explain=export_clipping_factors,
            use_standard_accumulator_update=use_standard_accumulator_update,
            clip_accumulator_update=clip_accumulator_update,
            exclude_from_clipping=exclude_from_clipping,
            name=name,
            **kwargs,
        )
        # The arguments under the names that TFRS's optimizer has.
        self.initial_accumulator_value = initial_accumulator_value
        self.variable_relative_threshold = rule.relative
        self.accumulator_relative_threshold = rule.accumulator_relative
        self.absolute_threshold = rule.absolute
        self.epsilon = epsilon
        self.export_clipping_factors = export_clipping_factors
        self.clip_accumulator_update = clip_accumulator_update
        self.use_standard_accumulator_update = use_standard_accumulator_update
        self.exclude_from_clipping = self._settings.exclude_from_clipping

    def get_config(self) -> dict[str, Any]:
        """All arguments: a restored optimizer equals this one."""
        return settings.under_tfrs_names(super().get_config())
