"""A user's mistake keeps its message on the way through a dataset."""

from __future__ import annotations

import pytest
import tensorflow as tf

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.data.batching.user_errors import extract_user_error, mark_user_errors


def read_failing_dataset(error: Exception) -> tf.errors.OpError:
    """Returns the error of a dataset whose Python function raises ``error``."""

    def load(_):
        with mark_user_errors():
            raise error

    dataset = tf.data.Dataset.range(1).map(lambda x: tf.numpy_function(load, [x], tf.int64))
    with pytest.raises(tf.errors.OpError) as raised:
        list(dataset)
    return raised.value


def test_the_message_of_a_user_error_is_found():
    message = "a.parquet: row group 0\ncannot be read <it is damaged>"
    assert extract_user_error(read_failing_dataset(UserError(message))) == message


def test_other_errors_have_no_message_for_the_user():
    assert extract_user_error(read_failing_dataset(RuntimeError("a bug"))) == ""


def test_a_block_without_errors_is_unchanged():
    with mark_user_errors():
        pass
    with pytest.raises(KeyError), mark_user_errors():
        raise KeyError("other errors pass")
