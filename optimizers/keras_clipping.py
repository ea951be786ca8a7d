"""Keras's own clipping of gradients, by value or norm, without hiding a bad gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def clip_marked(
    ops: Any,
    clip: Callable[[Sequence[Any]], Sequence[Any]],
    gradients: Sequence[Any],
    *,
    limit: float,
    together: bool,
    values_of: Callable[[Any], Any],
    with_values: Callable[[Any, Any], Any],
) -> list[Any]:
    """What Keras's clipping makes of the gradients, except that what is bad stays bad, and nothing else becomes so.

    Clipped as they are, a bad coordinate would pass for a good one, or make the gradients of all variables bad. They are
    clipped in float32 at least, since a norm soon overflows half precision.

    Args:
      ops: The namespace, see :mod:`.clipping`.
      clip: Keras's clipping.
      gradients: Of all variables.
      limit: A coordinate beyond it is as bad as one that is not finite.
      together: Whether the norm is that of all gradients; where one is bad, all stay as they are.
      values_of: A gradient's numbers.
      with_values: A gradient of the same kind with other numbers.

    Returns:
      The gradients, NaN in place of what is bad.
    """

    def marked(x: Any) -> Any:
        x = ops.cast(x, "float64" if x.dtype == "float64" else "float32")
        return ops.where(ops.abs(x) <= limit, x, float("nan"))

    kept = [with_values(gradient, marked(values_of(gradient))) for gradient in gradients]
    clipped = clip(kept)
    if not together:
        return list(clipped)
    # Coordinate by coordinate: the norm of finite numbers may not be finite.
    finite = ops.all(ops.stack([ops.all(ops.isfinite(values_of(gradient))) for gradient in kept]))
    return [
        with_values(was, ops.where(finite, values_of(now), values_of(was)))
        for was, now in zip(kept, clipped, strict=True)
    ]
