"""How long training waited for its input, and what to do where that was long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .record import RunRecord
from .series import is_finite, number
from .words import fine_percent

WORTH_MENDING = 0.1
"""The share of the time from which on waiting is called a bottleneck: with input that is always ready, training would take a
tenth of its time less. What is below that is lost in the usual changes of a machine's speed."""

_MOSTLY = 0.5


def share_waited(run: RunRecord) -> float | None:
    """The share of all training time that went into waiting for input; None when it is not known.

    That of ``status.json``, which counts every step, where it is there; else the mean over the publications, weighted by the
    time of each: those with which a day begins wait for the input to start, and are no measure for the others.
    """
    told = run.status.get("input_wait_fraction")
    if is_finite(told) and told >= 0:
        return min(number(told), 1.0)
    shares, seconds, _ = _times(run.train)
    return float(np.average(shares, weights=seconds)) if seconds.sum() > 0 else None


def waited(run: RunRecord) -> list[str]:
    """What is to be said beside the figures of speed; nothing when nothing is known."""
    share = share_waited(run)
    if share is None:
        return []
    return bottleneck(run) or [f"Training waited for input {fine_percent(share)} of the time."]


def bottleneck(run: RunRecord) -> list[str]:
    """That input was the bottleneck, by how much, and what to try; nothing when it was not, or when it is not known."""
    share = share_waited(run)
    if share is None or share < WORTH_MENDING:
        return []
    faster = 1 / max(1 - share, 0.01)
    gain = f"{faster:.1f} times as fast" if faster < 20 else "many times as fast"
    said = f"Input is a bottleneck: training waited for it {fine_percent(share)} of the time, and would be up to {gain} without waiting."
    return [f"{said} {_advice(run)}"]


def _advice(run: RunRecord) -> str:
    """What the settings offer against waiting, for a log of this kind."""
    data = run.config.get("data")
    data = data if isinstance(data, Mapping) else {}
    if data.get("source") != "files":
        return "The rows are made on this machine's processor: try more cores, or cores that nothing else uses."
    tries = [
        "Parquet instead of TFRecord (python -m steadyrank.pipeline.convert)",
        "row groups of about 65,536 rows, in a few large files instead of many small ones",
        "a schema without columns that the ranker does not need",
    ]
    if _mostly_at_the_start(run.train):
        mixed = data.get("shuffle_rows")
        tries.insert(
            0, "fewer, longer days" + (", or a smaller data.shuffle_rows" if is_finite(mixed) and mixed else "")
        )
        return f"Most of that was at the beginning of days, where the input starts. Try {'; '.join(tries)}."
    # A run of before there was such a setting does not name it.
    if "service" in data and not data["service"]:
        tries.append("input on other machines (data.service)")
    return f"Try {'; '.join(tries)}."


def _mostly_at_the_start(train: Sequence[Mapping[str, Any]]) -> bool:
    """Whether most of the waiting fell into the first publications of days, and most of the time did not."""
    shares, seconds, first = _times(train)
    waited = shares * seconds
    return bool(waited[first].sum() > _MOSTLY * waited.sum() and seconds[first].sum() < _MOSTLY * seconds.sum())


def _times(train: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each publication the share that was waited, its time, in batches over rows a second, and whether a day begins there."""
    shares, seconds, first = [], [], []
    before, day = 0.0, None
    for line in train:
        step, share, rate = (line.get(key) for key in ("step", "input_wait_fraction", "examples_per_second"))
        begins, day = line.get("day") != day, line.get("day")
        if not is_finite(step):
            continue
        steps, before = number(step) - before, number(step)
        # After a rollback or a resume, steps may go back; how many such a line stands for is not known.
        if is_finite(share) and share >= 0 and is_finite(rate) and rate > 0 and steps > 0:
            shares.append(min(number(share), 1.0))
            seconds.append(min(steps / number(rate), 1e30))
            first.append(begins)
    return np.array(shares), np.array(seconds), np.array(first, bool)
