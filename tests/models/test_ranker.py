"""The ranker: hand-computed losses, missing labels, replicas, and mistakes that other implementations make."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.models import Feature, MultitaskRanker, Schema, Statistics, Task
from steadyrank.optimizers import ClippyAdagrad

SCHEMA = Schema(
    features=(
        Feature("x", "numerical", width=4, normalization="none"),
        Feature("user", "categorical", hash_buckets=20, embedding_width=3),
        Feature("history", "bag", width=3, num_ids=9, embedding_width=2),
    ),
    tasks=(Task("click", "binary"), Task("minutes", "regression", weight=0.25)),
)


def rows(count: int, seed: int = 0, label_share: float = 0.5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 4)).astype(np.float32)
    minutes = (x[:, 1] * 2 + rng.normal(size=count)).astype(np.float32)
    return {
        "x": x,
        "user": rng.integers(0, 50, count),
        "history": rng.integers(-1, 9, (count, 3)),
        "click": (x[:, 0] + rng.normal(size=count) > 0).astype(np.float32),
        "minutes": np.where(rng.random(count) < label_share, minutes, np.nan).astype(np.float32),
    }


def ranker(optimizer=None, seed: int = 0, **arguments) -> MultitaskRanker:
    tf_keras.utils.set_random_seed(seed)
    model = MultitaskRanker(SCHEMA, **({"shared_units": (8, 8), "tower_units": (4,)} | arguments))
    model.compile(optimizer=optimizer or ClippyAdagrad(0.1, export_clipping_factors=True))
    return model


def batches(columns: dict[str, np.ndarray], size: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(columns).batch(size, drop_remainder=True)


def expected_loss(model: MultitaskRanker, columns: dict[str, np.ndarray]) -> float:
    predicted = {name: value.numpy().astype(np.float64) for name, value in model(columns).items()}
    p, y = predicted["click"], columns["click"]
    present = ~np.isnan(columns["minutes"])
    squared = (predicted["minutes"][present] - columns["minutes"][present]) ** 2
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)) + 0.25 * (squared.mean() if present.any() else 0.0)


class TestLoss:
    def test_loss_is_the_weighted_sum_of_means_over_labeled_rows(self):
        model, columns = ranker(), rows(64)
        assert float(model.compute_loss(columns)) == pytest.approx(expected_loss(model, columns), rel=1e-5)

    def test_a_task_without_labels_in_the_batch_gets_no_gradient(self):
        model, columns = ranker(), rows(32, label_share=0.0)
        before = {v.name: v.numpy() for v in model.trainable_variables}
        model.fit(batches(columns, 32), verbose=0)
        for variable in model.trainable_variables:
            moved = not np.array_equal(before[variable.name], variable.numpy())
            assert moved == ("tower_minutes" not in variable.name), variable.name
        assert all(np.isfinite(v.numpy()).all() for v in model.trainable_variables)

    def test_a_batch_without_labels_changes_nothing(self):
        model, columns = ranker(), rows(8)
        columns["click"][:] = columns["minutes"][:] = np.nan
        before = [v.numpy() for v in model.trainable_variables]
        model.fit(batches(columns, 8), verbose=0)
        for old, new in zip(before, model.trainable_variables, strict=True):
            np.testing.assert_array_equal(old, new.numpy())

    def test_padding_rows_change_neither_loss_nor_step(self):
        columns = rows(24)
        padded_columns = {
            name: np.concatenate(
                [column, np.full((8, *column.shape[1:]), np.nan if name in SCHEMA.label_columns else 0, column.dtype)]
            )
            for name, column in columns.items()
        }
        plain, padded = ranker(), ranker()
        plain.fit(batches(columns, 24), verbose=0)
        padded.fit(batches(padded_columns, 32), verbose=0)
        for a, b in zip(plain.trainable_variables, padded.trainable_variables, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6, err_msg=a.name)
        ours, theirs = plain.get_metrics_result(), padded.get_metrics_result()
        assert {k: pytest.approx(float(v), rel=1e-5) for k, v in ours.items()} == {
            k: float(v) for k, v in theirs.items()
        }


class TestReplicas:
    def test_two_replicas_with_half_the_batch_each_take_the_step_of_one(self, two_replicas):
        # Few labels, spread unevenly: a mean over each replica's labels would weight them wrongly.
        columns = rows(256, label_share=0.1)
        one = ranker(ClippyAdagrad(2.0, export_clipping_factors=True), l2=1e-2)
        with two_replicas.scope():
            two = ranker(ClippyAdagrad(2.0, export_clipping_factors=True), l2=1e-2)
        logs = [model.fit(batches(columns, 32), verbose=0).history for model in (one, two)]
        assert {k: pytest.approx(v[0], rel=1e-4) for k, v in logs[0].items()} == {k: v[0] for k, v in logs[1].items()}
        ours, theirs = one.optimizer.read_explanations(), two.optimizer.read_explanations()
        assert min(c.smallest_factor for c in ours.values()) < 0.5, (
            "nothing was clipped, so the test would prove nothing"
        )
        assert {name: c.clipped_steps for name, c in ours.items()} == {
            name: c.clipped_steps for name, c in theirs.items()
        }
        for name in ours:
            assert theirs[name].smallest_factor == pytest.approx(ours[name].smallest_factor, rel=1e-3), name
        for a, b in zip(one.trainable_variables, two.trainable_variables, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=2e-5, err_msg=a.name)
        single = {k: float(v) for k, v in one.get_metrics_result().items()}
        double = {k: float(v) for k, v in two.get_metrics_result().items()}
        assert {k: pytest.approx(v, rel=1e-4) for k, v in single.items()} == double


class TestKnownMistakes:
    """Mistakes that other implementations make."""

    def test_the_loss_of_an_epoch_covers_all_batches(self):
        columns = rows(96)
        columns["minutes"][64:] = 50.0  # The last batch differs from the others.
        model = ranker(ClippyAdagrad(0.0))
        history = model.fit(batches(columns, 32), verbose=0).history
        assert history["loss"][0] == pytest.approx(expected_loss(model, columns), rel=1e-4)
        last = {name: column[64:] for name, column in columns.items()}
        assert history["loss"][0] < 0.8 * expected_loss(model, last)

    def test_evaluation_counts_every_row_once_for_any_batch_size(self):
        columns, model = rows(96), ranker()
        a = model.evaluate(batches(columns, 32), verbose=0, return_dict=True)
        b = model.evaluate(batches(columns, 96), verbose=0, return_dict=True)
        assert a == {key: pytest.approx(value, rel=1e-5) for key, value in b.items()}

    def test_regularization_is_not_multiplied_by_the_number_of_replicas(self, two_replicas):
        columns = rows(32)
        columns["click"][:] = columns["minutes"][:] = np.nan  # Only the regularization moves the weights.
        one = ranker(tf_keras.optimizers.SGD(1.0), l2=0.1)
        with two_replicas.scope():
            two = ranker(tf_keras.optimizers.SGD(1.0), l2=0.1)
        before = one.trainable_variables[-2].numpy()
        for model in (one, two):
            model.fit(batches(columns, 32), verbose=0)
        # w - 0.1 * 2 * w
        np.testing.assert_allclose(one.trainable_variables[-2].numpy(), 0.8 * before, rtol=1e-5)
        np.testing.assert_allclose(two.trainable_variables[-2].numpy(), 0.8 * before, rtol=1e-5)
        assert float(two.get_metrics_result()["regularization_loss"]) == pytest.approx(
            float(one.get_metrics_result()["regularization_loss"])
        )

    def test_the_loss_is_scaled_under_mixed_precision(self):
        columns = rows(64)
        columns["click"][:] = np.nan
        # Gradients are about 1e-9; the smallest float16 above 0 is 6e-8.
        columns["minutes"] = np.full(64, 1e-6, np.float32)

        def moved(optimizer):
            model = ranker(optimizer)
            for head_bias in (v for v in model.trainable_variables if "tower_minutes/output/kernel" in v.name):
                head_bias.assign(head_bias * 1e-6)
            before = [v.numpy() for v in model.trainable_variables if "shared" in v.name]
            model.fit(batches(columns, 64), verbose=0)
            after = [v.numpy() for v in model.trainable_variables if "shared" in v.name]
            return sum(float(np.abs(a - b).sum()) for a, b in zip(before, after, strict=True))

        tf_keras.mixed_precision.set_global_policy("mixed_float16")
        try:
            scaling = tf_keras.mixed_precision.LossScaleOptimizer(
                tf_keras.optimizers.SGD(1e9), dynamic=False, initial_scale=2.0**30
            )
            assert moved(scaling) > 0
            assert moved(tf_keras.optimizers.SGD(1e9)) == 0, (
                "without scaling, no gradient arrives; otherwise the test would prove nothing"
            )
        finally:
            tf_keras.mixed_precision.set_global_policy("float32")

    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
    def test_raw_counters_survive_half_precision(self, policy):
        tf_keras.mixed_precision.set_global_policy(policy)
        try:
            feature = Feature("views", "numerical", normalization="log")
            statistics = Statistics(mean={"views": np.array([10.0])}, deviation={"views": np.array([3.0])})
            model = MultitaskRanker(Schema((feature,), SCHEMA.tasks), statistics, shared_units=(4,), tower_units=())
            predicted = model({"views": tf.constant([1e6, 1e9])})
        finally:
            tf_keras.mixed_precision.set_global_policy("float32")
        assert all(p.dtype == tf.float32 and np.isfinite(p.numpy()).all() for p in predicted.values())

    def test_a_single_row_is_predicted_and_trained_like_many(self):
        model, columns = ranker(), rows(5)
        many = model(columns)
        for i in range(5):
            one = model({name: column[i : i + 1] for name, column in columns.items()})
            for task, value in one.items():
                assert value.shape == (1,)
                np.testing.assert_allclose(value, many[task][i : i + 1], rtol=1e-5, atol=1e-6)
        history = model.fit(batches(columns, 1), verbose=0).history
        assert np.isfinite(history["loss"][0])


def test_the_ranker_learns_and_beats_chance():
    model = ranker(ClippyAdagrad(0.3))
    model.fit(batches(rows(8192), 128), verbose=0)
    measured = model.evaluate(batches(rows(2048, seed=1), 256), verbose=0, return_dict=True)
    assert measured["auc/click"] > 0.7
    assert measured["rmse/minutes"] < 0.75 * measured["rmse_of_mean/minutes"]


def test_cross_layers_precede_the_shared_bottom():
    names = [v.name for v in ranker(cross_layers=2).trainable_variables]
    assert sum("dcn/layer_norm" in name for name in names) == 2
    assert sum("dcn/cross_" in name and "kernel" in name for name in names) == 2
    low_rank = ranker(cross_layers=1, cross_projection=2, cross_layer_norm=False).trainable_variables
    assert [tuple(v.shape) for v in low_rank if "cross_0" in v.name and "kernel" in v.name] == [(9, 2), (2, 9)]


def test_the_towers_biases_start_at_the_mean_label():
    tf_keras.utils.set_random_seed(0)
    model = MultitaskRanker(SCHEMA, Statistics(label_mean={"click": 0.2, "minutes": 3.0}), shared_units=())
    zero = model(
        {"x": tf.zeros([1, 4]), "user": tf.zeros([1], tf.int64), "history": tf.fill([1, 3], tf.constant(-1, tf.int64))}
    )
    # The embedding of user 0 is small, so the predictions are near the means.
    np.testing.assert_allclose(zero["click"], [0.2], atol=0.03)
    np.testing.assert_allclose(zero["minutes"], [3.0], atol=0.2)


def test_the_import_explains_that_keras_3_was_chosen_before():
    code = "import tensorflow as tf; tf.keras.layers; import steadyrank.models"
    environment = {"PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 1
    assert (
        ran.stderr.rstrip()
        .splitlines()[-1]
        .startswith("ImportError: steadyrank.models needs Keras 2 as tf.keras, got Keras 3")
    )
    assert "TF_USE_LEGACY_KERAS=1" in ran.stderr


class TestStepMetrics:
    def measure(self, columns, model=None) -> dict[str, float]:
        model = model or ranker(ClippyAdagrad(0.0))
        metrics: dict = {}
        model.on_step_metrics = metrics.update
        model.train_step({name: tf.constant(value) for name, value in columns.items()})
        return {name: float(value) for name, value in metrics.items()}

    def test_step_metrics_equal_hand_computed_values(self):
        columns = rows(64)
        metrics = self.measure(columns)
        predicted = {name: value.numpy().astype(np.float64) for name, value in ranker()(columns).items()}
        y, p = columns["click"].astype(np.float64), predicted["click"]
        present = ~np.isnan(columns["minutes"])
        minutes = columns["minutes"][present].astype(np.float64)
        crossed = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
        smooth = (y.sum() + 0.5) / 65
        entropy = -(y.mean() * np.log(smooth) + (1 - y.mean()) * np.log(1 - smooth))
        squared = np.mean((predicted["minutes"][present] - minutes) ** 2)
        # Logits within one bucket of the histogram are ties.
        bucket = ((np.log(p / (1 - p)) + 16) / 32 * 1023).astype(int)
        up, down = bucket[y == 1][:, None], bucket[y == 0]
        expected = {
            "loss": crossed + 0.25 * squared,
            "loss/click": crossed,
            "loss/minutes": squared,
            "normalized_loss/click": crossed / entropy,
            "normalized_loss/minutes": squared / minutes.var(),
            "calibration/click": p.mean() / y.mean(),
            "calibration/minutes": predicted["minutes"][present].mean() / minutes.mean(),
            "examples/click": 64,
            "auc/click": ((up > down).mean() + (up == down).mean() / 2),
            "examples/minutes": present.sum(),
        }
        assert metrics.keys() == expected.keys()
        for name, value in expected.items():
            assert metrics[name] == pytest.approx(value, rel=1e-5), name

    def test_a_task_without_labels_does_not_affect_the_others(self):
        columns = rows(32) | {"minutes": np.full(32, np.nan, np.float32)}
        metrics = self.measure(columns)
        assert metrics["examples/minutes"] == 0
        assert metrics["loss"] == pytest.approx(metrics["loss/click"])

    def test_a_batch_of_one_class_has_a_finite_normalized_loss(self):
        metrics = self.measure(rows(32) | {"click": np.zeros(32, np.float32)})
        assert np.isfinite(metrics["normalized_loss/click"])

    def test_task_losses_add_up_and_update_no_metric(self):
        columns, model = rows(64), ranker()
        losses = model.task_losses({name: tf.constant(value) for name, value in columns.items()})
        assert float(tf.add_n(list(losses.values()))) == pytest.approx(expected_loss(model, columns), rel=1e-5)
        assert all(float(tf.reduce_sum(tf.abs(weight))) == 0 for metric in model.metrics for weight in metric.weights)
