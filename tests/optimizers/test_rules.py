"""The rules: numbers computed by hand, properties that hold for any gradient, and limits."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from steadyrank.optimizers import (
    RULES,
    AdaGC,
    Adagrad,
    AdaptiveGradientClipping,
    Clippy,
    GradientClipping,
    Lamb,
    NoClipping,
)
from steadyrank.optimizers.rules.adagc import NO_GAMMA
from steadyrank.optimizers.tensorflow_ops import Ops

# The accumulator is g^2 after one step, and r is the sign of g.
FRESH = {"initial_accumulator_value": 0.0, "epsilon": 0.0}


def take(optimizer, variables, gradients):
    optimizer.apply_gradients(
        [(tf.constant(g, v.dtype), v) for g, v in zip(gradients, variables, strict=True)],
    )


def one_step(rule, w, g, *, learning_rate=1.0, dtype="float64", **arguments):
    """Weights, accumulators and factors after one step over variables that start at ``w``."""
    variables = [tf.Variable(one, dtype=dtype) for one in w]
    optimizer = Adagrad(learning_rate, rule, explain=True, **(FRESH | arguments))
    take(optimizer, variables, g)
    factors = [float(factor) for factor in optimizer.clipping_factors]
    return [v.numpy() for v in variables], [a.numpy() for a in optimizer._accumulators], factors


class TestByHand:
    def test_without_clipping_it_is_adagrad(self):
        # G = 0.44 + 0.36 + 0.2 = 1, r = 0.6 / 1.
        [w], [accumulator], [factor] = one_step(
            NoClipping(), [[1.0]], [[0.6]], learning_rate=0.5, initial_accumulator_value=0.44, epsilon=0.2
        )
        np.testing.assert_allclose(w, [0.7], rtol=1e-6)
        np.testing.assert_allclose(accumulator, [0.8], rtol=1e-6)
        assert factor == 1.0

    def test_gc_before_the_accumulator(self):
        # The norm is 50, sigma 0.02: g becomes [0.6, 0.8], G their squares, r is 1.
        [w], [accumulator], [factor] = one_step(GradientClipping(1.0), [[3.0, 4.0]], [[30.0, 40.0]])
        np.testing.assert_allclose(w, [2.0, 3.0], rtol=1e-6)
        np.testing.assert_allclose(accumulator, [0.36, 0.64], rtol=1e-6)
        assert factor == pytest.approx(0.02)

    def test_gc_after_the_accumulator(self):
        # G is [900, 1600], r is 1, and the step is 0.02 of it.
        [w], [accumulator], _ = one_step(GradientClipping(1.0, order="after"), [[3.0, 4.0]], [[30.0, 40.0]])
        np.testing.assert_allclose(w, [2.98, 3.98], rtol=1e-6)
        np.testing.assert_allclose(accumulator, [900.0, 1600.0], rtol=1e-6)

    def test_gc_over_all_variables(self):
        # The norm of 6 and 8 is 10, sigma 0.5 for both; alone, 6 would be scaled by 5/6 and 8 by 5/8.
        _, accumulators, factors = one_step(GradientClipping(5.0, granularity="global"), [[0.0], 0.0], [[6.0], 8.0])
        assert factors == pytest.approx([0.5, 0.5])
        np.testing.assert_allclose(accumulators[0], [9.0], rtol=1e-6)
        np.testing.assert_allclose(accumulators[1], 16.0, rtol=1e-6)

    def test_gc_over_variables_of_different_precision(self):
        # As above: the norm is taken over all variables that the rule applies to.
        variables = [tf.Variable([0.0], dtype="float64"), tf.Variable([0.0], dtype="float32")]
        optimizer = Adagrad(1.0, GradientClipping(5.0, granularity="global"), explain=True, **FRESH)
        take(optimizer, variables, [[6.0], [8.0]])
        assert [float(factor) for factor in optimizer.clipping_factors] == pytest.approx([0.5, 0.5])

    def test_agc_before_the_accumulator(self):
        # Norms 5 and 10: sigma = 0.1 * 5 / 10, g becomes [0.3, 0.4].
        [w], [accumulator], [factor] = one_step(AdaptiveGradientClipping(0.1), [[3.0, 4.0]], [[6.0, 8.0]])
        np.testing.assert_allclose(w, [2.0, 3.0], rtol=1e-6)
        np.testing.assert_allclose(accumulator, [0.09, 0.16], rtol=1e-6)
        assert factor == pytest.approx(0.05)

    def test_agc_after_the_accumulator(self):
        [w], [accumulator], _ = one_step(AdaptiveGradientClipping(0.1, order="after"), [[3.0, 4.0]], [[6.0, 8.0]])
        np.testing.assert_allclose(w, [2.95, 3.95], rtol=1e-6)
        np.testing.assert_allclose(accumulator, [36.0, 64.0], rtol=1e-6)

    def test_agc_lets_a_variable_of_zeros_move(self):
        # The norm of the weights counts as 0.001: sigma = 0.5 * 0.001 / 2.
        [w], _, [factor] = one_step(AdaptiveGradientClipping(0.5, order="after"), [[0.0]], [[2.0]])
        assert factor == pytest.approx(2.5e-4)
        np.testing.assert_allclose(w, [-2.5e-4], rtol=1e-6)

    def test_agc_by_unit(self):
        # Columns are units. The first: norms 5 and 10, sigma 0.05; the second: 1 and 1, sigma 0.1.
        w, g = [[3.0, 0.0], [4.0, 1.0]], [[6.0, 1.0], [8.0, 0.0]]
        [after], _, [smallest] = one_step(AdaptiveGradientClipping(0.1, granularity="unit", order="after"), [w], [g])
        np.testing.assert_allclose(after, [[2.95, -0.1], [3.95, 1.0]], rtol=1e-6)
        assert smallest == pytest.approx(0.05)

    def test_agc_by_unit_of_a_convolution(self):
        # The same two units, spread over the two axes before the last one.
        w, g = [[[3.0, 0.0], [4.0, 1.0]]], [[[6.0, 1.0], [8.0, 0.0]]]
        [after], _, _ = one_step(AdaptiveGradientClipping(0.1, granularity="unit", order="after"), [w], [g])
        np.testing.assert_allclose(after, [[[2.95, -0.1], [3.95, 1.0]]], rtol=1e-6)

    def test_agc_treats_a_vector_as_one_unit(self):
        w, g = [[3.0, 4.0]], [[6.0, 8.0]]
        for mine, whole in zip(
            one_step(AdaptiveGradientClipping(0.1, granularity="unit"), w, g),
            one_step(AdaptiveGradientClipping(0.1), w, g),
            strict=True,
        ):
            np.testing.assert_array_equal(mine, whole)

    def test_lamb_moves_by_the_weights_norm(self):
        # norm(w) = 5, r = [1, 0]: sigma 5, the step 0.1 * 5.
        [w], [accumulator], [factor] = one_step(Lamb(), [[3.0, 4.0]], [[2.0, 0.0]], learning_rate=0.1)
        np.testing.assert_allclose(w, [2.5, 4.0], rtol=1e-6)
        np.testing.assert_allclose(accumulator, [4.0, 0.0])
        assert factor == pytest.approx(5.0)

    def test_lamb_on_a_variable_of_zeros_is_adagrad(self):
        [w], _, [factor] = one_step(Lamb(), [[0.0, 0.0]], [[2.0, -3.0]], learning_rate=0.1)
        np.testing.assert_allclose(w, [-0.1, 0.1], rtol=1e-6)
        assert factor == 1.0

    def test_clippy_scales_all_by_the_coordinate_that_binds(self):
        # Steps of 0.1 each; allowed are 0.5 * 1 + 0.01 and 0.5 * 0.08 + 0.01 = 0.05: sigma 0.5.
        [w], [accumulator], [factor] = one_step(Clippy(), [[1.0, 0.08]], [[3.0, 4.0]], learning_rate=0.1)
        np.testing.assert_allclose(w, [0.95, 0.03], rtol=1e-6)
        np.testing.assert_allclose(accumulator, [9.0, 16.0])
        assert factor == pytest.approx(0.5)

    def test_clippy_with_an_accumulator_threshold(self):
        # 1 / sqrt(G) = 0.5: allowed is 0.01 + 0.1 * 0.5, asked for 1.
        [w], _, _ = one_step(Clippy(accumulator_relative=0.1), [[0.0]], [[2.0]])
        np.testing.assert_allclose(w, [-0.06], rtol=1e-6)

    def test_clippy_by_row(self):
        # Steps of 1: the first row may move by 0.51, the second by 0.01 and, in its other coordinate, by 2.01.
        [w], _, [smallest] = one_step(Clippy(granularity="row"), [[[1.0, 3.0], [0.0, 4.0]]], [[[1.0, 0.0], [1.0, 1.0]]])
        np.testing.assert_allclose(w, [[0.49, 3.0], [-0.01, 3.99]], rtol=1e-6)
        assert smallest == pytest.approx(0.01)

    def test_clippy_by_row_of_three_axes(self):
        # In the first row the weight of 0 binds, by 0.01; in the second steps of 1 are free.
        [w], _, _ = one_step(
            Clippy(granularity="row"), [[[[1.0], [0.0]], [[4.0], [4.0]]]], [[[[1.0], [1.0]], [[1.0], [1.0]]]]
        )
        np.testing.assert_allclose(w, [[[0.99], [-0.01]], [[3.0], [3.0]]], rtol=1e-6)

    def test_clippy_with_a_delayed_accumulator_that_takes_the_clipped_gradient(self):
        # r = 2 / sqrt(4), allowed 0.25: sigma 0.25, and the accumulator takes (0.25 * 2)^2 afterwards.
        [w], [accumulator], _ = one_step(
            Clippy(absolute=0.25),
            [[0.0]],
            [[2.0]],
            initial_accumulator_value=4.0,
            use_standard_accumulator_update=False,
            clip_accumulator_update=True,
        )
        np.testing.assert_allclose(w, [-0.25], rtol=1e-6)
        np.testing.assert_allclose(accumulator, [4.25], rtol=1e-6)

    def test_adagc_during_and_after_its_start(self):
        a, b = tf.Variable([0.0]), tf.Variable([0.0])
        optimizer = Adagrad(0.1, AdaGC(relative=2.0, absolute=1.0, beta=0.5, start=3), explain=True)
        seen = []
        for gradients in ([3], [4]), ([0.3], [0.4]), ([0.6], [0.6]), ([3], [0.4]), ([9], [0]), ([0.9], [8]):
            take(optimizer, [a, b], gradients)
            seen.append([float(factor) for factor in optimizer.clipping_factors])
        expected = [
            [0.2, 0.2],  # The norm over both is 5; gamma becomes what is left, 0.6 and 0.8 …
            [1.0, 1.0],  # … and then the smallest norm so far, 0.3 and 0.4 …
            [1.0, 1.0],  # … which larger ones do not change.
            [0.2, 1.0],  # 2 * 0.3 / 3; 2 * 0.4 / 0.4. Gamma: (0.3 + 0.6) / 2 = 0.45, and 0.4.
            [0.1, 1.0],  # 2 * 0.45 / 9. Gamma: (0.45 + 0.9) / 2 = 0.675; a gradient of 0 leaves the other at 0.4.
            [1.0, 0.1],  # 2 * 0.675 / 0.9; 2 * 0.4 / 8.
        ]
        np.testing.assert_allclose(seen, expected, rtol=1e-5)

    def test_adagc_begins_its_average_with_the_first_gradient_after_the_start(self):
        a, b = tf.Variable([0.0]), tf.Variable([0.0])
        optimizer = Adagrad(0.1, AdaGC(relative=2.0, start=1), explain=True)
        factors = []
        for gradients in ([1.0], [0.0]), ([1.0], [5.0]), ([1.0], [100.0]):
            take(optimizer, [a, b], gradients)
            factors.append(float(optimizer.clipping_factors[1]))
        assert factors == pytest.approx([1.0, 1.0, 2 * 5 / 100])


@pytest.mark.parametrize("rule", [GradientClipping, AdaptiveGradientClipping, AdaGC])
def test_the_accumulator_takes_the_clipped_gradient_only_with_the_order_before(rule):
    arguments = {"threshold": 0.1} if rule is not AdaGC else {"absolute": 0.1}
    w, g = [[0.6, 0.8]], [[3.0, 4.0]]
    _, [scaled], [before] = one_step(rule(order="before", **arguments), w, g)
    _, [whole], [after] = one_step(rule(order="after", **arguments), w, g)
    assert before == after < 0.1
    np.testing.assert_allclose(whole, [9.0, 16.0])
    np.testing.assert_allclose(scaled, np.square(before) * whole, rtol=1e-6)


def numbers(largest):
    return st.floats(-largest, largest, width=32)


weights = hnp.arrays(np.float64, (3, 2), elements=numbers(1e3))
gradients = hnp.arrays(np.float64, (3, 2), elements=numbers(1e6))
rates = st.floats(1e-4, 1e3)
# The functions are called once each; what takes long is to make an optimizer.
few = settings(deadline=None, max_examples=30)


class TestProperties:
    @few
    @given(w=weights, g=gradients, eta=rates, granularity=st.sampled_from(["variable", "row"]))
    def test_clippy_moves_no_coordinate_further_than_it_may(self, w, g, eta, granularity):
        [after], _, _ = one_step(Clippy(granularity=granularity), [w], [g], learning_rate=eta)
        allowed = 0.5 * np.abs(w) + 1e-2
        assert (np.abs(after - w) <= allowed * (1 + 1e-9)).all()

    @few
    @given(w=weights, g=gradients, eta=rates, granularity=st.sampled_from(["variable", "row"]))
    def test_clippy_lets_one_coordinate_reach_its_bound_where_it_clips(self, w, g, eta, granularity):
        [after], _, [factor] = one_step(Clippy(granularity=granularity), [w], [g], learning_rate=eta)
        if factor < 1 - 1e-6:
            assert (np.abs(after - w) / (0.5 * np.abs(w) + 1e-2)).max() == pytest.approx(1.0)

    @few
    @given(w=weights, g=gradients, granularity=st.sampled_from(["variable", "row"]))
    def test_clippy_below_its_bound_is_adagrad_to_the_bit(self, w, g, granularity):
        # A step of Adagrad is at most eta, and 1e-2 is always allowed.
        [clipped], _, _ = one_step(Clippy(granularity=granularity), [w], [g], learning_rate=9e-3)
        [plain], _, _ = one_step(NoClipping(), [w], [g], learning_rate=9e-3)
        np.testing.assert_array_equal(clipped, plain)

    @few
    @given(w=weights, g=gradients, eta=rates)
    def test_clippy_keeps_the_direction(self, w, g, eta):
        [clipped], _, [factor] = one_step(Clippy(), [w], [g], learning_rate=eta)
        [plain], _, _ = one_step(NoClipping(), [w], [g], learning_rate=eta)
        np.testing.assert_allclose(clipped - w, factor * (plain - w), rtol=1e-4, atol=1e-9)

    @given(g=gradients, threshold=st.floats(1e-3, 1e6))
    @settings(deadline=None)
    def test_gc_bounds_the_norm_and_clipping_twice_is_clipping_once(self, g, threshold):
        rule = GradientClipping(threshold)

        def sigma(gradient):
            return float(
                rule.sigma(Ops, {"squared_gradient": tf.constant(np.sum(np.square(gradient)))}, tf.constant(1.0))
            )

        clipped = sigma(g) * g
        assert np.linalg.norm(clipped) <= threshold * (1 + 1e-9)
        assert sigma(clipped) == pytest.approx(1.0)
        if np.linalg.norm(g) <= threshold:
            assert sigma(g) == 1.0

    @few
    @given(w=weights, g=gradients, threshold=st.floats(1e-3, 10.0))
    def test_agc_bounds_each_unit(self, w, g, threshold):
        _, [accumulator], _ = one_step(AdaptiveGradientClipping(threshold, granularity="unit"), [w], [g])
        # G was 0: its sum is the square of the clipped gradient's norm.
        norms = np.sqrt(accumulator.sum(axis=0))
        allowed = threshold * np.maximum(np.linalg.norm(w, axis=0), 1e-3)
        assert (norms <= allowed * (1 + 1e-6)).all()
        free = np.linalg.norm(g, axis=0) < 0.99 * allowed
        np.testing.assert_allclose(norms[free], np.linalg.norm(g, axis=0)[free], rtol=1e-6, atol=1e-12)

    @few
    @given(w=weights, seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
    def test_lamb_ignores_the_scale_of_the_gradient(self, w, seed, scale):
        g = np.random.default_rng(seed).normal(size=w.shape)
        one, _, _ = one_step(Lamb(), [w], [g])
        other, _, _ = one_step(Lamb(), [w], [scale * g])
        np.testing.assert_allclose(one[0], other[0], rtol=1e-9, atol=1e-9)

    @few
    @given(w=weights, seed=st.integers(0, 1000), eta=st.floats(1e-3, 1.0))
    def test_lamb_moves_by_eta_times_the_norm_of_the_weights(self, w, seed, eta):
        g = np.random.default_rng(seed).normal(size=w.shape)
        [after], _, _ = one_step(Lamb(), [w], [g], learning_rate=eta)
        norm = np.linalg.norm(w)
        if norm > 1e-6:
            assert np.linalg.norm(after - w) == pytest.approx(eta * norm, rel=1e-6)

    @given(
        norms=hnp.arrays(np.float32, (10, 2), elements=st.just(0.0) | st.floats(2**-20, 2**20, width=32)),
        relative=st.floats(1.0, 3.0),
        start=st.integers(1, 5),
    )
    @settings(deadline=None, max_examples=40)
    def test_adagc_clips_to_its_average_which_stays_between_the_norms(self, norms, relative, start):
        rule, gamma = AdaGC(relative=relative, start=start), tf.fill([2], NO_GAMMA)
        for step, norm in enumerate(norms):
            before = gamma.numpy()
            squares = tf.square(tf.constant(norm))
            measured, totals = ({"squared_gradient": value} for value in (squares, tf.reduce_sum(squares)))
            sigma, gamma = rule.sigma_and_state(Ops, measured, totals, gamma, tf.constant(step))
            clipped = sigma.numpy() * norm
            assert ((sigma.numpy() >= 0) & (sigma.numpy() <= 1)).all()
            if step < start:
                assert np.linalg.norm(clipped) <= 1.0 + 1e-5
            else:
                assert (clipped <= relative * before * (1 + 1e-5)).all()
            seen = before < NO_GAMMA
            bounds = np.minimum(before, clipped), np.maximum(before, clipped)
            moved = seen & (norm > 0)
            assert (gamma.numpy()[moved] >= bounds[0][moved] * (1 - 1e-5)).all()
            assert (gamma.numpy()[moved] <= bounds[1][moved] * (1 + 1e-5)).all()

    @pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.never_grows])
    @settings(deadline=None, max_examples=20)
    @given(w=weights, g=gradients, eta=rates)
    def test_a_factor_lies_between_0_and_1(self, name, w, g, eta):
        _, _, [factor] = one_step(name, [w], [g], learning_rate=eta)
        assert 0 <= factor <= 1


UNBOUNDED = [
    NoClipping(),
    GradientClipping(1e30),
    GradientClipping(1e30, granularity="global", order="after"),
    AdaptiveGradientClipping(1e30),
    AdaptiveGradientClipping(1e30, granularity="unit", order="after"),
    Clippy(relative=0.0, absolute=1e30),
    Clippy(relative=0.0, absolute=1e30, granularity="row"),
    AdaGC(relative=1e30, absolute=1e30, start=2),
]


class TestLimits:
    @pytest.mark.parametrize("rule", UNBOUNDED, ids=str)
    def test_an_unbounded_rule_is_keras_adagrad(self, rule):
        rng = np.random.default_rng(0)
        start = rng.normal(size=(4, 3)), rng.normal()
        ours, theirs = ([tf.Variable(w, dtype="float64") for w in start] for _ in range(2))
        mine, plain = Adagrad(0.5, rule), tf_keras.optimizers.Adagrad(0.5)
        for _ in range(6):
            g = [rng.normal(size=(4, 3)), rng.normal()]
            take(mine, ours, g)
            take(plain, theirs, g)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)

    @pytest.mark.parametrize(
        "rule",
        [
            GradientClipping(0.0),
            AdaptiveGradientClipping(0.0),
            Clippy(relative=0.0, absolute=0.0),
            Clippy(relative=0.0, absolute=0.0, granularity="row"),
            AdaGC(absolute=0.0),
        ],
        ids=str,
    )
    def test_nothing_moves_with_thresholds_of_0(self, rule):
        [w], _, [factor] = one_step(rule, [[0.0, 3.0]], [[1.0, 2.0]], initial_accumulator_value=0.1)
        np.testing.assert_array_equal(w, [0.0, 3.0])
        assert factor == 0.0

    def test_a_weight_of_0_without_an_absolute_threshold_stops_its_variable(self):
        [w], _, _ = one_step(Clippy(absolute=0.0), [[0.0, 3.0]], [[1.0, 2.0]])
        np.testing.assert_array_equal(w, [0.0, 3.0])
        [w], _, _ = one_step(Clippy(absolute=0.0), [[0.0, 3.0]], [[0.0, 2.0]])
        np.testing.assert_allclose(w, [0.0, 2.0])

    @pytest.mark.parametrize("rate", [1e10, 1e20, 1e30])
    @pytest.mark.parametrize("weight", [2.0, 1e6, 1e18, 1e25])
    @pytest.mark.parametrize("gradient", [1e-3, 1.0, 1e3])
    def test_clippy_at_a_huge_rate_moves_by_what_is_allowed(self, rate, weight, gradient):
        [w], _, _ = one_step(
            Clippy(), [[weight]], [[gradient]], learning_rate=rate, dtype="float32", initial_accumulator_value=0.1
        )
        start = np.float32(weight)
        moved, allowed = float(start) - float(w[0]), 0.5 * weight + 0.01
        rounding = float(np.spacing(start)) + 1e-5 * allowed
        assert moved <= allowed + rounding
        if weight < 1e18:
            asked = rate * gradient / np.sqrt(0.1 + gradient**2)
            assert moved == pytest.approx(min(asked, allowed), abs=rounding)

    @pytest.mark.parametrize("epsilon", [0.0, 1e-40, 1e-36, 1e-30, 1e-20, 1e-7])
    @pytest.mark.parametrize("absolute", [1e-15, 1e-7, 1e-2])
    def test_clippy_with_a_tiny_epsilon_on_an_empty_accumulator(self, epsilon, absolute):
        w = tf.Variable([0.0, 0.0])
        optimizer = Adagrad(1.0, Clippy(absolute=absolute), initial_accumulator_value=0.0, epsilon=epsilon)
        take(optimizer, [w], [[1.0, 0.0]])
        assert optimizer.skipped_steps == 0
        np.testing.assert_allclose(w.numpy(), [-absolute, 0.0], rtol=1e-5)
