"""Reads a bundle."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..keras_compat import list_model_variables, list_variables_of_optimizers
from .batch_structure import rebuild_batch

WEIGHTS, OPTIMIZER, ROWS = "weights", "optimizer_variables", "rows"
"""Prefixes of the names in ``arrays.npz``.

The first two are also keys of ``bundle.json``, with the number of variables.
"""


@dataclasses.dataclass(frozen=True)
class Bundle:
    """The recording of a bad step, which can repeat the step.

    To repeat the step, build and compile the same model, call :meth:`restore`, and then
    ``tf.function(model.train_step)(bundle.batch)``.

    Attributes:
      path: The bundle's folder.
      step: The training step, counted from 1.
      alarms: The signals that raised the alarm.
      signals: Every signal of the step.
      batch: The argument of ``train_step``.
      weights: The model's variables before the step, in the order of :func:`~..keras_compat.list_model_variables`. A
        variable with only some rows saved is a pair of row indices and values.
      optimizer_variables: The optimizer's variables before the step, in the same form.
    """

    path: Path
    step: int
    alarms: tuple[str, ...]
    signals: Mapping[str, float]
    batch: Any
    weights: Sequence[Any]
    optimizer_variables: Sequence[Any]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Bundle:
        """Reads a bundle.

        Args:
          path: The bundle's folder, such as ``bundles/step-000812``.

        Raises:
          ValueError: If the folder holds no bundle or a damaged bundle.
        """
        path = Path(path)
        try:
            metadata = json.loads((path / "bundle.json").read_text(encoding="utf-8"))
            with np.load(path / "arrays.npz") as file:
                arrays = {name: file[name] for name in file.files}
            return cls(
                path=path,
                step=metadata["step"],
                alarms=tuple(metadata["alarms"]),
                signals=metadata["signals"],
                batch=rebuild_batch(metadata["batch"], arrays),
                weights=_read_variables(WEIGHTS, metadata[WEIGHTS], arrays),
                optimizer_variables=_read_variables(OPTIMIZER, metadata[OPTIMIZER], arrays),
            )
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} holds no readable bundle: {error}") from error

    def restore(self, model: Any) -> None:
        """Sets the variables of a model and its optimizer to their values before the step.

        Args:
          model: A built model of the same structure, compiled with the same kind of optimizer, which must be built as
            well.

        Raises:
          ValueError: If the model or its optimizer has different variables.
        """
        for name, variables, values in (
            ("weights", list_model_variables(model), self.weights),
            ("optimizer variables", list_variables_of_optimizers(model), self.optimizer_variables),
        ):
            if len(variables) != len(values):
                raise ValueError(
                    f"{self.path} holds {len(values)} {name}, but the model has {len(variables)}; "
                    "build and compile the model as in the run that saved the bundle"
                )
            for variable, value in zip(variables, values, strict=True):
                _assign(variable, value)


def _read_variables(kind: str, count: int, arrays: Mapping[str, np.ndarray]) -> list[Any]:
    """Reads the values of variables; pairs of row indices and values if only some rows are saved."""
    values: list[Any] = []
    for i in range(count):
        rows = arrays.get(f"{ROWS}/{kind}/{i}")
        value = arrays[f"{kind}/{i}"]
        values.append(value if rows is None else (rows, value))
    return values


def _assign(variable: Any, value: Any) -> None:
    """Sets a variable, or some of its rows."""
    if not isinstance(value, tuple):
        if tuple(value.shape) != tuple(variable.shape):
            raise ValueError(
                f"variable {variable.name} must have the shape of the bundle's variable, {value.shape}, "
                f"got {tuple(variable.shape)}"
            )
        variable.assign(value)
        return
    rows, row_values = value
    values = np.array(tf.convert_to_tensor(variable))
    values[rows] = row_values
    variable.assign(values)
