"""Replaces attributes of objects temporarily."""

from __future__ import annotations

import functools
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
        """Replaces a method by ``wrapper``, which receives the original method and the call's arguments."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return wrapper(original, *args, **kwargs)

        self.set(owner, name, wrapped)

    def undo(self) -> None:
        """Restores all attributes, the last one first."""
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
