"""Applies Keras's gradient clipping, by value or norm, without hiding a bad gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def clip_and_keep_bad(
    ops: Any,
    clip: Callable[[Sequence[Any]], Sequence[Any]],
    gradients: Sequence[Any],
    *,
    limit: float,
    is_global: bool,
    get_values: Callable[[Any], Any],
    replace_values: Callable[[Any, Any], Any],
) -> list[Any]:
    """Applies Keras's clipping so that bad coordinates stay bad and no others become bad.

    Keras alone would turn a bad coordinate into a good one, or make the gradients of all variables bad. The clipping
    runs in at least float32, because a norm soon overflows half precision.

    Args:
      ops: A namespace with NumPy's names.
      clip: Keras's clipping.
      gradients: The gradients of all variables.
      limit: Largest absolute value of a good coordinate.
      is_global: Whether Keras clips by the norm of all gradients together. If so, one bad gradient leaves all gradients
        unclipped.
      get_values: Returns the numbers of a gradient.
      replace_values: Returns a gradient of the same kind with other numbers.

    Returns:
      The gradients, with NaN in place of bad coordinates.
    """

    def mark(x: Any) -> Any:
        x = ops.cast(x, "float64" if x.dtype == "float64" else "float32")
        return ops.where(ops.abs(x) <= limit, x, float("nan"))

    marked = [replace_values(gradient, mark(get_values(gradient))) for gradient in gradients]
    clipped = clip(marked)
    if not is_global:
        return list(clipped)
    # Checks each coordinate instead of the norm, because the norm of finite numbers may overflow.
    is_finite = ops.all(ops.stack([ops.all(ops.isfinite(get_values(gradient))) for gradient in marked]))
    return [
        replace_values(old, ops.where(is_finite, get_values(new), get_values(old)))
        for old, new in zip(marked, clipped, strict=True)
    ]
