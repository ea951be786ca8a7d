"""A drop-in for ``tfrs.experimental.optimizers.clippy_adagrad``: change the import, and every number stays the same.

    from steadyrank.optimizers import tfrs
    optimizer = tfrs.ClippyAdagrad(0.1)

The defaults are those of TFRS and differ from the paper's, which ``steadyrank.optimizers.ClippyAdagrad`` has:

| argument | here, as in TFRS | ``steadyrank.optimizers.ClippyAdagrad`` |
|---|---|---|
| ``variable_relative_threshold`` | 0.1 | 0.5 |
| ``absolute_threshold`` | 1e-7 | 1e-2 |
| ``use_standard_accumulator_update`` | False: the accumulator takes the gradient after the step | True |
| embedding tables | clipped, as all other variables are | not clipped |

This optimizer restores checkpoints of the TFRS optimizer (``assert_existing_objects_matched`` succeeds). Like those,
its own checkpoints contain no counts and no explanations.

It corrects four faults of the original:

* A gradient that is not finite skips the step.
* Weight decay is part of the bounded step.
* ``get_config`` returns all arguments.
* Arguments are checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from . import clippy_adagrad
from .arguments import RuleLike
from .rule import Granularity, Threshold


@tf_keras.utils.register_keras_serializable("steadyrank.tfrs")
class ClippyAdagrad(clippy_adagrad.ClippyAdagrad):
    """Adagrad with Clippy and the defaults of ``tfrs.experimental.optimizers.ClippyAdagrad``.

    When to use it: in a program that uses the optimizer of TFRS and must keep its numbers.

    Formula, arguments and errors are the same as in :class:`steadyrank.optimizers.ClippyAdagrad`; the table in the
    module's docstring lists the defaults that differ. By default, every variable is clipped.

    Example:
    >>> from steadyrank.optimizers import tfrs
    >>> tfrs.ClippyAdagrad(0.1).variable_relative_threshold
    0.1
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
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
        groups: Mapping[str, RuleLike] | None = None,
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
        # Checkpoints of TFRS have no counts. If counts were among the children, restoring such a checkpoint would seem
        # incomplete. A rule's state must be saved; no rule of TFRS has one.
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
    """Scales a tensor by one factor, so that no coordinate exceeds a weighted sum of references in absolute value.

    ``scale = min(1, min_i (sum_j relative_factors_j * |references_ji| + absolute_factor) / |tensor_i|)``; the minimum
    ignores coordinates that are 0.

    Args:
      tensor: The tensor to scale.
      references: Tensors that can be broadcast to the shape of ``tensor``.
      relative_factors: The weight of each reference, 0 or more.
      absolute_factor: Added to the weighted sum, 0 or more.

    Returns:
      ``tensor * scale``, and the scalar ``scale``.

    Raises:
      ValueError: If a factor is below 0, or the number of relative factors differs from the number of references.
    """
    if any(factor < 0 for factor in relative_factors):
        raise ValueError(f"relative_factors must all be 0 or more, got {list(relative_factors)}")
    if absolute_factor < 0:
        raise ValueError(f"absolute_factor must be 0 or more, got {absolute_factor}")
    if len(references) != len(relative_factors):
        raise ValueError(
            f"relative_factors must have one relative factor for each of the {len(references)} references, got "
            f"{len(relative_factors)}"
        )
    tensor = tf.convert_to_tensor(tensor)
    allowed = tf.zeros_like(tensor) + absolute_factor
    for reference, factor in zip(references, relative_factors, strict=True):
        allowed += tf.abs(reference) * factor
    ratio = tf.where(tensor == 0, tf.ones_like(tensor), tf.math.divide_no_nan(allowed, tf.abs(tensor)))
    scale = tf.minimum(tf.ones([], tensor.dtype), tf.reduce_min(ratio))
    return tensor * scale, scale
