"""The bundle of a bad step: everything that is needed to take that step again, saved while it happens.

When a signal of a step leaves what is usual, and before the optimizer writes, the batch, all weights and all that the optimizer
keeps go to a folder. Nothing is copied in any other step. A bundle is complete or absent, whenever the process ends.

    step-000812/bundle.json    the step, what raised the alarm, every signal of the step, names, the batch's structure
    step-000812/arrays.npz     batch, weights and the optimizer's variables

Of embedding tables with sparse gradients, and of whatever the optimizer keeps in their shape, the touched rows alone are saved:
the step reads and writes no other. Random numbers, such as dropout's, are repeated in Keras 3, where their state is a variable;
in Keras 2 they are not.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .keras_compat import list_model_variables, list_optimizer_variables
from .windows import Signal

_ROWS = "rows"


class Bundles:
    """Where bundles go, and how many.

    Args:
      folder: Made when there is something to save. One process at a time saves there.
      max_bundles: Most bundles, over all runs that save there; the first ones are kept.
      min_steps_between: Least steps between two.
      max_bytes: A step with more than this to save is left out.
      files: Copied into each bundle.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        max_bundles: int = 3,
        min_steps_between: int = 64,
        max_bytes: int = 2 << 30,
        files: Sequence[str | os.PathLike[str]] = (),
    ):
        self.folder = Path(folder)
        self.max_bundles = max_bundles
        self.min_steps_between = min_steps_between
        self.max_bytes = max_bytes
        self._files = [Path(file) for file in files]
        self.problems: list[str] = []
        """What could not be saved, in words; nothing is raised for it."""

    @property
    def paths(self) -> list[Path]:
        """The bundles that are there, by step."""
        return sorted(self.folder.glob("step-*")) if self.folder.is_dir() else []

    def can_save(self, step: int) -> bool:
        """Whether there is room for one more, and the last one is long enough ago."""
        saved = self.paths
        return len(saved) < self.max_bundles and not (
            saved and step - int(saved[-1].name.rpartition("-")[2]) < self.min_steps_between
        )

    def save(self, step: int, metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Writes one bundle; training goes on whatever happens."""
        size = sum(array.nbytes for array in arrays.values())
        if size > self.max_bytes:
            self.problems.append(
                f"step {step}: {size:,} bytes are more than the {self.max_bytes:,} that a bundle may have"
            )
            return
        place = self.folder / f"step-{step:06d}"
        beside = self.folder / f".step-{step:06d}-{os.getpid()}"
        try:
            # What a killed process left.
            for torn in self.folder.glob(".step-*"):
                shutil.rmtree(torn, ignore_errors=True)
            beside.mkdir(parents=True, exist_ok=True)
            with open(beside / "arrays.npz", "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            (beside / "bundle.json").write_text(json.dumps({"step": step} | dict(metadata), indent=1), encoding="utf-8")
            for source in self._files:
                if source.exists():
                    shutil.copy(source, beside / source.name)
            beside.rename(place)
        except OSError as error:
            self.problems.append(f"step {step}: {error}")
            shutil.rmtree(beside, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A bad step, read back.

    Attributes:
      path: Its folder.
      step: The training step, counted from 1.
      alarms: The signals that raised the alarm.
      signals: Every signal of the step.
      batch: What ``train_step`` was given.
      weights, kept: Variables of the model (see :func:`.keras_compat.list_model_variables`) and of the optimizer before the step. A pair of
        rows and values where only some rows were saved.
    """

    path: Path
    step: int
    alarms: tuple[str, ...]
    signals: Mapping[str, float]
    batch: Any
    weights: Sequence[Any]
    kept: Sequence[Any]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Bundle:
        """Reads one.

        Raises:
          ValueError: When it is none, or is damaged.
        """
        path = Path(path)
        try:
            told = json.loads((path / "bundle.json").read_text(encoding="utf-8"))
            with np.load(path / "arrays.npz") as held:
                arrays = {name: held[name] for name in held.files}
            variables = {
                kind: [
                    (arrays[f"{_ROWS}/{kind}/{i}"], arrays[f"{kind}/{i}"])
                    if f"{_ROWS}/{kind}/{i}" in arrays
                    else arrays[f"{kind}/{i}"]
                    for i in range(told[kind])
                ]
                for kind in ("weights", "kept")
            }
            return cls(
                path=path,
                step=told["step"],
                alarms=tuple(told["alarms"]),
                signals=told["signals"],
                batch=_filled(told["batch"], arrays),
                **variables,
            )
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} holds no bundle that can be read: {error}") from error

    def restore(self, model: Any) -> None:
        """Puts a model of the same structure, compiled with the same optimizer, where this one stood before the step.

        Raises:
          ValueError: When the model has other variables.
        """
        for what, variables, values in (
            ("weights", list_model_variables(model), self.weights),
            ("the optimizer's variables", list_optimizer_variables(model.optimizer), self.kept),
        ):
            if len(variables) != len(values):
                raise ValueError(f"{self.path} holds {len(values)} of {what}, the model has {len(variables)}")
            for variable, value in zip(variables, values, strict=True):
                put(variable, value)


def put(variable: Any, value: Any) -> None:
    """Assigns what a bundle holds of a variable."""
    if not isinstance(value, tuple):
        if tuple(value.shape) != tuple(variable.shape):
            raise ValueError(f"{variable.name} has the shape {tuple(variable.shape)}, the bundle's {value.shape}")
        variable.assign(value)
        return
    rows, numbers = value
    whole = np.array(tf.convert_to_tensor(variable))
    whole[rows] = numbers
    variable.assign(whole)


def save_in_graph(
    bundles: Bundles,
    model: Any,
    data: Any,
    early: Mapping[int, tf.Tensor],
    gradients: Sequence[Any],
    signals: Sequence[Signal],
    alarms: tf.Tensor,
    place: tf.Tensor,
    step_of: Callable[[int], int],
) -> tf.Tensor:
    """The operation that saves the step that is traced, to be run when there is an alarm, before the optimizer writes.

    Args:
      bundles: Where to.
      model: The model.
      data: What ``train_step`` was given.
      early: By the identity of a variable its value before the step, of those that the model itself writes.
      gradients: Of its trainable variables.
      signals: Of the step, as far as they are known.
      alarms: For each signal whether it raised the alarm.
      place: The step's place among those since the last reading.
      step_of: Tells the training step from the place.
    """
    rows = _rows_by_shape(gradients)
    tensors: dict[str, tf.Tensor] = {}
    counts = {}
    for kind, variables in (
        ("weights", list_model_variables(model)),
        ("kept", list_optimizer_variables(model.optimizer)),
    ):
        counts[kind] = len(variables)
        for i, variable in enumerate(variables):
            touched = rows.get(tuple(variable.shape))
            value = early[id(variable)] if id(variable) in early else tf.convert_to_tensor(variable)
            tensors[f"{kind}/{i}"] = value if touched is None else tf.gather(value, touched)
            if touched is not None:
                tensors[f"{_ROWS}/{kind}/{i}"] = touched
    structure, leaves = _structure(data)
    tensors |= leaves
    names = [signal.name for signal in signals]
    keys = list(tensors)

    def write(place: np.ndarray, raised: np.ndarray, values: np.ndarray, *arrays: np.ndarray) -> np.int64:
        told = {
            "alarms": [name for name, one in zip(names, raised, strict=True) if one],
            "signals": dict(zip(names, map(float, values), strict=True)),
            "batch": structure,
            **counts,
        }
        plain = (array.astype("S") if array.dtype == object else array for array in arrays)
        bundles.save(step_of(int(place)), told, dict(zip(keys, plain, strict=True)))
        return np.int64(0)

    values = tf.stack([tf.cast(signal.value, tf.float64) for signal in signals])
    return tf.numpy_function(write, [place, alarms, values, *tensors.values()], tf.int64)


def _rows_by_shape(gradients: Sequence[Any]) -> dict[tuple[int, ...], tf.Tensor]:
    """For each shape of a table with a sparse gradient the rows that any such table's gradient touches."""
    touched: dict[tuple[int, ...], list[tf.Tensor]] = {}
    for gradient in gradients:
        if isinstance(gradient, tf.IndexedSlices) and gradient.dense_shape is not None:
            shape = tf.get_static_value(gradient.dense_shape)
            if shape is not None:
                touched.setdefault(tuple(map(int, shape)), []).append(tf.cast(gradient.indices, tf.int64))
    return {shape: tf.unique(tf.concat(rows, axis=0))[0] for shape, rows in touched.items()}


def _structure(data: Any) -> tuple[Any, dict[str, tf.Tensor]]:
    """A batch's structure, in plain types with its leaves' names in their places, and the leaves by name."""
    leaves: dict[str, tf.Tensor] = {}

    def visit(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {"mapping": {name: visit(value) for name, value in part.items()}}
        if isinstance(part, list | tuple):
            return {"tuple": [visit(value) for value in part]}
        if part is None:
            return None
        name = f"batch/{len(leaves)}"
        leaves[name] = tf.convert_to_tensor(part)
        return name

    return visit(data), leaves


def _filled(structure: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if structure is None:
        return None
    if isinstance(structure, str):
        return tf.constant(arrays[structure])
    if "mapping" in structure:
        return {name: _filled(value, arrays) for name, value in structure["mapping"].items()}
    return tuple(_filled(value, arrays) for value in structure["tuple"])
