from __future__ import annotations

import dataclasses
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from steadyrank.pipeline.config import Config
from steadyrank.pipeline.training.loop import Plan


def plan(rows: list[int], holdout: int = 0, passes: int = 1, batch_size: int = 10) -> Plan:
    """A plan over days of so many rows."""
    config = Config()
    data = dataclasses.replace(config.data, batch_size=batch_size, passes=passes, holdout_days=holdout)
    log = SimpleNamespace(days=[str(i) for i in range(len(rows))], block_rows=lambda day: [rows[day]])
    return Plan(dataclasses.replace(config, data=data), log)


def test_days_passes_and_held_out_days_by_hand():
    made = plan([20, 25, 30], holdout=1, passes=2)
    assert list(made.legs(0)) == [(0, 0, 0, 2), (0, 1, 0, 2), (1, 0, 0, 3), (1, 1, 0, 3)]
    assert list(made.holdout_days) == [2]
    assert made.total_steps == 10


def test_from_the_middle_of_a_day():
    assert list(plan([20, 25]).legs(3)) == [(1, 0, 1, 2)]


def test_nothing_is_left_at_the_end():
    assert list(plan([20, 25]).legs(5)) == []


@given(
    rows=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    passes=st.integers(1, 3),
    position=st.integers(0, 100),
)
def test_what_is_left_and_what_was_done_make_up_the_whole(rows, passes, position):
    made = plan(rows, passes=passes)

    def steps(legs):
        return [(day, index, start + i) for day, index, start, count in legs for i in range(count)]

    whole = steps(made.legs(0))
    assert len(whole) == made.total_steps
    assert steps(made.legs(position)) == whole[position:]
