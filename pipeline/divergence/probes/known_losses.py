"""Recognizes the losses of Keras for which the loss of a constant prediction is known."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from ..keras_compat import is_from_keras


class KnownLoss(NamedTuple):
    """A kind of loss for which the loss of a constant prediction is known.

    Attributes:
      kind: The formula.
      is_logits: Whether the predictions are logits.
      label_smoothing: Keras's argument of the same name.
    """

    kind: Literal["binary", "squared"]
    is_logits: bool = False
    label_smoothing: float = 0.0


_KINDS: dict[str, Literal["binary", "squared"]] = {
    "binary_crossentropy": "binary",
    "BinaryCrossentropy": "binary",
    "bce": "binary",
    "BCE": "binary",
    "mean_squared_error": "squared",
    "MeanSquaredError": "squared",
    "mse": "squared",
    "MSE": "squared",
}
"""The names by which Keras knows these losses, as an argument of ``compile``, a function or a class."""


def classify_loss(loss: Any) -> KnownLoss | None:
    """Classifies an argument of ``compile``.

    Args:
      loss: A name, a function or an object. A user's own function or class may have the name of a loss of Keras, but
        another formula.

    Returns:
      The kind of loss; None for any other loss.

    Example:
    >>> classify_loss("mse")
    KnownLoss(kind='squared', is_logits=False, label_smoothing=0.0)
    >>> def mse(y_true, y_pred): ...
    >>> classify_loss(mse)
    """
    if isinstance(loss, str):
        return KnownLoss(_KINDS[loss]) if loss in _KINDS else None
    is_object = hasattr(loss, "get_config")
    named = type(loss) if is_object else loss
    kind = _KINDS.get(getattr(named, "__name__", ""))
    if kind is None or not is_from_keras(named):
        return None
    config = loss.get_config() if is_object else {}
    if kind == "squared":
        return KnownLoss(kind)
    return KnownLoss(kind, bool(config.get("from_logits", False)), float(config.get("label_smoothing", 0.0)))
