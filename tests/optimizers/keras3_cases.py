"""What must hold of the optimizers for Keras 3 on every backend: one function for each property, in :data:`CHECKS`.

test_keras3.py calls them on TensorFlow, and runs this file as a process with ``KERAS_BACKEND=jax`` for JAX; as a process it
prints, as JSON, what is wrong with each: "" for nothing. A backend is chosen once for a process, before Keras is imported.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from steadyrank import optimizers as keras2
from steadyrank.optimizers.keras3 import Adagrad, ClippyAdagrad
from tests.optimizers.reference import CASES, NAMES, WEIGHTS, Gradient
from tests.optimizers.test_reference import EVERYTHING, SETTINGS, reference_of

ON_JAX = keras.backend.backend() == "jax"
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"

CHECKS: dict[str, Callable[[Path], None]] = {}
"""By name a function that raises where the property does not hold; it is given an empty folder."""


def check(function: Callable[..., None]) -> Callable[..., None]:
    """Registers one under its name in plain English; one that takes no folder may leave the argument out."""
    takes_folder = bool(inspect.signature(function).parameters)
    CHECKS[function.__name__.strip("_").replace("_", " ")] = function if takes_folder else lambda _: function()
    return function


# The second implementation of tests/optimizers/reference.py, over its gradients.


def only_dense(gradient: Gradient, shape: Sequence[int]) -> Gradient:
    """A gradient as the backend has it: only TensorFlow knows sparse ones."""
    if ON_TENSORFLOW or not isinstance(gradient, tuple):
        return gradient
    summed = np.zeros(tuple(shape))
    with np.errstate(invalid="ignore"):
        np.add.at(summed, np.asarray(gradient[0], np.int64), gradient[1])
    return summed


def tensor(gradient: Gradient, variable: Any) -> Any:
    """A gradient as a tensor of the backend."""
    if gradient is None:
        return None
    if isinstance(gradient, tuple):
        ids, rows = gradient
        shape = tf.constant(tuple(variable.shape), tf.int64)
        return tf.IndexedSlices(tf.constant(rows, variable.dtype), tf.constant(list(ids), tf.int64), shape)
    return ops.convert_to_tensor(np.asarray(gradient), variable.dtype)


def variables(dtype: str = "float32") -> list[keras.Variable]:
    """The variables of the cases, as they begin."""
    return [keras.Variable(w, dtype=dtype, name=name) for name, w in zip(NAMES, WEIGHTS, strict=True)]


def dense_or_rows(gradients: Sequence[Gradient]) -> list[Gradient]:
    """The gradients of one step, as the backend has them."""
    return [only_dense(gradient, w.shape) for gradient, w in zip(gradients, WEIGHTS, strict=True)]


class Comparison:
    """An optimizer beside the reference."""

    def __init__(self, setting: str, **arguments: Any):
        rule, told = SETTINGS[setting]
        self.reference = reference_of(setting)
        self.optimizer = Adagrad(rule=rule, explain=True, **told, **arguments)
        self.variables = variables()
        self.optimizer.build(self.variables)
        self._largest = [np.abs(w).max() for w in WEIGHTS]

    def step(self, where: str, gradients: Sequence[Gradient], apply: Callable[[list[Any]], None] | None = None) -> None:
        """Both take one step, ours with ``apply`` or as it is, and are compared."""
        gradients = dense_or_rows(gradients)
        given = [tensor(gradient, v) for gradient, v in zip(gradients, self.variables, strict=True)]
        (apply or self._apply)(given)
        self.reference.step(gradients)
        for i, name in enumerate(NAMES):
            expected = self.reference.weights[i]
            self._largest[i] = max(self._largest[i], np.abs(expected).max())
            found, far = ops.convert_to_numpy(self.variables[i]), 2e-5 * self._largest[i]
            np.testing.assert_allclose(found, expected, rtol=0, atol=far, err_msg=f"{where}: weights of {name}")
            found, expected = self.optimizer._accumulators[i], self.reference.accumulators[i]
            message = f"{where}: accumulator of {name}"
            np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-4, err_msg=message)
        assert self.optimizer.skipped_steps == self.reference.skipped, f"{where}: skipped steps"
        factors, expected = self.optimizer.clipping_factors, self.reference.sigmas
        np.testing.assert_allclose(factors, expected, rtol=2e-3, atol=2e-7, err_msg=f"{where}: sigmas")

    def _apply(self, given: list[Any]) -> None:
        self.optimizer.apply(given, self.variables)

    def compare_counts(self) -> None:
        """What is counted for each variable."""
        bad = {name: count for name, count in zip(NAMES, self.reference.bad, strict=True) if count}
        assert self.optimizer.read_nonfinite_gradients() == bad


def _equals_the_reference(setting: str) -> None:
    for case, steps in CASES.items():
        compared = Comparison(setting)
        for number, gradients in enumerate(steps):
            compared.step(f"step {number} of '{case}'", gradients)
        compared.compare_counts()


for _setting in SETTINGS:
    CHECKS[f"{_setting} equals the reference in every case"] = lambda _, setting=_setting: _equals_the_reference(
        setting
    )


# Training.

STEPS = 8
ROWS = 32


def ranker(optimizer: Any, **compiled: Any) -> keras.Model:
    """A small model with an embedding table; the same weights every time."""
    keras.utils.set_random_seed(0)
    ids, numbers = keras.Input((2,), dtype="int32"), keras.Input((4,))
    table = keras.layers.Embedding(12, 4, name="table")
    hidden = keras.layers.Concatenate()([keras.layers.Flatten()(table(ids)), numbers])
    hidden = keras.layers.Dense(16, "tanh", name="lower")(hidden)
    out = keras.layers.Dense(1, name="head")(hidden)
    model = keras.Model([ids, numbers], out)
    model.compile(optimizer=optimizer, loss="mse", **compiled)
    return model


def data(steps: int = STEPS) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Ids, numbers and labels that depend on both."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 12, (ROWS * steps, 2))
    numbers = rng.normal(size=(ROWS * steps, 4)).astype(np.float32)
    labels = numbers.sum(axis=1, keepdims=True) + (ids[:, :1] % 3 - 1)
    return (ids, numbers), labels.astype(np.float32)


def fit(model: keras.Model, epochs: int = 1, steps: int = STEPS) -> list[float]:
    """Losses by epoch."""
    inputs, labels = data(steps)
    return model.fit(inputs, labels, batch_size=ROWS, epochs=epochs, shuffle=False, verbose=0).history["loss"]


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    """By path."""
    return {variable.path: ops.convert_to_numpy(variable) for variable in model.trainable_variables}


def assert_learns(model: keras.Model) -> None:
    losses = fit(model, epochs=8)
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.3 * losses[0], losses


@check
def the_documented_example_runs() -> None:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer=ClippyAdagrad(0.1), loss="mse")
    losses = model.fit(np.ones((64, 2)), np.ones((64, 1)), epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.1 * losses[0]


@check
def a_model_learns() -> None:
    # Without a program JAX is slow.
    assert_learns(ranker(ClippyAdagrad(0.3), jit_compile="auto" if ON_JAX else False))


@check
def a_compiled_model_learns() -> None:
    assert_learns(ranker(ClippyAdagrad(0.3), jit_compile=True))


@check
def a_model_learns_with_several_steps_at_once() -> None:
    assert_learns(ranker(ClippyAdagrad(0.3), steps_per_execution=4))


@check
def a_compiled_model_and_several_steps_at_once_give_the_same_weights() -> None:
    ways: list[dict[str, Any]] = [
        {"jit_compile": False},
        {"jit_compile": True},
        {"jit_compile": ON_JAX, "steps_per_execution": 2},
        {"run_eagerly": True},
    ]
    ends = []
    for way in ways:
        model = ranker(ClippyAdagrad(1.0, export_clipping_factors=True), **way)
        fit(model, steps=4)
        clipped = {name: told.clipped_steps for name, told in model.optimizer.read_explanations().items()}
        ends.append((weights(model), clipped))
    (expected, clipped), *others = ends
    assert any(clipped.values())
    for found, found_clipped in others:
        assert found_clipped == clipped
        for path, values in expected.items():
            np.testing.assert_allclose(found[path], values, rtol=1e-4, atol=1e-5, err_msg=path)


@check
def half_precision_trains_with_a_scaled_loss() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = ranker(ClippyAdagrad(0.3), jit_compile=ON_JAX)
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert_learns(model)
    inner = model.optimizer.inner_optimizer
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    # Steps whose scaled gradients are beyond half precision are left out by Keras, and are none of the optimizer's.
    assert inner.skipped_steps == 0
    assert int(inner.iterations) >= 8 * STEPS - 2


# Arguments.

OTHER: dict[str, Any] = {
    "learning_rate": 0.75,
    "initial_accumulator_value": 0.3,
    "epsilon": 0.5,
    "skip_nonfinite": False,
    "gradient_limit": 1e5,
    "max_skipped_steps": 3,
    "use_standard_accumulator_update": False,
    "clip_accumulator_update": True,
    "exclude_from_clipping": ("scalar",),
    "groups": {"matrix": keras2.GradientClipping(2.0, granularity="global"), "vector": None},
    "jit_compile": False,
    "name": "other",
}
OF_ADAGRAD = {**OTHER, "rule": keras2.AdaGC(1.5, start=7), "explain": True}
OF_CLIPPY = {
    **OTHER,
    "variable_relative_threshold": 0.25,
    "accumulator_relative_threshold": 0.125,
    "absolute_threshold": 0.0625,
    "export_clipping_factors": True,
    "granularity": "row",
}
# Through ``**kwargs`` to Adagrad.
PASSED_ON = {"skip_nonfinite", "gradient_limit", "max_skipped_steps", "jit_compile"}


def _round_trip(kind: type[Adagrad], other: dict[str, Any], passed_on: set[str]) -> None:
    parameters = inspect.signature(kind.__init__).parameters
    named = {n: p for n, p in parameters.items() if p.kind is not p.VAR_KEYWORD and n != "self"}
    assert set(named) | passed_on == set(other), "an argument is missing here"
    defaults = {n: p.default for n, p in inspect.signature(Adagrad.__init__).parameters.items()} | {
        n: p.default for n, p in named.items()
    }
    assert not [n for n in other if defaults[n] == other[n]], "these values must not be defaults"
    optimizer = kind(**other, weight_decay=0.125, clipnorm=8.0, use_ema=True)
    config = keras.optimizers.serialize(optimizer)
    restored = keras.optimizers.deserialize(json.loads(json.dumps(config)))
    assert type(restored) is kind
    assert restored.get_config() == optimizer.get_config()
    assert restored._settings == optimizer._settings
    left_out = kind().get_config()
    same = [key for key, value in restored.get_config().items() if key in left_out and left_out[key] == value]
    # What was not given above stays as it is.
    unset = {"clipvalue", "global_clipnorm", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor"}
    assert set(same) <= unset | {"gradient_accumulation_steps"}, same


@check
def the_configuration_of_adagrad_survives_with_every_argument() -> None:
    _round_trip(Adagrad, OF_ADAGRAD, set())


@check
def the_configuration_of_clippy_survives_with_every_argument() -> None:
    _round_trip(ClippyAdagrad, OF_CLIPPY, PASSED_ON)


@check
def a_configuration_with_schedules_survives() -> None:
    fall = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.5)
    rise = keras.optimizers.schedules.PolynomialDecay(0.1, 10, 1.0)
    optimizer = ClippyAdagrad(fall, absolute_threshold=rise, groups={"vector": keras2.GradientClipping(rise)})
    restored = keras.optimizers.deserialize(json.loads(json.dumps(keras.optimizers.serialize(optimizer))))
    assert restored.get_config() == optimizer.get_config()
    for schedule in (restored._settings.rule.absolute, restored._settings.groups["vector"].threshold):
        assert float(schedule(5)) == pytest.approx(float(rise(5)))


@check
def wrong_arguments_are_named() -> None:
    for arguments, named in (
        ({"learning_rate": -0.1}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"variable_relative_threshold": -1.0}, "variable_relative_threshold"),
        ({"absolute_threshold": float("inf")}, "absolute_threshold"),
        ({"epsilon": "small"}, "epsilon"),
        ({"clip_accumulator_update": True}, "use_standard_accumulator_update"),
        ({"exclude_from_clipping": "bias"}, "exclude_from_clipping"),
        ({"max_skipped_steps": -1}, "max_skipped_steps"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"granularity": "layer"}, "granularity"),
        ({"groups": {"(": None}}, "groups"),
        ({"unheard_of": 1}, "unheard_of"),
    ):
        with pytest.raises(ValueError, match=named):
            ClippyAdagrad(**arguments)


@check
def a_pattern_that_matches_nothing_is_named_with_the_variables() -> None:
    for arguments in ({"groups": {"tower": None}}, {"exclude_from_clipping": ["tower"]}):
        with pytest.raises(ValueError, match=r"'tower' matches none of the 4 variables.*matrix, vector, scalar, table"):
            ClippyAdagrad(**arguments).build(variables())


# Rules.


@check
def groups_have_rules_of_their_own_and_tables_none() -> None:
    model = ranker(ClippyAdagrad(0.1, export_clipping_factors=True, groups={"head": "lamb", "bias": None}))
    fit(model)
    rules = {name: told.rule for name, told in model.optimizer.read_explanations().items()}
    assert rules == {
        "table/embeddings": "none",
        "lower/kernel": "clippy",
        "lower/bias": "none",
        "head/kernel": "lamb",
        "head/bias": "lamb",
    }


@check
def schedules_of_rate_and_thresholds_are_followed() -> None:
    w = keras.Variable([0.0], name="w")
    schedules = keras.optimizers.schedules
    # The steps asked for are of 1, 2 and 3; allowed are 0.5, 1.5 and 2.5.
    rate = schedules.PolynomialDecay(1.0, 2, 3.0)
    allowed = schedules.PolynomialDecay(0.5, 2, 2.5)
    told = {"variable_relative_threshold": 0.0, "absolute_threshold": allowed, "export_clipping_factors": True}
    optimizer = ClippyAdagrad(rate, 0.0, epsilon=0.0, use_standard_accumulator_update=True, **told)
    optimizer.build([w])
    for number, (asked, may) in enumerate([(1.0, 0.5), (2.0, 1.5), (3.0, 2.5)]):
        before = float(w[0])
        # A gradient so much larger than those before that r is 1.
        optimizer.apply([ops.convert_to_tensor([-(1e3 ** (number + 1))])], [w])
        assert float(w[0]) - before == pytest.approx(may, rel=1e-5)
        assert optimizer.clipping_factors[0] == pytest.approx(may / asked, rel=1e-5)


@check
def a_rate_may_be_a_function_and_may_be_set() -> None:
    for rate in (lambda: 0.5, 0.25):
        w = keras.Variable([10.0], name="w")
        optimizer = ClippyAdagrad(rate, 0.0, epsilon=0.0)
        optimizer.build([w])
        if not callable(rate):
            optimizer.learning_rate = 0.5
        optimizer.apply([ops.convert_to_tensor([2.0])], [w])
        assert float(w[0]) == pytest.approx(9.5)


@check
def dtypes_are_kept_and_accumulators_are_float32_at_least() -> None:
    for dtype in ("float16", "bfloat16", "float32", *(() if ON_JAX else ("float64",))):
        w = keras.Variable(np.ones(3), dtype=dtype, name="w")
        optimizer = ClippyAdagrad(0.1)
        optimizer.build([w])
        optimizer.apply([ops.ones((3,), dtype)], [w])
        assert keras.backend.standardize_dtype(ops.convert_to_tensor(w).dtype) == dtype
        assert optimizer._accumulators[0].dtype == ("float64" if dtype == "float64" else "float32")
        np.testing.assert_allclose(np.array(w, np.float64), 1 - 0.1 / np.sqrt(1.1), rtol=1e-2)


@check
def norms_of_half_precision_gradients_are_taken_beyond_half_precision() -> None:
    for switch in ("clipnorm", "global_clipnorm"):
        # 400^2 is more than float16 holds; the norm is 800, and so each is clipped to 1.
        w = keras.Variable(np.ones(4), dtype="float16", name="w")
        optimizer = Adagrad(0.1, initial_accumulator_value=0.75, **{switch: 2.0})
        optimizer.build([w])
        optimizer.apply([ops.full((4,), 400.0, "float16")], [w])
        np.testing.assert_allclose(np.array(w, np.float64), 1 - 0.1 / np.sqrt(1.75), rtol=1e-3)


@check
def accumulators_of_half_precision_weights_grow_beyond_half_precision() -> None:
    w = keras.Variable(np.ones(2), dtype="float16", name="w")
    optimizer = ClippyAdagrad(0.1)
    optimizer.build([w])
    for _ in range(3):
        optimizer.apply([ops.full((2,), 3e4, "float16")], [w])
    np.testing.assert_allclose(ops.convert_to_numpy(optimizer._accumulators[0]), 2.7e9, rtol=1e-3)


@check
def a_variable_without_gradient_stays() -> None:
    touched, idle = (keras.Variable([1.0], name=name) for name in ("touched", "idle"))
    optimizer = ClippyAdagrad(0.1)
    optimizer.build([touched, idle])
    with pytest.warns(UserWarning, match="idle"):
        optimizer.apply([ops.ones((1,)), None], [touched, idle])
    assert float(touched[0]) != 1.0
    assert float(idle[0]) == 1.0


@check
def weight_decay_is_part_of_the_step_that_clippy_bounds() -> None:
    w = keras.Variable([2.0, 0.0], name="w")
    optimizer = ClippyAdagrad(1.0, weight_decay=1.0, export_clipping_factors=True)
    optimizer.build([w])
    optimizer.apply([ops.zeros((2,))], [w])
    # The decay asks for 2; 0.5 * 2 + 0.01 is allowed.
    np.testing.assert_allclose(ops.convert_to_numpy(w), [0.99, 0.0], rtol=1e-6)
    assert optimizer.clipping_factors[0] == pytest.approx(0.505)


@check
def moving_averages_follow_the_weights_and_replace_them() -> None:
    w = keras.Variable([4.0], name="w")
    told = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2}
    optimizer = Adagrad(1.0, initial_accumulator_value=0.0, epsilon=0.0, **told)
    optimizer.build([w])
    optimizer.apply([ops.convert_to_tensor([1.0])], [w])
    assert float(w[0]) == pytest.approx(3.0)
    # r is 1e3 / sqrt(1 + 1e6): the weight goes to 2, the average of 3 and 2 replaces it.
    optimizer.apply([ops.convert_to_tensor([1e3])], [w])
    assert float(w[0]) == pytest.approx(2.5, rel=1e-5)


@check
def a_skipped_step_moves_no_average_and_replaces_no_weight() -> None:
    told = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2}
    w = keras.Variable([4.0], name="w")
    optimizer = Adagrad(1.0, initial_accumulator_value=0.0, epsilon=0.0, **told)
    optimizer.build([w])
    for gradient, expected in ((1.0, 3.0), (np.nan, 3.0), (1e3, 2.0), (np.inf, 2.0), (np.nan, 2.0)):
        optimizer.apply([ops.convert_to_tensor([gradient])], [w])
        assert float(w[0]) == pytest.approx(expected, rel=1e-5)
    [average] = optimizer._model_variables_moving_average
    # 3 at first, then the mean of 3 and 2.
    assert float(average[0]) == pytest.approx(2.5, rel=1e-5)
    optimizer.apply([ops.zeros((1,))], [w])
    assert float(w[0]) == pytest.approx(2.25, rel=1e-5)


@check
def gradients_accumulated_over_two_steps_are_one_step_with_their_mean() -> None:
    both, once = (keras.Variable([1.0, -1.0], name="w") for _ in range(2))
    accumulating = ClippyAdagrad(0.1, gradient_accumulation_steps=2, export_clipping_factors=True)
    plain = ClippyAdagrad(0.1, export_clipping_factors=True)
    for optimizer, w, steps in (
        (accumulating, both, [[4.0, 0.0], [0.0, 2.0]] * 2),
        (plain, once, [[2.0, 1.0]] * 2),
    ):
        optimizer.build([w])
        for gradient in steps:
            optimizer.apply([ops.convert_to_tensor(gradient)], [w])
    np.testing.assert_allclose(ops.convert_to_numpy(both), ops.convert_to_numpy(once), rtol=1e-6)
    [ours], [theirs] = accumulating.read_explanations().values(), plain.read_explanations().values()
    assert ours.gradient_norm == pytest.approx(theirs.gradient_norm)


@check
def what_nothing_binds_is_not_counted_as_clipped() -> None:
    # So many variables that their factors are computed as a vector.
    model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(4) for _ in range(5))])
    model.compile(ClippyAdagrad(1e-4, export_clipping_factors=True), "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 4)), epochs=2, verbose=0)
    assert set(model.optimizer.clipping_factors) == {1.0}
    assert {told.clipped_steps for told in model.optimizer.read_explanations().values()} == {0}


# Safety.


def _bad(number: float, place: int) -> list[Any]:
    gradients = [np.ones(w.shape) for w in WEIGHTS]
    gradients[place] = np.full(WEIGHTS[place].shape, number)
    return [ops.convert_to_tensor(g, "float32") for g in gradients]


@check
def a_bad_gradient_skips_the_step_and_is_counted() -> None:
    for number in (np.nan, np.inf, -np.inf, 1e11):
        for told in ({}, {"clipvalue": 1.0}, {"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
            vs = variables()
            optimizer = Adagrad(0.1, "clippy", explain=True, **told)
            optimizer.build(vs)
            optimizer.apply(_bad(1.0, 0), vs)
            before = [ops.convert_to_numpy(v) for v in [*vs, *optimizer._accumulators]]
            explained = optimizer.read_explanations(reset=False)
            optimizer.apply(_bad(number, 1), vs)
            for old, v in zip(before, [*vs, *optimizer._accumulators], strict=True):
                np.testing.assert_array_equal(ops.convert_to_numpy(v), old)
            assert optimizer.read_explanations() == explained
            assert optimizer.skipped_steps == 1
            assert optimizer.read_nonfinite_gradients() == {"vector": 1}
            assert int(optimizer.iterations) == 2


def _error_of(step: Callable[[], Any]) -> str:
    """The words of the error that a step ends with; which kind it is depends on the backend."""
    try:
        step()
        if ON_JAX:
            import jax

            jax.effects_barrier()
    except Exception as error:
        return str(error).replace("\\", "")
    raise AssertionError("there was no error")


@check
def one_more_skipped_step_than_allowed_is_an_error_that_names_the_variable() -> None:
    vs = variables()
    optimizer = ClippyAdagrad(0.1, max_skipped_steps=2)
    optimizer.build(vs)
    # Two, a good one, and two again are allowed.
    for number in (np.nan, np.nan, 1.0, np.nan, np.nan):
        optimizer.apply(_bad(number, 2), vs)
    assert optimizer.skipped_steps == 4
    words = _error_of(lambda: optimizer.apply(_bad(np.nan, 2), vs))
    assert "the gradient of 'scalar' was not finite" in words
    assert "the 2 steps before" in words


@check
def fit_ends_with_that_error() -> None:
    model = ranker(ClippyAdagrad(0.1, max_skipped_steps=2), jit_compile=ON_JAX)
    (ids, numbers), labels = data()
    words = _error_of(lambda: model.fit((ids, numbers * np.nan), labels, batch_size=ROWS, verbose=0))
    assert "was not finite" in words
    assert "max_skipped_steps" in words


@check
def fit_goes_on_after_a_bad_batch() -> None:
    for jit_compile in (False, True):
        model = ranker(ClippyAdagrad(0.1), jit_compile=jit_compile)
        (ids, numbers), labels = data()
        numbers[ROWS] = np.nan
        model.fit((ids, numbers), labels, batch_size=ROWS, shuffle=False, verbose=0)
        assert model.optimizer.skipped_steps == 1
        assert model.optimizer.read_nonfinite_gradients()["lower/kernel"] == 1
        assert all(np.isfinite(values).all() for values in weights(model).values())


# Explanations.


@check
def explanations_equal_those_of_keras_2() -> None:
    rules = {
        "matrix": keras2.Clippy(),
        "vector": keras2.Clippy(0.1),
        "scalar": "gc",
        "table": keras2.Clippy(granularity="row"),
    }
    ours, theirs = variables(), [tf.Variable(w, dtype=tf.float32, name=n) for n, w in zip(NAMES, WEIGHTS, strict=True)]
    optimizer, other = (kind(0.5, groups=rules, explain=True) for kind in (Adagrad, keras2.Adagrad))
    optimizer.build(ours)
    other.build(theirs)
    for case in ("spikes of 1e4 and 1e6", "NaN, infinity and 1e30"):
        for gradients in map(dense_or_rows, CASES[case]):
            optimizer.apply([tensor(g, v) for g, v in zip(gradients, ours, strict=True)], ours)
            with tf.device("CPU"):
                given = [_for_keras_2(g, v) for g, v in zip(gradients, theirs, strict=True)]
            other.apply_gradients(zip(given, theirs, strict=True))
        mine, told = optimizer.read_explanations(), other.read_explanations()
        assert [f"{name}:0" for name in mine] == list(told)
        for found, expected in zip(mine.values(), told.values(), strict=True):
            assert_same_explanation(found, expected)
        assert any(found.bound_by for found in mine.values())


def _for_keras_2(gradient: Gradient, variable: tf.Variable) -> Any:
    if isinstance(gradient, tuple):
        return tf.IndexedSlices(tf.constant(gradient[1], tf.float32), tf.constant(list(gradient[0])), variable.shape)
    return tf.constant(gradient, tf.float32)


def assert_same_explanation(found: keras2.Explanation, expected: keras2.Explanation) -> None:
    assert (found.rule, found.clipped_steps) == (expected.rule, expected.clipped_steps)
    for number in ("factor", "smallest_factor", "gradient_norm", "update_norm", "parameter_norm"):
        assert getattr(found, number) == pytest.approx(getattr(expected, number), rel=1e-4), number
    assert (found.bound_by is None) == (expected.bound_by is None)
    if expected.bound_by:
        where = (expected.bound_by.iteration, expected.bound_by.index)
        assert (found.bound_by.iteration, found.bound_by.index) == where
        for number in ("weight", "gradient", "accumulator", "step"):
            expected_number = getattr(expected.bound_by, number)
            assert getattr(found.bound_by, number) == pytest.approx(expected_number, rel=1e-4), number


@check
def reading_explanations_that_are_not_kept_says_how_to_have_them() -> None:
    with pytest.raises(ValueError, match="explain=True"):
        Adagrad().read_explanations()


# Files.


@check
def a_saved_model_goes_on_to_the_bit(folder: Path) -> None:
    inputs, labels = data()

    def halves(model: keras.Model, half: int) -> None:
        rows = slice(half * ROWS * 4, (half + 1) * ROWS * 4)
        model.fit(
            [column[rows] for column in inputs], labels[rows], batch_size=ROWS, shuffle=False, epochs=1, verbose=0
        )

    rate = keras.optimizers.schedules.ExponentialDecay(1.0, 3, 0.5)
    model = ranker(Adagrad(rate, "adagc", groups={"lower": "clippy"}, explain=True))
    halves(model, 0)
    model.save(folder / "model.keras")
    restored = keras.models.load_model(folder / "model.keras")
    assert type(restored.optimizer) is Adagrad
    assert restored.optimizer.read_explanations(reset=False) == model.optimizer.read_explanations(reset=False)
    for each in (model, restored):
        halves(each, 1)
    for ours, theirs in zip(restored.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs))
    for ours, theirs in zip(restored.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs), err_msg=theirs.path)
    assert int(restored.optimizer.iterations) == 8


# What only JAX has.

ONLY_JAX: dict[str, Callable[[Path], None]] = {}
NOT_ON_TORCH = [name for name in CHECKS if "several steps at once" in name]


def _jitted_steps_equal_the_reference(setting: str) -> None:
    import jax

    compared = Comparison(setting)
    optimizer = compared.optimizer
    step = jax.jit(optimizer.stateless_apply)

    def apply(given: list[Any]) -> None:
        new, kept = step([v.value for v in optimizer.variables], given, [v.value for v in compared.variables])
        for v, value in zip([*compared.variables, *optimizer.variables], [*new, *kept], strict=True):
            v.assign(value)

    for where, gradients in EVERYTHING:
        compared.step(where, gradients, apply)
    compared.compare_counts()


for _setting in ("gc global", "agc unit after", "lamb, delayed, decay", "clippy row", "adagc"):
    ONLY_JAX[f"{_setting} equals the reference in stateless steps under jit"] = lambda _, setting=_setting: (
        _jitted_steps_equal_the_reference(setting)
    )


def main() -> None:
    """Prints what is wrong with each check, as the last line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checks", nargs="*", help="their names; all of them if none is given")
    checks = CHECKS | (ONLY_JAX if ON_JAX else {})
    if not (ON_JAX or ON_TENSORFLOW):
        checks = {name: each for name, each in checks.items() if name not in NOT_ON_TORCH}
    found = {}
    for name in parser.parse_args().checks or checks:
        try:
            with tempfile.TemporaryDirectory() as folder:
                checks[name](Path(folder))
            found[name] = ""
        except BaseException:  # pytest.fail is no Exception
            found[name] = traceback.format_exc()
    print(json.dumps({"backend": keras.backend.backend(), "wrong": found}))


if __name__ == "__main__":
    main()
