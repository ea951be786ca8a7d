"""Saves a limited number of bundles."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....foundation.atomic_files import new_folder, remove_leftovers
from ..problems import Problems


class Bundles:
    """Saves bundles in a folder. If a bundle cannot be saved, training continues and ``problems`` records the reason.

    Args:
      folder: The folder, created with the first bundle. Only one process may save there at a time.
      max_bundles: Largest number of bundles in the folder. Later bad steps are not saved. Default 3.
      min_steps_between: Smallest number of steps between two bundles. Default 64.
      max_bytes: Largest size of the arrays of a bundle. Larger steps are not saved. Default 2 GiB.
      files: Files to copy into each bundle, such as the configuration of the run.

    Attributes:
      folder: The folder.
      problems: The reasons why steps could not be saved, one sentence each. A monitor adds its own problems.

    Example:
    >>> Bundles("bad_steps", max_bundles=1).can_save(100)
    True
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
        self.problems = Problems()
        self._max_bundles = max_bundles
        self._min_steps_between = min_steps_between
        self._max_bytes = max_bytes
        self._files = [Path(file) for file in files]

    @property
    def saved(self) -> list[Path]:
        """The folders of the saved bundles, by step."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if re.fullmatch(r"step-\d+", path.name))

    def can_save(self, step: int) -> bool:
        """Returns whether the folder has room for another bundle, and the last one is old enough."""
        paths = self.saved
        if len(paths) >= self._max_bundles:
            return False
        return not paths or step - int(paths[-1].name.rpartition("-")[2]) >= self._min_steps_between

    def save(self, step: int, metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Saves one bundle.

        Args:
          step: The training step.
          metadata: The content of ``bundle.json`` besides the step.
          arrays: The content of ``arrays.npz``.
        """
        size = sum(array.nbytes for array in arrays.values())
        if size > self._max_bytes:
            self.problems.record(
                f"Step {step:,} was not saved: its size is {size:,} bytes, and the limit is {self._max_bytes:,} bytes."
            )
            return
        try:
            remove_leftovers(self.folder, ".step-*")
            with new_folder(self.folder / f"step-{step:06d}", f".step-{step:06d}-{os.getpid()}") as folder:
                with open(folder / "arrays.npz", "wb") as file:
                    np.savez(file, **arrays)  # type: ignore[arg-type]
                (folder / "bundle.json").write_text(
                    json.dumps({"step": step} | dict(metadata), indent=1), encoding="utf-8"
                )
                for source in self._files:
                    if source.exists():
                        shutil.copy(source, folder / source.name)
        except OSError as error:
            self.problems.record(f"Step {step:,} was not saved: {error}.")
