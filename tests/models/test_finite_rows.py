"""Rows that cannot be computed: NaN for these rows in every mode of execution, and the right values for all others."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.models import Feature, MultitaskRanker, Schema, Task
from steadyrank.models.finite_rows import separate_rows

SCHEMA = Schema(
    (
        Feature("x", "numerical", width=2, normalization="none"),
        Feature("bounded", "numerical", normalization="none", default=1.0, minimum=-2.0, maximum=2.0),
        Feature("id", "categorical", num_ids=4),
    ),
    (Task("click", "binary"), Task("minutes", "regression")),
)
# Values of the first component of x, and whether their rows can be computed.
X = {0.5: True, np.nan: False, np.inf: False, -np.inf: False, 1e15: True, 1e30: False, -3e38: False, -1.0: True}
ARCHITECTURES = {
    "two ReLU layers": {"shared_units": (8, 4), "tower_units": (4,)},
    "no hidden layer": {"shared_units": (), "tower_units": ()},
    "DCN": {"shared_units": (), "tower_units": (4,), "cross_layers": 2},
    "DCN without normalization": {
        "shared_units": (4,),
        "tower_units": (),
        "cross_layers": 3,
        "cross_layer_norm": False,
    },
}


def rows() -> dict[str, np.ndarray]:
    x = np.array([[value, 1.0] for value in X], np.float32)
    # Missing and infinite numbers of a feature with a default and bounds can be computed.
    bounded = np.array([np.nan, 0.0, 0.0, 0.0, np.inf, 0.0, 0.0, -1e30], np.float32)
    return {"x": x, "bounded": bounded, "id": np.arange(len(x)) % 4}


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_row_that_cannot_be_computed_is_nan_and_leaves_the_others_alone(architecture, policy):
    tf_keras.utils.set_random_seed(1)
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        ranker = MultitaskRanker(SCHEMA, **ARCHITECTURES[architecture])
        columns = rows()
        is_computable = np.array(list(X.values()))
        good = {name: tf.constant(column[is_computable]) for name, column in columns.items()}
        expected = ranker(good)
        modes = {"eager": ranker, "graph": tf.function(ranker.call)}
        if policy == "float32":
            modes["XLA"] = tf.function(ranker.call, jit_compile=True)
        for mode, predict in modes.items():
            predicted = predict({name: tf.constant(column) for name, column in columns.items()})
            for task, values in predicted.items():
                values = values.numpy()
                # 1e15 overflows in three cross layers.
                finite = is_computable & ~((columns["x"][:, 0] == 1e15) & ("without" in architecture))
                assert np.array_equal(np.isfinite(values), finite), (mode, task, values)
                np.testing.assert_allclose(
                    values[finite], expected[task].numpy()[finite[is_computable]], rtol=1e-5, err_msg=f"{mode}, {task}"
                )
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")


def batch(labels: list[float]) -> tf.data.Dataset:
    columns = rows() | {"click": np.array(labels, np.float32), "minutes": np.array(labels, np.float32)}
    return tf.data.Dataset.from_tensors(columns)


@pytest.fixture
def ranker() -> MultitaskRanker:
    tf_keras.utils.set_random_seed(1)
    model = MultitaskRanker(SCHEMA, **ARCHITECTURES["two ReLU layers"])
    model.compile(optimizer=tf_keras.optimizers.SGD(1e-3))
    return model


def test_the_loss_of_a_labeled_row_that_cannot_be_computed_is_nan(ranker):
    metrics = ranker.evaluate(batch([1.0] * len(X)), verbose=0, return_dict=True)
    assert all(np.isnan(metrics[key]) for key in ("loss", "loss/click", "rmse/minutes"))
    assert metrics["examples/click"] == len(X)
    assert np.isnan(ranker.fit(batch([1.0] * len(X)), verbose=0).history["loss"][0])


def test_an_unlabeled_row_that_cannot_be_computed_does_not_affect_training(ranker):
    labels = [1.0 if value in (0.5, -1.0) else np.nan for value in X]
    assert np.isfinite(ranker.fit(batch(labels), verbose=0).history["loss"][0])
    assert all(np.isfinite(variable.numpy()).all() for variable in ranker.trainable_variables)


@pytest.mark.parametrize(("dtype", "largest"), [(tf.float16, 65504.0), (tf.bfloat16, 9e17), (tf.float32, 1e18)])
def test_the_largest_number_depends_on_the_dtype(dtype, largest):
    x = tf.cast([[largest], [-largest], [largest * 1.2]], dtype)
    separated, marks = separate_rows(x)
    assert np.isnan(marks.numpy())[:, 0].tolist() == [False, False, True]
    assert separated.numpy()[:, 0].astype(np.float32).tolist() == [*x.numpy()[:2, 0].astype(np.float32).tolist(), 0.0]
    assert separated.dtype == dtype
