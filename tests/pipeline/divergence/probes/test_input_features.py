"""The signals of a batch's inputs, compared with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from steadyrank.pipeline.divergence.probes.input_features import measure_features


def measure(inputs, names=None) -> dict[str, float]:
    return {name: float(value) for name, value in measure_features(inputs, names).items()}


def compute_signed_log(x):
    return np.sign(x) * np.log1p(np.abs(x))


def test_numbers_equal_numpy():
    rng = np.random.default_rng(0)
    age, dense = rng.normal(size=32) * 40, rng.pareto(1.0, size=(32, 3))
    signals = measure({"age": tf.constant(age), "dense": tf.constant(dense)})
    for name, column in {"age": age, "dense[0]": dense[:, 0], "dense[2]": dense[:, 2]}.items():
        assert signals[f"feature/{name}"] == pytest.approx(compute_signed_log(column).mean(), rel=1e-4)
        assert signals[f"spread/{name}"] == pytest.approx(compute_signed_log(column).std(), rel=1e-4)
        assert signals[f"missing/{name}"] == 0
    assert len(signals) == 12


def test_values_that_are_not_finite_count_as_missing_only():
    signals = measure({"x": tf.constant([1.0, np.nan, 3.0, np.inf])})
    finite = compute_signed_log(np.array([1.0, 3.0]))
    assert signals["missing/x"] == 0.5
    assert signals["feature/x"] == pytest.approx(finite.mean(), rel=1e-5)
    assert signals["spread/x"] == pytest.approx(finite.std(), rel=1e-5)
    nothing = measure({"x": tf.constant([np.nan, np.nan], tf.float32)})
    assert (nothing["feature/x"], nothing["spread/x"], nothing["missing/x"]) == (0, 0, 1)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "string"])
def test_hashes_of_one_id_have_no_spread_and_many_ids_are_uniform(dtype):
    def make_ids(values):
        return tf.strings.as_string(values) if dtype == "string" else tf.cast(values, dtype)

    signals = measure({"many": make_ids(tf.range(200)), "one": make_ids(tf.fill([200], 7))})
    assert signals["spread/one"] == pytest.approx(0, abs=1e-6)
    assert signals["feature/many"] == pytest.approx(0.5, abs=0.1)
    assert signals["spread/many"] == pytest.approx(np.sqrt(1 / 12), abs=0.05)
    assert "missing/one" not in signals


def test_different_ids_have_a_different_mean():
    # One hash sees almost any change, not every one.
    ids = np.random.default_rng(1).zipf(1.5, 1000)
    means = [measure({"a": tf.constant(ids + offset)})["feature/a"] for offset in range(0, 10**6, 50_000)]
    differences = np.abs(np.subtract.outer(means, means))[np.triu_indices(len(means), 1)]
    assert np.mean(differences > 0.02) > 0.8


def test_inputs_of_any_structure_are_measured():
    x = tf.zeros([8, 2])
    assert set(measure(x)) == {f"{kind}/x[{i}]" for kind in ("feature", "spread", "missing") for i in range(2)}
    assert set(measure([tf.zeros([8]), tf.zeros([4], tf.int64)])) == {
        *(f"{kind}/x0" for kind in ("feature", "spread", "missing")),
        "feature/x1",
        "spread/x1",
    }
    assert measure({"nested": {"deep": x}, "scalar": tf.constant(1.0)}) == {}


def test_a_wide_matrix_is_one_feature_and_labels_are_none():
    assert len(measure({"wide": tf.zeros([8, 65]), "label": tf.zeros([8])}, ["wide"])) == 3


def test_ragged_and_sparse_tensors_are_measured():
    assert len(measure({"bag": tf.ragged.constant([[1, 2], [3]]), "set": tf.sparse.eye(3)})) == 5


def test_batches_of_unknown_size_are_measured():
    traced = tf.function(lambda inputs: measure_features(inputs)).get_concrete_function(
        {"a": tf.TensorSpec([None]), "b": tf.TensorSpec([None, 2]), "c": tf.TensorSpec([None], tf.string)}
    )
    assert len(traced({"a": tf.ones([3]), "b": tf.ones([3, 2]), "c": tf.constant(["x", "x", "x"])})) == 11
