"""Caches the statistics of a log of files, so that the next run on the same files does not read all rows again.

An entry is a JSON file in ``$XDG_CACHE_HOME/steadyrank`` (``~/.cache/steadyrank`` by default). Its name is a hash of
the schema and the source's fingerprint, so an entry never becomes stale: a changed file has another fingerprint. The
folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...foundation.atomic_files import write_text
from ...models.statistics import Statistics
from .source import Source


@dataclasses.dataclass(frozen=True)
class Entry:
    """The content of one file of the cache.

    Attributes:
      statistics: Means, standard deviations and label means.
      vocabularies: The values of each embedding table whose vocabulary comes from the log, the most frequent first.
      limits: Bounds of the features with values far from all others.
      remarks: A sentence on each of these features.
    """

    statistics: Statistics
    vocabularies: Mapping[str, Sequence[Any]]
    limits: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def find_path(source: Source, days: Sequence[int]) -> Path | None:
    """Returns the file for the statistics of some days, or None for a source without a fingerprint."""
    fingerprint = source.fingerprint(days)
    if fingerprint is None:
        return None
    key = json.dumps([source.schema.to_dict(), fingerprint], sort_keys=True)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "steadyrank"
    return folder / f"statistics-{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def read(path: Path) -> Entry | None:
    """Reads an entry; None if it does not exist or cannot be understood."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        mean, deviation = (
            {name: np.array(values, np.float32) for name, values in content[kind].items()}
            for kind in ("mean", "deviation")
        )
        vocabularies = {table: list(values) for table, values in content["vocabularies"].items()}
        limits = {name: (float(low), float(high)) for name, (low, high) in content["limits"].items()}
        statistics = Statistics(mean, deviation, content["label_mean"])
        return Entry(statistics, vocabularies, limits, tuple(content["remarks"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write(path: Path, entry: Entry) -> None:
    """Writes an entry. Ignores errors, because a run without the cache is only slower."""
    content = {
        "mean": {name: values.tolist() for name, values in entry.statistics.mean.items()},
        "deviation": {name: values.tolist() for name, values in entry.statistics.deviation.items()},
        "label_mean": dict(entry.statistics.label_mean),
        "vocabularies": {table: list(values) for table, values in entry.vocabularies.items()},
        "limits": dict(entry.limits),
        "remarks": list(entry.remarks),
    }
    with contextlib.suppress(OSError):
        write_text(path, json.dumps(content))
