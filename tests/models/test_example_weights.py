"""Example weights: a NumPy reference, and a row of weight 2 compared with the row twice."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.models import Feature, MultitaskRanker, Schema, Task

FEATURES = (Feature("x", "numerical", width=3, normalization="none"),)
PLAIN = Schema(FEATURES, (Task("click", "binary"), Task("minutes", "regression", weight=0.25)))
WEIGHTED = Schema(FEATURES, tuple(dataclasses.replace(task, example_weight="w") for task in PLAIN.tasks))
LABELS = ("click", "minutes")


def make_ranker(schema: Schema, learning_rate: float = 0.1) -> MultitaskRanker:
    tf_keras.utils.set_random_seed(0)
    model = MultitaskRanker(schema, shared_units=(4,), tower_units=())
    model.compile(optimizer=tf_keras.optimizers.SGD(learning_rate))
    return model


def make_rows(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 3)).astype(np.float32)
    minutes = np.where(rng.random(count) < 0.7, 3 * x[:, 1] + 1, np.nan).astype(np.float32)
    return {"x": x, "click": (x[:, 0] + rng.normal(size=count) > 0).astype(np.float32), "minutes": minutes}


def weight_rows(rows: dict[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the rows as a batch of the weighted schema."""
    renamed = {f"{name}.label" if name in LABELS else name: column for name, column in rows.items()}
    return renamed | {"w": weights.astype(np.float32)}


def take_step(
    schema: Schema, batch: dict[str, np.ndarray]
) -> tuple[dict[str, float], dict[str, float], list[np.ndarray]]:
    """Returns the metrics since the reset, the metrics of the step, and the weights after a step of SGD."""
    model = make_ranker(schema)
    step: dict[str, tf.Tensor] = {}
    model.on_step_metrics = step.update
    metrics = model.train_step({name: tf.constant(column) for name, column in batch.items()})
    weights = [variable.numpy() for variable in model.trainable_variables]
    return {k: float(v) for k, v in metrics.items()}, {k: float(v) for k, v in step.items()}, weights


def test_a_schema_carries_each_weight_once_and_the_ranker_does_not_read_it():
    assert list(WEIGHTED.columns) == ["x", "click.label", "minutes.label", "w"]
    assert WEIGHTED.columns["w"] == ("float32", ())
    assert make_ranker(WEIGHTED).feature_names == ("x",)
    assert WEIGHTED.to_dict()["tasks"][0]["example_weight"] == "w"


def test_weights_of_1_change_no_bit():
    rows = make_rows(101)
    plain, weighted = take_step(PLAIN, rows), take_step(WEIGHTED, weight_rows(rows, np.ones(101)))
    assert weighted[:2] == plain[:2]
    for one, other in zip(weighted[2], plain[2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_weight_counts_as_often_as_the_row_repeated():
    rows, times = make_rows(60), np.arange(60) % 4
    repeated = {name: np.repeat(column, times, axis=0) for name, column in rows.items()}
    plain, weighted = take_step(PLAIN, repeated), take_step(WEIGHTED, weight_rows(rows, times))
    for one, other in zip(weighted[2], plain[2], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    labeled = ~np.isnan(rows["minutes"])
    assert weighted[0]["examples/click"] == (times > 0).sum()
    assert weighted[0]["examples/minutes"] == (labeled & (times > 0)).sum()
    for one, other in zip(weighted[:2], plain[:2], strict=True):
        # The baseline of a step adds half a row to each class, so that it depends a little on the number of rows.
        compared = [key for key in one if not key.startswith("examples/") and key != "normalized_loss/click"]
        assert {k: one[k] for k in compared} == pytest.approx({k: other[k] for k in compared}, rel=1e-5)
    assert weighted[1]["normalized_loss/click"] == pytest.approx(plain[1]["normalized_loss/click"], rel=0.01)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e6])
def test_loss_gradient_and_baseline_equal_a_numpy_reference_on_any_scale(scale):
    rows = make_rows(80)
    weights = (np.random.default_rng(1).exponential(size=80) * scale).astype(np.float32)
    model = make_ranker(WEIGHTED)
    batch = {name: tf.constant(column) for name, column in weight_rows(rows, weights).items()}
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch)
    bias = next(v for v in model.trainable_variables if "tower_click" in v.name and "bias" in v.name)
    gradient = float(tape.gradient(loss, bias)[0])
    predicted = {name: value.numpy().astype(np.float64) for name, value in model(batch).items()}
    p, y, w = predicted["click"], rows["click"], weights.astype(np.float64)
    labeled = ~np.isnan(rows["minutes"])
    entropy = np.average(-(y * np.log(p) + (1 - y) * np.log(1 - p)), weights=w)
    square = np.average((predicted["minutes"] - rows["minutes"])[labeled] ** 2, weights=w[labeled])
    assert float(loss) == pytest.approx(entropy + 0.25 * square, rel=1e-5)
    assert gradient == pytest.approx(np.average(p - y, weights=w), rel=1e-4)
    assert {k: float(v) for k, v in model.task_losses(batch).items()} == pytest.approx(
        {"click": entropy, "minutes": 0.25 * square}, rel=1e-5
    )
    step = take_step(WEIGHTED, weight_rows(rows, weights))[1]
    label_mean = np.average(rows["minutes"][labeled], weights=w[labeled])
    variance = np.average((rows["minutes"][labeled] - label_mean) ** 2, weights=w[labeled])
    share = (np.average(y, weights=w) * 80 + 0.5) / 81
    mean = np.average(y, weights=w)
    assert step["normalized_loss/minutes"] == pytest.approx(square / variance, rel=1e-5)
    constant_loss = -(mean * np.log(share) + (1 - mean) * np.log(1 - share))
    assert step["normalized_loss/click"] == pytest.approx(entropy / constant_loss, rel=1e-5)
    assert step["calibration/click"] == pytest.approx(np.average(p, weights=w) / mean, rel=1e-5)
    logits = np.log(p / (1 - p))
    pairs = np.outer(w * (y == 1), w * (y == 0))
    auc = (pairs * (np.sign(logits[:, None] - logits) + 1) / 2).sum() / pairs.sum()
    assert step["auc/click"] == pytest.approx(auc, abs=0.02)


def test_weights_of_0_everywhere_are_as_no_label():
    metrics, step, after = take_step(WEIGHTED, weight_rows(make_rows(10), np.zeros(10)))
    assert metrics["loss"] == 0
    assert (metrics["examples/click"], step["examples/click"], step["loss"]) == (0, 0, 0)
    for one, other in zip(after, (v.numpy() for v in make_ranker(WEIGHTED).trainable_variables), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("features", "tasks", "message"),
    [
        ([Feature("w", "numerical")], [Task("y", "binary", example_weight="w")], "so remove the feature"),
        ([Feature("x", "numerical", column="w")], [Task("y", "binary", example_weight="w")], "so remove the feature"),
        ([Feature("w", "numerical", column="x")], [Task("y", "binary", example_weight="w")], "and keep column: x"),
        (
            [Feature("x", "numerical")],
            [Task("y", "binary", example_weight="y")],
            "is both a label and the example_weight",
        ),
        (
            [Feature("x", "numerical")],
            [Task("y", "binary"), Task("z", "binary", example_weight="y")],
            "'y' is both a label and the example_weight of task 'z'",
        ),
    ],
)
def test_a_weight_that_is_also_a_feature_or_a_label_is_refused(features, tasks, message):
    with pytest.raises(ValueError, match=message):
        Schema(tuple(features), tuple(tasks))
