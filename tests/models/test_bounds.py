"""Defaults and bounds of features and labels: how the ranker uses them, and which ones are rejected."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from steadyrank.models import Feature, Schema, Task


def test_the_ranker_replaces_a_missing_number_with_the_default():
    import tensorflow as tf

    from steadyrank.models import MultitaskRanker, Statistics

    features = (Feature("age", "numerical", default=30.0), Feature("price", "numerical"))
    statistics = Statistics(
        mean=dict.fromkeys(("age", "price"), np.array([20.0])),
        deviation=dict.fromkeys(("age", "price"), np.array([2.0])),
    )
    ranker = MultitaskRanker(Schema(features, (Task("click", "binary"),)), statistics, shared_units=())
    columns = {"price": tf.constant([1.0, 1.0]), "age": tf.constant([30.0, np.nan])}
    one, other = ranker(columns)["click"].numpy()
    assert one == other


def test_the_ranker_clips_features_to_their_bounds():
    import tensorflow as tf
    import tf_keras

    from steadyrank.models import MultitaskRanker, Statistics

    tf_keras.utils.set_random_seed(0)
    features = (Feature("age", "numerical", default=500.0, minimum=0, maximum=120),)
    statistics = Statistics(mean={"age": np.array([20.0])}, deviation={"age": np.array([100.0])})
    ranker = MultitaskRanker(Schema(features, (Task("click", "binary"),)), statistics, shared_units=())
    below, least, above, most, missing = ranker({"age": tf.constant([-1e9, 0.0, np.inf, 120.0, np.nan])})[
        "click"
    ].numpy()
    assert below == least
    assert above == most == missing
    assert least != most


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (
            lambda: Feature("a", "categorical", hash_buckets=2, minimum=0),
            "minimum is allowed for numerical features only",
        ),
        (lambda: Feature("a", "numerical", minimum=2, maximum=1), "minimum must not be above maximum"),
        (lambda: Feature("a", "numerical", maximum=float("inf")), "maximum must be a finite number"),
        # Infinite in float32.
        (lambda: Feature("a", "numerical", maximum=1e39), r"maximum must be a finite number, got 1e\+39"),
        (lambda: Feature("a", "numerical", default=-1e39), r"default must be a finite number, got -1e\+39"),
        (lambda: Task("t", "binary", maximum=1), "are allowed for regression tasks only"),
        (lambda: Task("t", "regression", minimum=float("nan")), "minimum must be a finite number"),
    ],
    ids=["categorical", "order", "infinite", "float32", "default", "binary", "nan"],
)
def test_invalid_bounds_are_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


def test_a_column_that_is_both_a_feature_and_a_label_is_refused():
    features = (Feature("a", "numerical", column="click"),)
    with pytest.raises(ValueError, match="both a feature and a label"):
        Schema(features, (Task("click", "binary"),))
    with pytest.raises(ValueError, match=r"feature 'click' has the name of a label's column.* keep column: a"):
        Schema((Feature("click", "numerical", column="a"),), (Task("click", "binary"),))
    with pytest.raises(ValueError, match="default is allowed for numerical features only"):
        Feature("a", "categorical", hash_buckets=2, default=1.0)
    assert dataclasses.asdict(Task("t", "binary", mask="m"))["mask"] == "m"
