"""Computes statistics of signals with NumPy, for comparisons and as input of the detector."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from steadyrank.pipeline.divergence import Detector, SignalStatistics, Thresholds, WindowStatistics

STEPS = 16
LOSS_RATIO = 2.0


def summarize(values: Sequence[float] | np.ndarray, limit: float = math.inf, run_length: int = 0) -> SignalStatistics:
    """Computes the statistics of a series of single steps.

    Args:
      values: One value for each step.
      limit: Values above it, or not finite, count as a run.
      run_length: Length of the run before the first step.
    """
    series = np.asarray(values, np.float64)
    finite = series[np.isfinite(series)]
    nonfinite_steps = np.flatnonzero(~np.isfinite(series)) + 1
    longest_run = run_length
    for value in series:
        run_length = run_length + 1 if not (math.isfinite(value) and value <= limit) else 0
        longest_run = max(longest_run, run_length)

    def find_step(value: float) -> int:
        return int(np.flatnonzero(series == value)[0]) + 1

    return SignalStatistics(
        minimum=finite.min() if len(finite) else math.nan,
        maximum=finite.max() if len(finite) else math.nan,
        minimum_step=find_step(finite.min()) if len(finite) else 0,
        maximum_step=find_step(finite.max()) if len(finite) else 0,
        mean=finite.mean() if len(finite) else math.nan,
        deviation=finite.std() if len(finite) else math.nan,
        finite_count=len(finite),
        nonfinite_count=len(nonfinite_steps),
        first_nonfinite_step=int(nonfinite_steps[0]) if len(nonfinite_steps) else 0,
        run_length=run_length,
        longest_run=longest_run,
    )


def make_noise(seed: int, mean: float = 0.9, deviation: float = 0.01) -> list[float]:
    """Makes a window of normally distributed values."""
    return list(np.random.default_rng(seed).normal(mean, deviation, STEPS))


class DetectorFeed:
    """Feeds a detector with windows of 16 steps from series of single steps."""

    def __init__(self, **thresholds: float):
        self.detector = Detector(Thresholds(**thresholds))
        self.before = 0
        self.runs: dict[str, int] = {}

    def observe(self, **series: list[float]) -> list[tuple[int, str, str]]:
        """Feeds one window. A double underscore in a name stands for a slash.

        Returns:
          The new events as (step, kind, task or layer).
        """
        signals = {}
        for name, values in ((name.replace("__", "/"), values) for name, values in series.items()):
            limit = LOSS_RATIO if name.startswith("normalized_loss") else math.inf
            signals[name] = summarize(values, limit, self.runs.get(name, 0))
            self.runs[name] = signals[name].run_length
        events = self.detector.observe_window(self.before, WindowStatistics(STEPS, signals))
        self.before += STEPS
        return [(event.step, event.kind, event.task or event.layer) for event in events]

    def observe_tasks(self, **normalized_losses: list[float]) -> list[tuple[int, str, str]]:
        """Feeds one window of tasks whose loss is half of their normalized loss."""
        losses = {f"loss__{task}": [value / 2 for value in values] for task, values in normalized_losses.items()}
        return self.observe(**{f"normalized_loss__{task}": v for task, v in normalized_losses.items()}, **losses)

    def observe_calm_windows(self, count: int, *tasks: str) -> None:
        """Feeds windows without events."""
        for seed in range(count):
            self.observe_tasks(**{task: make_noise(seed) for task in tasks or ("a", "b", "c")})


def make_feature_windows(
    rng: np.random.Generator, count: int, *, mean: float = 2.0, spread: float = 1.0, rows: int = 256
) -> Iterator[dict[str, np.ndarray]]:
    """Makes series of the signals of a feature ``age`` with normally distributed values."""
    for _ in range(count):
        batches = rng.normal(mean, spread, size=(STEPS, rows))
        yield {"feature/age": batches.mean(axis=1), "spread/age": batches.std(axis=1), "missing/age": np.zeros(STEPS)}
