"""Learns from a log what the ranker must know before it trains: means, deviations and vocabularies, in one pass.

Memory is bounded whatever the log: sums for the numbers, and for each vocabulary a table of counts that is pruned when it has
grown to many times the wanted size. The result is a function of the log and the schema alone, the same in every process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...foundation.signed_log import signed_log
from ...models.schema import MISSING_INTEGER, MISSING_STRING, Schema
from ...models.statistics import Statistics
from .source import Columns, Source

# Values that are counted for each one that is wanted, at least; those that are rarest are forgotten first.
_COUNTED, _LEAST = 16, 1 << 16


@dataclasses.dataclass(frozen=True)
class Learned:
    """What was learned.

    Attributes:
      schema: The source's, with the vocabularies filled in.
      statistics: Means and deviations.
    """

    schema: Schema
    statistics: Statistics


def learn(
    source: Source,
    rows: int,
    days: Sequence[int] = (0,),
    tell: Callable[[int, int], None] | None = None,
) -> Learned:
    """Looks at a log's first ``rows`` rows; at all of them when ``rows`` is 0 or the schema wants a vocabulary.

    Values that are not finite are left out. A feature that does not vary in these rows gets the deviation 1, so that it
    passes unscaled should it begin to vary; one without any finite value gets mean 0 as well. A vocabulary holds the most
    frequent values first, those that are as frequent in their own order. What was learned from all rows of files is kept in
    the user's cache, and found again by the files' names, sizes and times.

    Args:
      source: The log.
      rows: How many rows.
      days: Positions of the days that may be looked at.
      tell: Called with the rows that were looked at and all of them, again and again.
    """
    schema = source.schema
    wanted = any(feature.vocabulary_size for feature in schema.features if feature.kind != "numerical")
    total = sum(sum(source.block_rows(day)) for day in days)
    rows = total if wanted or not rows else min(rows, total)
    cached = _cache_of(source, days) if rows == total else None
    if cached is not None and (found := _read(cached, schema)) is not None:
        return found
    moments = {
        f.name: _Moments(f.width) for f in schema.features if f.kind == "numerical" and f.normalization != "none"
    }
    counts = {f.table_name: _Counts(f.vocabulary_size) for f in schema.features if f.vocabulary_size}
    labels = {task.name: _Moments(1) for task in schema.tasks}
    got = 0
    for day in days:
        for index, in_block in enumerate(source.block_rows(day)):
            if got >= rows:
                break
            block = {name: column[: rows - got] for name, column in source.block(day, index).items()}
            _add(schema, block, moments, counts, labels)
            got += min(in_block, rows - got)
            if tell is not None:
                tell(got, rows)
    label_mean = {name: float(found.mean[0]) for name, found in labels.items() if found.count[0]}
    statistics = Statistics(
        {name: each.mean.astype(np.float32) for name, each in moments.items()},
        {name: each.deviation() for name, each in moments.items()},
        label_mean,
    )
    learned = Learned(
        _with_vocabularies(schema, {name: each.most_frequent() for name, each in counts.items()}), statistics
    )
    if cached is not None:
        _write(cached, learned)
    return learned


class _Moments:
    """Mean and deviation of the finite values of some columns; parts are put together exactly."""

    def __init__(self, width: int):
        self.count = np.zeros(width)
        self.mean = np.zeros(width)
        self._squares = np.zeros(width)

    def add(self, values: np.ndarray) -> None:
        there = np.isfinite(values)
        count = there.sum(axis=0)
        some = np.maximum(count, 1)
        mean = np.where(there, values, 0).sum(axis=0) / some
        squares = np.where(there, np.square(values - mean), 0).sum(axis=0)
        both = np.maximum(self.count + count, 1)
        apart = mean - self.mean
        self._squares += squares + apart**2 * self.count * count / both
        self.mean = self.mean + apart * count / both
        self.count = self.count + count

    def deviation(self) -> np.ndarray:
        deviation = np.sqrt(self._squares / np.maximum(self.count, 1))
        # Below this share of the mean, what varies is rounding.
        constant = deviation <= 1e-6 * np.maximum(np.abs(self.mean), 1e-6)
        return np.where(constant, 1.0, deviation).astype(np.float32)


class _Counts:
    """How often values occur; the rarest are forgotten when there are too many."""

    def __init__(self, wanted: int):
        self._wanted = wanted
        self._most = max(_COUNTED * wanted, _LEAST)
        self._counts: dict[Any, int] = {}

    def add(self, values: np.ndarray) -> None:
        known = self._counts
        for value, count in zip(*(each.tolist() for each in np.unique(values, return_counts=True)), strict=True):
            known[value] = known.get(value, 0) + count
        if len(known) > self._most:
            self._counts = dict(self._ordered()[: self._most // 2])

    def most_frequent(self) -> list[Any]:
        missing = (MISSING_INTEGER, MISSING_STRING)
        found = [value for value, _ in self._ordered() if value not in missing][: self._wanted]
        return [value for value in map(_word, found) if value is not None]

    def _ordered(self) -> list[tuple[Any, int]]:
        return sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _word(value: Any) -> Any:
    """A value as a vocabulary holds it; None for bytes that are not UTF-8, which share the row of all that is unknown."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _add(
    schema: Schema,
    block: Columns,
    moments: dict[str, _Moments],
    counts: dict[str, _Counts],
    labels: dict[str, _Moments],
) -> None:
    for feature in schema.features:
        if feature.name in moments:
            values = block[feature.name].astype(np.float64).reshape(-1, feature.width)
            values = np.where(np.isfinite(values), values, np.nan)
            moments[feature.name].add(signed_log(values) if feature.normalization == "log" else values)
        elif feature.vocabulary_size:
            counts[feature.table_name].add(block[feature.name])
    for task in schema.tasks:
        labels[task.name].add(block[task.label_column].astype(np.float64)[:, np.newaxis])


def _with_vocabularies(schema: Schema, found: dict[str, list[Any]]) -> Schema:
    return dataclasses.replace(
        schema,
        features=tuple(
            dataclasses.replace(feature, vocabulary=tuple(found[feature.table_name]), vocabulary_size=0)
            if feature.vocabulary_size
            else feature
            for feature in schema.features
        ),
    )


# The cache.


def _cache_of(source: Source, days: Sequence[int]) -> Path | None:
    """The file for what is learned of these days; None for a source that cannot tell its content."""
    fingerprint = getattr(source, "fingerprint", None)
    if fingerprint is None:
        return None
    told = json.dumps([source.schema.to_dict(), fingerprint(days)], sort_keys=True)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "steadyrank"
    return folder / f"learned-{hashlib.sha256(told.encode()).hexdigest()[:32]}.json"


def _read(path: Path, schema: Schema) -> Learned | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        mean, deviation = (
            {name: np.array(values, np.float32) for name, values in told[kind].items()}
            for kind in ("mean", "deviation")
        )
        vocabularies = {name: list(values) for name, values in told["vocabularies"].items()}
        return Learned(_with_vocabularies(schema, vocabularies), Statistics(mean, deviation, told["label_mean"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Not there, or torn: it is learned again.
        return None


def _write(path: Path, learned: Learned) -> None:
    told = {
        "mean": {name: value.tolist() for name, value in learned.statistics.mean.items()},
        "deviation": {name: value.tolist() for name, value in learned.statistics.deviation.items()},
        "label_mean": dict(learned.statistics.label_mean),
        "vocabularies": {f.table_name: list(f.vocabulary) for f in learned.schema.features if f.vocabulary},
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(told), encoding="utf-8")
        beside.replace(path)
    except OSError:
        # A cache that cannot be written costs time, nothing else.
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
