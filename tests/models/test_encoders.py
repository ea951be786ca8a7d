"""The encoder: normalization, lookup of ids, and bags."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from steadyrank.foundation.signed_log import signed_log
from steadyrank.models import Feature, Schema, Statistics, Task
from steadyrank.models.encoders import Encoder, IdLookup

TASKS = (Task("click", "binary"),)


def encoder(*features, **statistics):
    return Encoder(Schema(features, TASKS), Statistics(**statistics))


def test_standard_normalization_equals_hand_computed_values():
    encode = encoder(Feature("x", "numerical"), mean={"x": np.array([10.0])}, deviation={"x": np.array([4.0])})
    np.testing.assert_allclose(encode({"x": tf.constant([2.0, 14.0])}), [[-2.0], [1.0]])


def test_log_normalization_equals_hand_computed_values_and_is_odd():
    feature = Feature("x", "numerical", normalization="log")
    encode = encoder(feature, mean={"x": np.array([1.0])}, deviation={"x": np.array([2.0])})
    e = np.e - 1
    np.testing.assert_allclose(encode({"x": tf.constant([e, -e, 0.0], tf.float32)}), [[0.0], [-1.0], [-0.5]], atol=1e-6)
    np.testing.assert_allclose(signed_log(np.array([e, -e])), [1.0, -1.0])


def test_encodings_are_concatenated_in_the_order_of_the_schema():
    encode = encoder(
        Feature("b", "numerical", width=2, normalization="none"), Feature("a", "numerical", normalization="none")
    )
    joined = encode({"a": tf.constant([5.0]), "b": tf.constant([[1.0, 2.0]])})
    np.testing.assert_array_equal(joined, [[1.0, 2.0, 5.0]])


def test_normalization_without_statistics_is_refused():
    with pytest.raises(ValueError, match="feature 'x' has normalization 'standard', but the statistics have no mean"):
        encoder(Feature("x", "numerical"))


@pytest.mark.parametrize(
    ("feature", "values", "rows"),
    [
        (Feature("x", "categorical", num_ids=3), [0, 2, 3, -1], [1, 3, 0, 0]),
        (Feature("x", "categorical", vocabulary=(7, 5)), [7, 5, 6, -1], [1, 2, 0, 0]),
        (Feature("x", "categorical", dtype="string", vocabulary=("a", "b")), ["b", "a", "", "z"], [2, 1, 0, 0]),
    ],
)
def test_known_ids_have_their_own_rows_and_unknown_ids_share_row_0(feature, values, rows):
    lookup = IdLookup(feature)
    assert lookup(tf.constant(values)).numpy().tolist() == rows
    assert max(rows) < lookup.num_rows


def test_hashed_ids_fill_all_buckets():
    lookup = IdLookup(Feature("x", "categorical", hash_buckets=50))
    rows = lookup(tf.range(1000, dtype=tf.int64)).numpy()
    assert rows.min() >= 0
    assert rows.max() < lookup.num_rows == 50
    assert len(set(rows.tolist())) == 50


def test_a_bag_averages_the_values_that_are_present():
    encode = encoder(Feature("h", "bag", width=3, num_ids=4, embedding_width=2))
    encode({"h": tf.constant([[0, 0, 0]], tf.int64)})
    [table] = encode.trainable_variables
    table.assign(np.arange(10, dtype=np.float32).reshape(5, 2))
    bags = tf.constant([[0, 2, -1], [3, -1, -1], [-1, -1, -1]], tf.int64)
    # Ids 0 and 2 are rows 1 and 3; an empty bag is zero.
    np.testing.assert_allclose(encode({"h": bags}), [[4.0, 5.0], [8.0, 9.0], [0.0, 0.0]])


def test_a_bag_is_summed_over_its_first_values_and_can_be_shorter():
    encode = encoder(Feature("h", "bag", width=3, num_ids=4, embedding_width=1, combiner="sum"))
    encode({"h": tf.constant([[0]], tf.int64)})
    encode.trainable_variables[0].assign([[0.0], [1.0], [2.0], [3.0], [4.0]])
    np.testing.assert_allclose(encode({"h": tf.constant([[0, 1, 2, 3]], tf.int64)}), [[6.0]])
    # An unused slot counts, as in a log.
    np.testing.assert_allclose(encode({"h": tf.constant([[-1, 1, -1, 3]], tf.int64)}), [[2.0]])
    np.testing.assert_allclose(encode({"h": tf.constant([[3]], tf.int64)}), [[4.0]])
    np.testing.assert_allclose(encode({"h": tf.zeros([1, 0], tf.int64)}), [[0.0]])


def test_a_vector_of_another_width_is_refused():
    encode = encoder(Feature("v", "numerical", width=3, normalization="none"))
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        encode({"v": tf.ones([3, 2])})


def test_features_with_the_same_table_share_embeddings():
    encode = encoder(
        Feature("video", "categorical", num_ids=4, embedding_width=2),
        Feature("h", "bag", width=2, num_ids=4, embedding_width=2, table="video"),
    )
    one = encode({"video": tf.constant([2], tf.int64), "h": tf.constant([[2, -1]], tf.int64)}).numpy()
    assert len(encode.trainable_variables) == 1
    np.testing.assert_array_equal(one[:, :2], one[:, 2:])
