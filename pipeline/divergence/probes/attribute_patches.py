"""Replaces attributes of objects temporarily."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

_MISSING = object()


class AttributePatches:
    """Replaces attributes until :meth:`undo`.

    Example:
    >>> class Model:
    ...     def step(self, x):
    ...         return x + 1
    >>> model, patches = Model(), AttributePatches()
    >>> patches.wrap(model, "step", lambda original, x: 10 * original(x))
    >>> model.step(1)
    20
    >>> patches.undo()
    >>> model.step(1)
    2
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def __bool__(self) -> bool:
        return bool(self._undo)

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Sets an attribute of an object, bypassing any ``__setattr__`` of its class."""
        previous = vars(owner).get(name, _MISSING)
        object.__setattr__(owner, name, value)

        def undo() -> None:
            if previous is _MISSING:
                object.__delattr__(owner, name)
            else:
                object.__setattr__(owner, name, previous)

        self._undo.append(undo)

    def wrap(self, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
        """Replaces a method by ``wrapper``, which receives the original method and the call's arguments.

        The replacement has the name, signature and documentation of the original, because Keras inspects them.
        """
        original = getattr(owner, name)
        is_bound = inspect.ismethod(original) and original.__self__ is owner
        function = original.__func__ if is_bound else original

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return wrapper(original, *(args[1:] if is_bound else args), **kwargs)

        attributes = vars(wrapped)
        attributes["__signature__"] = _get_signature(function)
        # TensorFlow would call the original in place of a function with this attribute.
        attributes.pop("_tf_decorator", None)
        # AutoGraph does not convert functions with this attribute. The wrapper decides on the original's conversion.
        attributes.setdefault("autograph_info__", {})
        self.set(owner, name, types.MethodType(wrapped, owner) if is_bound else wrapped)

    def undo(self) -> None:
        """Restores all attributes, the last one first."""
        while self._undo:
            self._undo.pop()()


@functools.lru_cache(maxsize=1024)
def _get_signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None
