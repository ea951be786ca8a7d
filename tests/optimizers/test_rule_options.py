"""Options of the rules: checks, configurations and scheduled thresholds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.optimizers import (
    RULES,
    AdaGC,
    Adagrad,
    AdaptiveGradientClipping,
    Clippy,
    GradientClipping,
    WarmUp,
)
from steadyrank.optimizers.rules import rule_from_config
from tests.optimizers.rule_variants import change_every_option


def take(optimizer, variables, gradients):
    optimizer.apply_gradients(
        [(tf.constant(g, v.dtype), v) for g, v in zip(gradients, variables, strict=True)],
    )


class TestArguments:
    @pytest.mark.parametrize(
        ("rule", "arguments", "named"),
        [
            (GradientClipping, {"threshold": -1.0}, "threshold"),
            (GradientClipping, {"threshold": float("nan")}, "threshold"),
            (GradientClipping, {"threshold": "1"}, "threshold"),
            (GradientClipping, {"threshold": None}, "threshold"),
            (GradientClipping, {"granularity": "row"}, "granularity"),
            (GradientClipping, {"order": "behind"}, "order"),
            (AdaptiveGradientClipping, {"threshold": float("inf")}, "threshold"),
            (AdaptiveGradientClipping, {"granularity": "row"}, "granularity"),
            (AdaptiveGradientClipping, {"order": None}, "order"),
            (Clippy, {"relative": -0.5}, "relative"),
            (Clippy, {"absolute": -1e-9}, "absolute"),
            (Clippy, {"accumulator_relative": float("nan")}, "accumulator_relative"),
            (Clippy, {"granularity": "unit"}, "granularity"),
            (AdaGC, {"relative": -1.0}, "relative"),
            (AdaGC, {"absolute": -1.0}, "absolute"),
            (AdaGC, {"beta": 1.0}, "beta"),
            (AdaGC, {"beta": -0.1}, "beta"),
            (AdaGC, {"beta": float("nan")}, "beta"),
            (AdaGC, {"beta": "0.9"}, "beta"),
            (AdaGC, {"start": 0}, "start"),
            (AdaGC, {"start": 2.5}, "start"),
            (AdaGC, {"order": "never"}, "order"),
        ],
    )
    def test_a_wrong_argument_is_named(self, rule, arguments, named):
        with pytest.raises((ValueError, TypeError), match=named):
            rule(**arguments)

    def test_the_error_for_an_unknown_rule_lists_the_rules(self):
        with pytest.raises(ValueError, match=r"one of adagc, agc, clippy, gc, lamb, .*none, got 'klippy'"):
            rule_from_config({"rule": "klippy"})

    @pytest.mark.parametrize("wrong", ["klippy", 3, {"threshold": 1.0}, Clippy])
    def test_the_optimizer_refuses_an_argument_that_is_no_rule(self, wrong):
        with pytest.raises(ValueError, match="rule"):
            Adagrad(rule=wrong)

    @pytest.mark.parametrize(
        "report", [GradientClipping(), "gc", {"rule": "gc"}, {"rule": "gc", "threshold": 1.0}], ids=str
    )
    def test_a_rule_may_be_an_object_a_name_or_a_configuration(self, report):
        assert Adagrad(rule=report).get_config()["rule"] == GradientClipping().get_config()

    def test_no_rule_is_no_clipping(self):
        assert Adagrad(rule=None).get_config()["rule"] == {"rule": "none"} == Adagrad().get_config()["rule"]

    def test_numpy_numbers_are_numbers(self):
        assert Clippy(relative=np.float32(0.25)).relative == 0.25


class TestConfiguration:
    @pytest.mark.parametrize("name", RULES)
    def test_round_trip_of_every_field(self, name):
        rule = change_every_option(name)
        assert isinstance(rule, RULES[name])
        fields = {field.name: field.default for field in dataclasses.fields(rule)}
        assert not [field for field, default in fields.items() if getattr(rule, field) == default], "a default"
        config = rule.get_config()
        assert set(config) == {"rule", *fields}
        assert rule_from_config(config) == rule
        assert config["rule"] == name

    @pytest.mark.parametrize("name", RULES)
    def test_round_trip_inside_an_optimizer(self, name):
        optimizer = Adagrad(rule=change_every_option(name))
        restored = tf_keras.optimizers.deserialize(tf_keras.optimizers.serialize(optimizer))
        assert restored.get_config()["rule"] == change_every_option(name).get_config()


def two_steps(rule, **arguments):
    """The factors of the first and the second step, in which w, g and the accumulator that counts are the same."""
    w = tf.Variable([3.0, 4.0])
    optimizer = Adagrad(
        1.0, rule, explain=True, initial_accumulator_value=1.0, use_standard_accumulator_update=False, **arguments
    )
    factors = []
    for _ in range(2):
        w.assign([3.0, 4.0])
        for accumulator in optimizer._accumulators if factors else ():
            accumulator.assign([1.0, 1.0])
        take(optimizer, [w], [[30.0, 40.0]])
        factors.append(float(optimizer.clipping_factors[0]))
    return factors


class TestScheduledThresholds:
    @pytest.mark.parametrize(
        ("rule", "field", "first", "fixed"),
        [
            (GradientClipping, "threshold", 1.0, {}),
            (AdaptiveGradientClipping, "threshold", 0.1, {}),
            (Clippy, "relative", 0.1, {"absolute": 0.0}),
            (Clippy, "absolute", 0.1, {"relative": 0.0}),
            (Clippy, "accumulator_relative", 0.1, {"relative": 0.0, "absolute": 0.0}),
            (AdaGC, "absolute", 1.0, {"start": 2}),
        ],
    )
    def test_a_threshold_follows_its_schedule(self, rule, field, first, fixed):
        schedule = tf_keras.optimizers.schedules.PiecewiseConstantDecay([0], [first, 2 * first])
        scheduled = two_steps(rule(**{field: schedule}, **fixed))
        assert scheduled[1] == pytest.approx(2 * scheduled[0], rel=1e-5)
        assert scheduled[0] == pytest.approx(two_steps(rule(**{field: first}, **fixed))[0], rel=1e-5)
        assert scheduled[1] < 1

    def test_adagcs_relative_threshold_follows_its_schedule(self):
        schedule = tf_keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.5, 0.25])
        w = tf.Variable([0.0])
        optimizer = Adagrad(0.1, AdaGC(relative=schedule, absolute=1.0, beta=0.0, start=1), explain=True)
        factors = []
        for _ in range(3):
            take(optimizer, [w], [[1.0]])
            factors.append(float(optimizer.clipping_factors[0]))
        # Gamma is what the step before left: 1, then 0.5.
        assert factors == pytest.approx([1.0, 0.5, 0.5 * 0.25])

    def test_a_scheduled_threshold_survives_serialization(self):
        rule = Clippy(relative=WarmUp(0.5, 4), absolute=tf_keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5))
        optimizer = Adagrad(rule=rule)
        restored = tf_keras.optimizers.deserialize(tf_keras.optimizers.serialize(optimizer))
        assert restored.get_config() == optimizer.get_config()
        w, same = tf.Variable([1.0, 0.0]), tf.Variable([1.0, 0.0])
        for _ in range(3):
            take(optimizer, [w], [[1.0, 2.0]])
            take(restored, [same], [[1.0, 2.0]])
        np.testing.assert_array_equal(w.numpy(), same.numpy())
