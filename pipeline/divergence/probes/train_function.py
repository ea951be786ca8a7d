"""Runs a model's training steps with probes, and leaves the model unchanged between two steps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


class MonitoredTrainFunction:
    """A second compiled training step of a model, which Keras calls in place of its own.

    Keras calls ``model.train_function`` for each step. :meth:`install` replaces the attribute for one call only. So the
    model has its own methods whenever other code sees it: in other callbacks, when it is saved or copied, during
    validation, and after an exception.

    Args:
      model: A compiled Keras model.
      attach_probes: Returns a context in which the model's training step is measured.
    """

    def __init__(self, model: Any, attach_probes: Callable[[], AbstractContextManager[None]]):
        self._model = model
        self._attach_probes = attach_probes
        self._replacement = self._run_step
        self._own: Any = None
        self._monitored: Any = None
        self._own_graph: Any = None
        self._monitored_graph: Any = None

    def install(self) -> None:
        """Replaces the model's train function for the next call."""
        model = self._model
        if model.train_function is None:
            _set(model, "train_function", self._make())
        own = model.train_function
        if self in _list_chain(own):
            return
        if own is not self._own:
            # Keras made a new function, because the model was compiled again.
            self._own, self._monitored = own, None
            self._own_graph = getattr(model, "train_tf_function", None)
        _set(model, "train_function", self._replacement)

    def remove(self) -> None:
        """Restores the model's train function."""
        chain = _list_chain(self._model.train_function)
        if self in chain:
            _set(self._model, "train_function", chain[-1]._own)
        if self._own is not None:
            self._show_graph(self._own_graph)

    def _run_step(self, *args: Any, **kwargs: Any) -> Any:
        _set(self._model, "train_function", self._own)
        with self._attach_probes():
            if self._monitored is None:
                # Another monitor's function measures for both.
                self._monitored = self._own if _list_chain(self._own) else self._make()
                self._monitored_graph = getattr(self._model, "train_tf_function", None)
            self._show_graph(self._monitored_graph)
            return self._monitored(*args, **kwargs)

    def _make(self) -> Any:
        """Makes a train function as Keras does, and returns it."""
        model = self._model
        own = model.train_function
        _set(model, "train_function", None)
        try:
            # Keras 3 returns nothing.
            return model.make_train_function() or model.train_function
        finally:
            _set(model, "train_function", own)

    def _show_graph(self, function: Any) -> None:
        """Sets the function whose graph Keras 2 writes for TensorBoard. It must have been called."""
        if function is not None:
            _set(self._model, "train_tf_function", function)


def _list_chain(function: Any) -> list[MonitoredTrainFunction]:
    """Lists the monitored functions that a train function calls, if several monitors measure the model."""
    chain: list[MonitoredTrainFunction] = []
    while isinstance(getattr(function, "__self__", None), MonitoredTrainFunction):
        chain.append(function.__self__)
        function = function.__self__._own
    return chain


def _set(model: Any, name: str, value: Any) -> None:
    object.__setattr__(model, name, value)
