"""Arguments, rules and the features of Keras that the Keras 3 optimizers support."""

from __future__ import annotations

import inspect
import json
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from steadyrank import optimizers as keras2
from steadyrank.optimizers.keras3 import Adagrad, ClippyAdagrad
from tests.optimizers.keras3_checks import ON_JAX, check, fit, ranker, variables

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
# Passed through ``**kwargs`` to Adagrad.
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
    # Arguments without a value above keep their defaults.
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


@check
def groups_have_rules_of_their_own_and_tables_none() -> None:
    model = ranker(ClippyAdagrad(0.1, export_clipping_factors=True, groups={"head": "lamb", "bias": None}))
    fit(model)
    rules = {name: explanation.rule for name, explanation in model.optimizer.read_explanations().items()}
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
    # The proposed steps are 1, 2 and 3; the allowed ones 0.5, 1.5 and 2.5.
    rate = schedules.PolynomialDecay(1.0, 2, 3.0)
    allowed = schedules.PolynomialDecay(0.5, 2, 2.5)
    options = {"variable_relative_threshold": 0.0, "absolute_threshold": allowed, "export_clipping_factors": True}
    optimizer = ClippyAdagrad(rate, 0.0, epsilon=0.0, use_standard_accumulator_update=True, **options)
    optimizer.build([w])
    for number, (asked, may) in enumerate([(1.0, 0.5), (2.0, 1.5), (3.0, 2.5)]):
        before = float(w[0])
        # Each gradient is much larger than those before, so that r is 1.
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
    # The decay proposes a step of 2; 0.5 * 2 + 0.01 is allowed.
    np.testing.assert_allclose(ops.convert_to_numpy(w), [0.99, 0.0], rtol=1e-6)
    assert optimizer.clipping_factors[0] == pytest.approx(0.505)


@check
def moving_averages_follow_the_weights_and_replace_them() -> None:
    w = keras.Variable([4.0], name="w")
    options = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2}
    optimizer = Adagrad(1.0, initial_accumulator_value=0.0, epsilon=0.0, **options)
    optimizer.build([w])
    optimizer.apply([ops.convert_to_tensor([1.0])], [w])
    assert float(w[0]) == pytest.approx(3.0)
    # r is 1e3 / sqrt(1 + 1e6): the weight goes to 2, the average of 3 and 2 replaces it.
    optimizer.apply([ops.convert_to_tensor([1e3])], [w])
    assert float(w[0]) == pytest.approx(2.5, rel=1e-5)


@check
def a_skipped_step_moves_no_average_and_replaces_no_weight() -> None:
    options = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2}
    w = keras.Variable([4.0], name="w")
    optimizer = Adagrad(1.0, initial_accumulator_value=0.0, epsilon=0.0, **options)
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
    # Enough variables for vector kernels, which compute the factors of all of them.
    model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(4) for _ in range(5))])
    model.compile(ClippyAdagrad(1e-4, export_clipping_factors=True), "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 4)), epochs=2, verbose=0)
    assert set(model.optimizer.clipping_factors) == {1.0}
    assert {explanation.clipped_steps for explanation in model.optimizer.read_explanations().values()} == {0}
