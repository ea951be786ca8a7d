"""A drop-in for ``tfrs.experimental.optimizers.clippy_adagrad``: change the import, and every number stays.

    from steadyrank.optimizers import tfrs
    optimizer = tfrs.ClippyAdagrad(0.1)

What is left out takes TFRS's values, which are not the paper's; ``steadyrank.optimizers.ClippyAdagrad`` has those:

| argument | here, as in TFRS | ``steadyrank.optimizers.ClippyAdagrad`` |
|---|---|---|
| ``variable_relative_threshold`` | 0.1 | 0.5 |
| ``absolute_threshold`` | 1e-7 | 1e-2 |
| ``use_standard_accumulator_update`` | False: the accumulator takes the gradient after the step | True |
| embedding tables | clipped like all else | not clipped |

Checkpoints of TFRS's optimizer can be restored (``assert_existing_objects_matched`` holds); counts and explanations are not in
them, and not in this one's. What differs is what was a fault:
a gradient that is not finite skips the step; weight decay is part of the step that is bounded; a restored configuration has all
arguments; arguments are checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from . import clippy_adagrad
from .rule import Granularity, Rule, Threshold


@tf_keras.utils.register_keras_serializable("steadyrank.tfrs")
class ClippyAdagrad(clippy_adagrad.ClippyAdagrad):
    """Adagrad with Clippy and the values of ``tfrs.experimental.optimizers.ClippyAdagrad`` where an argument is left out.

    When to use it: in a program that uses TFRS's optimizer and whose numbers must stay.

    The formula, the arguments and the errors are those of :class:`steadyrank.optimizers.ClippyAdagrad`; the defaults are in
    the module's table. ``exclude_from_clipping`` is empty by default.
    """

    def __init__(
        self,
        learning_rate: float | tf_keras.optimizers.schedules.LearningRateSchedule = 0.001,
        initial_accumulator_value: float = 0.1,
        variable_relative_threshold: Threshold = 0.1,
        accumulator_relative_threshold: Threshold = 0.0,
        absolute_threshold: Threshold = 1e-7,
        epsilon: float = 1e-7,
        export_clipping_factors: bool = False,
        clip_accumulator_update: bool = False,
        use_standard_accumulator_update: bool = False,
        name: str = "ClippyAdagrad",
        *,
        exclude_from_clipping: Sequence[str] | None = (),
        groups: Mapping[str, Rule | str | Mapping[str, Any] | None] | None = None,
        granularity: Granularity = "variable",
        **kwargs: Any,
    ):
        super().__init__(
            learning_rate,
            initial_accumulator_value,
            variable_relative_threshold,
            accumulator_relative_threshold,
            absolute_threshold,
            epsilon,
            export_clipping_factors,
            clip_accumulator_update,
            use_standard_accumulator_update,
            name,
            exclude_from_clipping=exclude_from_clipping,
            groups=groups,
            granularity=granularity,
            **kwargs,
        )

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        # TFRS's checkpoints hold no counts: with them among the children, restoring one would seem incomplete. Where a rule
        # remembers, which TFRS has not, what it remembers must be kept.
        children = super()._trackable_children(save_type, **kwargs)
        if getattr(self, "_state", None) is not None and self._state.rule_state is not None:
            return children
        return {name: child for name, child in children.items() if name != "_state"}


def shrink_by_references(
    tensor: tf.Tensor,
    references: Sequence[tf.Tensor],
    relative_factors: Sequence[float],
    absolute_factor: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scales a tensor as a whole so that each coordinate is at most a sum of shares of references.

    ``scale = min(1, min_i (sum_j relative_factors_j * abs(references_ji) + absolute_factor) / abs(tensor_i))``; coordinates
    that are 0 bind nothing.

    Args:
      tensor: What is to be scaled.
      references: Tensors that can be broadcast to ``tensor``.
      relative_factors: One number of 0 or more for each reference.
      absolute_factor: A number of 0 or more.

    Returns:
      ``tensor * scale``, and the scalar ``scale``.

    Raises:
      ValueError: When a factor is below 0, or there are not as many relative factors as references.
    """
    if any(factor < 0 for factor in relative_factors):
        raise ValueError(f"relative_factors must all be 0 or more, got {list(relative_factors)}")
    if absolute_factor < 0:
        raise ValueError(f"absolute_factor must be 0 or more, got {absolute_factor}")
    if len(references) != len(relative_factors):
        raise ValueError(
            f"there must be one relative factor for each reference, got {len(relative_factors)} for {len(references)}"
        )
    tensor = tf.convert_to_tensor(tensor)
    allowed = tf.zeros_like(tensor) + absolute_factor
    for reference, factor in zip(references, relative_factors, strict=True):
        allowed += tf.abs(reference) * factor
    room = tf.where(tensor == 0, tf.ones_like(tensor), tf.math.divide_no_nan(allowed, tf.abs(tensor)))
    scale = tf.minimum(tf.ones([], tensor.dtype), tf.reduce_min(room))
    return tensor * scale, scale
