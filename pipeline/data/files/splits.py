"""Finds training and test data in one log, which a run would mix."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

_SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
    **dict.fromkeys(("validation", "valid", "validate", "val", "dev", "eval", "evaluation", "holdout"), "validation"),
}


def find_mixed_splits(files: Iterable[str]) -> list[str]:
    """Returns one folder or file of each split, the training data first, if a folder of the log holds several.

    Args:
      files: Paths relative to the log.

    Example:
    >>> find_mixed_splits(["split=train/a.parquet", "split=test/a.parquet"])
    ['split=train', 'split=test']
    >>> find_mixed_splits(["train-00000-of-00001.parquet", "test-00000-of-00001.parquet"])
    ['train-00000-of-00001.parquet', 'test-00000-of-00001.parquet']
    >>> find_mixed_splits(["day=1/test.parquet", "day=2/test.parquet"])
    []
    """
    examples: dict[str, dict[str, str]] = {}
    for file in files:
        parts = file.split("/")
        for level, name in enumerate(parts):
            split = _find_split(name, is_file=level == len(parts) - 1)
            if split:
                examples.setdefault("/".join(parts[:level]), {}).setdefault(split, "/".join(parts[: level + 1]))
    mixed = (names for names in examples.values() if "train" in names and len(names) > 1)
    return next(([names.pop("train"), *names.values()] for names in mixed), [])


def _find_split(name: str, is_file: bool) -> str | None:
    if not is_file:
        # The command ``convert`` numbers splits, such as ``split=0-train``. Their order is known.
        return _SPLITS.get(name.rpartition("=")[2].lower())
    words = re.split(r"[^a-z]+", posixpath.basename(name).split(".")[0].lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)
