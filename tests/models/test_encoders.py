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


def test_standard_normalisation_by_hand():
    encode = encoder(Feature("x", "numerical"), mean={"x": np.array([10.0])}, deviation={"x": np.array([4.0])})
    np.testing.assert_allclose(encode({"x": tf.constant([2.0, 14.0])}), [[-2.0], [1.0]])


def test_log_normalisation_is_odd_and_by_hand():
    feature = Feature("x", "numerical", normalization="log")
    encode = encoder(feature, mean={"x": np.array([1.0])}, deviation={"x": np.array([2.0])})
    e = np.e - 1
    np.testing.assert_allclose(encode({"x": tf.constant([e, -e, 0.0], tf.float32)}), [[0.0], [-1.0], [-0.5]], atol=1e-6)
    np.testing.assert_allclose(signed_log(np.array([e, -e])), [1.0, -1.0])


def test_vectors_pass_and_all_parts_are_joined_in_the_schemas_order():
    encode = encoder(
        Feature("b", "numerical", width=2, normalization="none"), Feature("a", "numerical", normalization="none")
    )
    joined = encode({"a": tf.constant([5.0]), "b": tf.constant([[1.0, 2.0]])})
    np.testing.assert_array_equal(joined, [[1.0, 2.0, 5.0]])


def test_normalisation_without_statistics_is_refused():
    with pytest.raises(ValueError, match="feature 'x' has normalization 'standard', but the statistics hold no mean"):
        encoder(Feature("x", "numerical"))


@pytest.mark.parametrize(
    ("feature", "values", "rows"),
    [
        (Feature("x", "categorical", num_ids=3), [0, 2, 3, -1], [1, 3, 0, 0]),
        (Feature("x", "categorical", vocabulary=(7, 5)), [7, 5, 6, -1], [1, 2, 0, 0]),
        (Feature("x", "categorical", dtype="string", vocabulary=("a", "b")), ["b", "a", "", "z"], [2, 1, 0, 0]),
    ],
)
def test_ids_find_their_rows_and_the_unknown_share_row_0(feature, values, rows):
    lookup = IdLookup(feature)
    assert lookup(tf.constant(values)).numpy().tolist() == rows
    assert max(rows) < lookup.rows


def test_hashed_ids_stay_in_their_buckets_and_spread():
    lookup = IdLookup(Feature("x", "categorical", hash_buckets=50))
    rows = lookup(tf.range(1000, dtype=tf.int64)).numpy()
    assert rows.min() >= 0
    assert rows.max() < lookup.rows == 50
    assert len(set(rows.tolist())) == 50


def test_a_bag_averages_what_is_there():
    encode = encoder(Feature("h", "bag", width=3, num_ids=4, embedding_width=2))
    encode({"h": tf.constant([[0, 0, 0]], tf.int64)})
    [table] = encode.trainable_variables
    table.assign(np.arange(10, dtype=np.float32).reshape(5, 2))
    bags = tf.constant([[0, 2, -1], [3, -1, -1], [-1, -1, -1]], tf.int64)
    # Ids 0 and 2 are rows 1 and 3; an empty bag is zero.
    np.testing.assert_allclose(encode({"h": bags}), [[4.0, 5.0], [8.0, 9.0], [0.0, 0.0]])


def test_a_bag_may_sum_and_may_be_longer_or_shorter_than_in_training():
    encode = encoder(Feature("h", "bag", width=3, num_ids=4, embedding_width=1, combiner="sum"))
    encode({"h": tf.constant([[0]], tf.int64)})
    encode.trainable_variables[0].assign([[0.0], [1.0], [2.0], [3.0], [4.0]])
    np.testing.assert_allclose(encode({"h": tf.constant([[0, 1, 2, 3]], tf.int64)}), [[10.0]])
    np.testing.assert_allclose(encode({"h": tf.constant([[3]], tf.int64)}), [[4.0]])


def test_features_that_name_a_table_share_it():
    encode = encoder(
        Feature("video", "categorical", num_ids=4, embedding_width=2),
        Feature("h", "bag", width=2, num_ids=4, embedding_width=2, table="video"),
    )
    one = encode({"video": tf.constant([2], tf.int64), "h": tf.constant([[2, -1]], tf.int64)}).numpy()
    assert len(encode.trainable_variables) == 1
    np.testing.assert_array_equal(one[:, :2], one[:, 2:])
