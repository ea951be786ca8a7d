"""The sample of the leak check covers the training days, and nothing else."""

from __future__ import annotations

import numpy as np

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.data import Source
from steadyrank.pipeline.data.columns import Columns
from steadyrank.pipeline.data.leak_check import check_leaks


class Toy(Source):
    """Ten days of three blocks. The feature ``late`` is the label from day 5 on, and noise before."""

    schema = Schema((Feature("late", "numerical"), Feature("fair", "numerical")), (Task("click", "binary"),))
    days = tuple(f"day_{i}" for i in range(10))

    def __init__(self) -> None:
        self.read: list[tuple[int, int]] = []

    def block_rows(self, day: int) -> list[int]:
        return [500] * 3

    def block(self, day: int, index: int) -> Columns:
        self.read.append((day, index))
        rng = np.random.default_rng((day, index))
        click = rng.integers(0, 2, 500).astype(np.float32)
        noise = rng.normal(size=500).astype(np.float32)
        return {"late": click if day >= 5 else noise, "fair": click + noise, "click": click}


def test_a_leak_of_the_training_days_is_found():
    report = check_leaks(Toy(), range(5, 9), rows=2000)
    assert [str(leak) for leak in report.leaks] == ["late alone predicts click (AUC 1.0000)"]
    assert report.rows == 2000
    assert check_leaks(Toy(), range(5), rows=2000).leaks == ()


def test_the_sample_is_bounded_and_spread_over_the_days():
    source = Toy()
    report = check_leaks(source, range(9), rows=400)
    assert report.rows == 400
    assert len(source.read) == 8
    assert (source.read[0], source.read[-1]) == ((0, 0), (8, 2))
    whole = Toy()
    assert check_leaks(whole, range(9), rows=10**9).rows == 13_500
    assert len(whole.read) == 27


def test_without_rows_nothing_is_read():
    source = Toy()
    report = check_leaks(source, range(9), rows=0)
    assert (report.leaks, report.unchecked, source.read, report.to_lines()) == ((), {}, [], [])
