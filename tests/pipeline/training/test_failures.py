from __future__ import annotations

import errno

import pytest
import tensorflow as tf

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.data.batching.user_errors import mark_user_errors
from steadyrank.pipeline.training.failures import record_failure
from steadyrank.pipeline.training.run_directory import RunDirectory
from steadyrank.pipeline.training.run_state import RunState


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return RunDirectory(tmp_path)


def test_a_block_that_succeeds_writes_nothing(run):
    with record_failure(run, RunState(7)):
        pass
    assert run.read_status() == {}


def test_an_unexpected_error_is_recorded_with_its_type_and_raised_unchanged(run):
    with pytest.raises(ZeroDivisionError), record_failure(run, RunState(7, total_steps=64)):
        _ = 1 / 0
    assert run.read_status() == {
        "status": "failed",
        "step": 7,
        "total_steps": 64,
        "message": "ZeroDivisionError: division by zero",
    }


def test_a_full_disk_becomes_one_line_for_the_user(run):
    expected = "No space left on device; free some space and continue with --resume"
    with pytest.raises(UserError, match=expected), record_failure(run, RunState(7)):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert run.read_status()["message"] == "No space left on device"


def test_a_full_disk_is_recognized_in_an_error_of_tensorflow(run):
    with pytest.raises(UserError, match="No space left on device"), record_failure(run, RunState(7)):
        raise tf.errors.ResourceExhaustedError(None, None, "ckpt-8.data; No space left on device")


def test_a_log_that_cannot_be_read_becomes_the_message_of_its_source(run):
    def read(index):
        with mark_user_errors():
            raise UserError("day_1.parquet, row 7: price is not finite")

    dataset = tf.data.Dataset.range(1).map(lambda i: tf.numpy_function(read, [i], tf.int64))
    expected = r"^day_1\.parquet, row 7: price is not finite$"
    with pytest.raises(UserError, match=expected), record_failure(run, RunState(7)):
        list(dataset)
    assert run.read_status()["message"] == "day_1.parquet, row 7: price is not finite"
