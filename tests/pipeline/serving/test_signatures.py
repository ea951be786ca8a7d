"""The inputs of an export."""

from __future__ import annotations

import tensorflow as tf

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.serving.signatures import make_input_specs


def test_each_feature_has_a_spec_with_any_number_of_rows_and_labels_have_none():
    schema = Schema(
        (
            Feature("age", "numerical"),
            Feature("scores", "numerical", width=3),
            Feature("country", "categorical", dtype="string", hash_buckets=4),
            Feature("history", "bag", width=5, num_ids=10),
        ),
        (Task("click", "binary"),),
    )
    assert make_input_specs(schema) == {
        "age": tf.TensorSpec([None], tf.float32, "age"),
        "scores": tf.TensorSpec([None, 3], tf.float32, "scores"),
        "country": tf.TensorSpec([None], tf.string, "country"),
        "history": tf.TensorSpec([None, None], tf.int64, "history"),
    }
