"""Where bundles are saved, and how many."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....foundation.atomic_files import new_folder, remove_leftovers


class Bundles:
    """Saves bundles in a folder. Training goes on if one cannot be saved; ``problems`` says why.

    Args:
      folder: The folder. It is made when there is something to save. Only one process at a time may save there.
      max_bundles: Largest number of bundles, over all runs that save there. The first ones are kept. Default 3.
      min_steps_between: Smallest number of steps between two bundles. Default 64.
      max_bytes: A step with more bytes to save is left out. Default 2 GiB.
      files: Files to copy into each bundle, such as the configuration of the run.

    Attributes:
      folder: The folder.
      problems: Why steps could not be saved, one sentence each.

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
        self.problems: list[str] = []
        self._max_bundles = max_bundles
        self._min_steps_between = min_steps_between
        self._max_bytes = max_bytes
        self._files = [Path(file) for file in files]

    @property
    def paths(self) -> list[Path]:
        """The folders of the saved bundles, by step."""
        return sorted(self.folder.glob("step-*")) if self.folder.is_dir() else []

    def can_save(self, step: int) -> bool:
        """Returns whether there is room for one more bundle, and the last one is long enough ago."""
        paths = self.paths
        if len(paths) >= self._max_bundles:
            return False
        return not paths or step - int(paths[-1].name.rpartition("-")[2]) >= self._min_steps_between

    def save(self, step: int, metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Saves one bundle.

        Args:
          step: The training step.
          metadata: What ``bundle.json`` holds besides the step.
          arrays: What ``arrays.npz`` holds.
        """
        size = sum(array.nbytes for array in arrays.values())
        if size > self._max_bytes:
            self.problems.append(
                f"Step {step:,} was not saved: it has {size:,} bytes, a bundle may have {self._max_bytes:,}."
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
            self.problems.append(f"Step {step:,} was not saved: {error}.")
