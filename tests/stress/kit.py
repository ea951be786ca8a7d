"""What a foreign program receives: its Keras, callbacks, optimizers and data, each perhaps replaced by a check."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from steadyrank import optimizers
from steadyrank.optimizers import keras3 as keras3_optimizers
from steadyrank.pipeline.divergence import DivergenceMonitor, keras3

Damage = Literal["nan_early", "nan_late", "explode"]
_MODULES = {2: "tf_keras", 3: "keras"}
_MONITORS = {2: DivergenceMonitor, 3: keras3.DivergenceMonitor}
_OPTIMIZERS = {2: optimizers, 3: keras3_optimizers}
_NAN_POSITIONS: Mapping[str | None, float] = {"nan_early": 0.07, "nan_late": 0.8}


@dataclasses.dataclass(frozen=True)
class Program:
    """A program in the manner of a public tutorial.

    Attributes:
      run: Trains the program's models.
      versions: The versions of Keras in which it runs.
      falls: Whether the loss falls with any optimizer. It does not in adversarial programs.
      has_own_optimizer: Whether the program needs its own optimizer, so that ours cannot replace it.
    """

    run: Callable[[Run], None]
    versions: tuple[int, ...]
    falls: bool
    has_own_optimizer: bool


PROGRAMS: dict[str, Program] = {}
"""All programs by name."""


def program(*versions: int, falls: bool = True, has_own_optimizer: bool = False) -> Callable[[Any], Any]:
    """Registers a function as a program for these versions of Keras; both by default."""

    def register(function: Callable[[Run], None]) -> Callable[[Run], None]:
        PROGRAMS[function.__name__] = Program(function, versions or (2, 3), falls, has_own_optimizer)
        return function

    return register


class Run:
    """One run of a program.

    Args:
      version: The version of Keras, 2 or 3.
      folder: An empty folder for files.
      monitor: Arguments of the divergence monitor; None for a run without it.
      optimizer: Name of our optimizer that replaces the program's.
      damage: What breaks the training.
    """

    def __init__(
        self,
        version: int,
        folder: Path,
        *,
        monitor: Mapping[str, Any] | None = None,
        optimizer: str | None = None,
        damage: Damage | None = None,
    ):
        self.keras: Any = importlib.import_module(_MODULES[version])
        self.version = version
        self.folder = folder
        self.models: list[Any] = []
        self.results: list[Mapping[str, Any]] = []
        self.monitors: list[Any] = []
        self._monitor = monitor
        self._optimizer = optimizer
        self._damage = damage
        self._has_damaged_data = False
        self.random = np.random.default_rng(0)
        self.keras.backend.clear_session()
        self.keras.utils.set_random_seed(7)

    # For programs.

    def callbacks(self, *others: Any, again: bool = False) -> list[Any]:
        """Returns the program's own callbacks and the monitor: a new one, or the last one with ``again``."""
        if self._monitor is None:
            return list(others)
        if not again:
            arguments = dict(self._monitor)
            if "bundles" in arguments:
                arguments["bundles"] = str(self.folder / f"bundles-{len(self.monitors)}")
            self.monitors.append(_MONITORS[self.version](**arguments))
        return [*others, self.monitors[-1]]

    @property
    def is_damaged(self) -> bool:
        """Whether something breaks this training."""
        return self._damage is not None

    def optimizer(self, make: Any, rate: Any = 0.01, **arguments: Any) -> Any:
        """Returns the program's optimizer ``make(rate)``, or ours in its place."""
        if self._optimizer is not None:
            return getattr(_OPTIMIZERS[self.version], self._optimizer)(0.1)
        if self._damage == "explode" and isinstance(rate, float):
            return self.keras.optimizers.SGD(1e12)
        return make(rate, **arguments)

    def data(self, values: Any) -> np.ndarray:
        """Returns an array as float32, perhaps with one NaN in it. Only the first array of a program is damaged."""
        array = np.array(values, np.float32)
        position = _NAN_POSITIONS.get(self._damage)
        if position is not None and not self._has_damaged_data:
            array[int(position * len(array))].flat[0] = np.nan
            self._has_damaged_data = True
        return array

    def normal(self, *shape: int) -> np.ndarray:
        """Returns normal random numbers, perhaps damaged."""
        return self.data(self.random.normal(size=shape))

    def fit(self, model: Any, *arguments: Any, callbacks: Any = None, **options: Any) -> Any:
        """Fits a model with the monitor, and records the model and its history."""
        options.setdefault("verbose", 0)
        callbacks = self.callbacks() if callbacks is None else callbacks
        history = model.fit(*arguments, callbacks=callbacks, **options)
        self.record(model, history.history)
        return history

    def record(self, model: Any, result: Mapping[str, Any]) -> None:
        """Records a trained model and its metrics."""
        if not any(model is other for other in self.models):
            self.models.append(model)
        self.results.append({name: np.array(value).tolist() for name, value in result.items()})

    # For checks.

    def list_weights(self) -> list[np.ndarray]:
        """Returns the weights of all models, without vocabularies."""
        return [
            np.array(variable) for model in self.models for variable in model.weights if hasattr(variable, "assign")
        ]
