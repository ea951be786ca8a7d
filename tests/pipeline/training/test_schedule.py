from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyrank.pipeline.config import Config, UserError
from steadyrank.pipeline.training.schedule import Segment, TrainingSchedule


def make_schedule(rows: list[int], holdout: int = 0, passes: int = 1, batch_size: int = 10) -> TrainingSchedule:
    """Returns the schedule of a log with one day for each number of rows."""
    config = Config()
    data = dataclasses.replace(config.data, batch_size=batch_size, passes=passes, holdout_days=holdout)
    log = SimpleNamespace(days=[str(i) for i in range(len(rows))], block_rows=lambda day: [rows[day]])
    return TrainingSchedule(dataclasses.replace(config, data=data), log)


def test_days_are_trained_on_in_order_and_held_out_days_are_not():
    schedule = make_schedule([20, 25, 30], holdout=1, passes=2)
    assert list(schedule.remaining_segments(0)) == [
        Segment(0, 0, 0, 2),
        Segment(0, 1, 0, 2),
        Segment(1, 0, 0, 3),
        Segment(1, 1, 0, 3),
    ]
    assert list(schedule.holdout_days) == [2]
    assert schedule.total_steps == 10


def test_a_run_can_continue_in_the_middle_of_a_day():
    assert list(make_schedule([20, 25]).remaining_segments(3)) == [Segment(day=1, pass_index=0, first_batch=1, steps=2)]


def test_nothing_remains_after_the_last_step():
    assert list(make_schedule([20, 25]).remaining_segments(5)) == []


@pytest.mark.parametrize("holdout", [2, 3])
def test_a_log_without_a_day_to_train_on_is_refused(holdout):
    schedule = make_schedule([20, 25], holdout=holdout)
    assert list(schedule.holdout_days) == [0, 1]
    with pytest.raises(UserError, match=rf"less than the log's number of days, 2, got {holdout}, .*\(0, 1\)"):
        schedule.check_train_days()
    make_schedule([20, 25], holdout=1).check_train_days()


@given(
    rows=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    passes=st.integers(1, 3),
    step=st.integers(0, 100),
)
def test_the_remaining_batches_are_the_end_of_the_whole_schedule(rows, passes, step):
    schedule = make_schedule(rows, passes=passes)

    def batches(segments):
        return [
            (segment.day, segment.pass_index, segment.first_batch + i)
            for segment in segments
            for i in range(segment.steps)
        ]

    all_batches = batches(schedule.remaining_segments(0))
    assert len(all_batches) == schedule.total_steps
    assert batches(schedule.remaining_segments(step)) == all_batches[step:]
