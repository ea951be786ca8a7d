"""Explanations: factors, norms and the binding coordinate, over all steps since the last reading."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from steadyrank.optimizers import (
    AdaGC,
    Adagrad,
    Clippy,
    ClippyAdagrad,
    Coordinate,
    Explanation,
    GradientClipping,
    Lamb,
    measurement,
    programs,
)
from tests.optimizers.reference import Reference

SHAPES = [(), (4,), (3, 2), (2, 3, 2)]
TABLES = [(6,), (6, 2), (6, 2, 3)]


def noise(*shape, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=shape)


def apply(optimizer, variable, gradient):
    """Takes a step with a dense gradient, or with rows and their ids."""
    if isinstance(gradient, tuple):
        ids, rows = gradient
        gradient = tf.IndexedSlices(tf.constant(rows, variable.dtype), tf.constant(ids), tf.constant(variable.shape))
    else:
        gradient = tf.constant(gradient, variable.dtype)
    optimizer.apply_gradients([(gradient, variable)])


def only(optimizer, reset=True):
    [explanation] = optimizer.read_explanations(reset).values()
    return explanation


def binding(w, g, accumulator, *, eta, iteration, ids=None):
    """The factor of Clippy and its binding coordinate, computed with NumPy."""
    r = g / np.sqrt(accumulator + g**2 + 1e-7)
    demand = eta * np.abs(r) / (0.5 * np.abs(w) + 1e-2)
    cell = np.unravel_index(demand.argmax(), demand.shape)
    index = tuple(int(i) for i in cell)
    if ids is not None:
        index = (int(ids[index[0]]), *index[1:])
    coordinate = Coordinate(
        iteration=iteration,
        index=index,
        weight=float(w[cell]),
        gradient=float(g[cell]),
        accumulator=float(accumulator[cell]),
        step=float(eta * r[cell]),
    )
    return min(1.0, 1 / demand.max()), coordinate


def assert_coordinate(found, expected):
    assert (found.iteration, found.index) == (expected.iteration, expected.index)
    for name in ("weight", "gradient", "accumulator", "step"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize(
    ("rule", "plain"),
    [
        (GradientClipping(1.0), {"rule": "gc", "threshold": 1.0, "granularity": "variable", "order": "before"}),
        (Lamb(), {"rule": "lamb"}),
        (
            Clippy(granularity="row"),
            {"rule": "clippy", "relative": 0.5, "absolute": 1e-2, "accumulator_relative": 0.0, "granularity": "row"},
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("sparse", [False, True])
def test_factors_counts_and_norms_equal_those_of_numpy(rule, plain, sparse):
    start = noise(5, 3)
    variable = tf.Variable(start, dtype=tf.float32)
    optimizer, reference = Adagrad(0.4, rule, explain=True), Reference(plain, weights=[start], learning_rate=0.4)
    factors, gradient_norms, update_norms = [], [], []
    for step in range(6):
        ids = np.arange(5) if not sparse else np.random.default_rng(step).permutation(5)[:3]
        g = noise(len(ids), 3, seed=step, scale=10.0 ** (step % 3 - 2))
        gradient = (ids, g) if sparse else g
        apply(optimizer, variable, gradient)
        before = reference.weights[0].copy()
        reference.step([gradient])
        factors.append(reference.sigmas[0])
        gradient_norms.append(np.linalg.norm(g))
        update_norms.append(np.linalg.norm(reference.weights[0] - before))
        parameter_norm = np.linalg.norm(before[ids])
    seen = only(optimizer)
    assert seen.rule == rule.name
    assert seen.factor == pytest.approx(factors[-1], rel=1e-4)
    assert seen.smallest_factor == pytest.approx(min(1.0, *factors), rel=1e-4)
    assert seen.clipped_steps == sum(factor < 1 for factor in factors)
    assert seen.gradient_norm == pytest.approx(max(gradient_norms), rel=1e-5)
    assert seen.update_norm == pytest.approx(max(update_norms), rel=1e-4)
    assert seen.parameter_norm == pytest.approx(parameter_norm, rel=1e-5)


class TestBindingCoordinate:
    @pytest.mark.parametrize("shape", SHAPES + [pytest.param(s, id=f"rows of {s}") for s in TABLES], ids=str)
    @pytest.mark.parametrize("granularity", ["variable", "row"])
    def test_it_belongs_to_the_step_with_the_smallest_factor(self, shape, granularity):
        sparse = shape in TABLES
        variable = tf.Variable(noise(*shape, seed=9, scale=0.1), dtype=tf.float32)
        optimizer = Adagrad(0.3, Clippy(granularity=granularity), explain=True)
        optimizer.build([variable])
        expected = []
        for step in range(4):
            ids = np.array([5, 0, 2]) + (step % 2) * np.array([-1, 0, 1])
            rows = ids if sparse else ...
            w, accumulator = variable.numpy()[rows], optimizer._accumulators[0].numpy()[rows]
            g = noise(*((3, *shape[1:]) if sparse else shape), seed=step, scale=10.0)
            expected.append(
                binding(*map(np.asarray, (w, g, accumulator)), eta=0.3, iteration=step, ids=ids if sparse else None)
            )
            apply(optimizer, variable, (ids, g) if sparse else g)
        factor, coordinate = min(expected, key=lambda found: found[0])
        seen = only(optimizer)
        assert factor < 1
        assert seen.smallest_factor == pytest.approx(factor, rel=1e-4)
        assert_coordinate(seen.bound_by, coordinate)

    def test_repeated_rows_count_with_their_sum(self):
        table = tf.Variable(tf.zeros([4, 2]))
        optimizer = Adagrad(1.0, "clippy", explain=True, initial_accumulator_value=1.0, epsilon=0.0)
        # Row 3: 2 + 1 = 3, r = 3 / sqrt(1 + 9); row 1: 2.5.
        apply(optimizer, table, ([3, 1, 3], [[0.0, 2.0], [2.5, 0.0], [0.0, 1.0]]))
        assert_coordinate(only(optimizer).bound_by, Coordinate(0, (3, 1), 0.0, 3.0, 1.0, 3 / np.sqrt(10)))

    @pytest.mark.parametrize("rule", [GradientClipping(0.01), AdaGC(absolute=0.01), Lamb()], ids=str)
    def test_a_rule_that_looks_at_norms_has_none(self, rule):
        w, optimizer = tf.Variable([0.1, 0.1]), Adagrad(0.1, rule, explain=True)
        apply(optimizer, w, [10.0, 20.0])
        seen = only(optimizer)
        assert seen.smallest_factor < 1
        assert seen.bound_by is None

    def test_an_unclipped_variable_has_none(self):
        w, optimizer = tf.Variable([1.0, 1.0]), Adagrad(0.1, "clippy", explain=True)
        apply(optimizer, w, [1.0, 2.0])
        assert only(optimizer) == Explanation(
            rule="clippy",
            factor=1.0,
            smallest_factor=1.0,
            clipped_steps=0,
            gradient_norm=pytest.approx(np.sqrt(5)),
            update_norm=pytest.approx(0.1 * np.hypot(1 / np.sqrt(1.1), 2 / np.sqrt(4.1)), rel=1e-5),
            parameter_norm=pytest.approx(np.sqrt(2)),
            bound_by=None,
        )

    def test_a_delayed_accumulator_proposes_the_step_without_the_gradient(self):
        w = tf.Variable([0.0])
        optimizer = Adagrad(
            0.5,
            "clippy",
            explain=True,
            initial_accumulator_value=4.0,
            epsilon=0.0,
            use_standard_accumulator_update=False,
        )
        apply(optimizer, w, [3.0])
        assert_coordinate(only(optimizer).bound_by, Coordinate(0, (0,), 0.0, 3.0, 4.0, 0.5 * 3 / 2))


class TestBetweenTwoReadings:
    def test_a_spike_of_one_step_is_not_missed(self):
        w = tf.Variable([0.0])
        optimizer = Adagrad(1.0, Clippy(relative=0.0), explain=True, initial_accumulator_value=0.0, epsilon=0.0)
        for g in (0.0, 1.0, 0.0):
            apply(optimizer, w, [g])
        seen = only(optimizer)
        assert (seen.factor, seen.clipped_steps, seen.gradient_norm) == (1.0, 1, 1.0)
        assert seen.smallest_factor == pytest.approx(0.01)
        assert seen.update_norm == pytest.approx(0.01)
        assert seen.bound_by.iteration == 1

    def test_reading_resets_the_explanations(self):
        w, optimizer = tf.Variable([0.0]), Adagrad(1.0, "clippy", explain=True)
        apply(optimizer, w, [100.0])
        first = only(optimizer)
        w.assign([50.0])
        apply(optimizer, w, [1.0])
        second = only(optimizer)
        assert first.smallest_factor < 0.1
        assert (second.smallest_factor, second.clipped_steps, second.bound_by) == (1.0, 0, None)
        assert second.gradient_norm == 1.0
        w.assign([0.0])
        apply(optimizer, w, [100.0])
        assert only(optimizer).bound_by.iteration == 2

    def test_reading_without_reset_changes_nothing(self):
        w, optimizer = tf.Variable([0.0]), Adagrad(1.0, "clippy", explain=True)
        apply(optimizer, w, [100.0])
        assert only(optimizer, reset=False) == only(optimizer, reset=False) == only(optimizer)
        assert only(optimizer).clipped_steps == 0

    def test_a_skipped_step_changes_no_explanation(self):
        w, optimizer = tf.Variable([0.0, 1.0]), Adagrad(1.0, "clippy", explain=True)
        apply(optimizer, w, [100.0, 1.0])
        before = only(optimizer, reset=False)
        apply(optimizer, w, [1e9, np.nan])
        assert only(optimizer) == before

    def test_a_variable_without_a_gradient_keeps_its_explanation(self):
        w, other = tf.Variable([0.0], name="w"), tf.Variable([0.0], name="other")
        optimizer = Adagrad(1.0, "clippy", explain=True)
        optimizer.apply_gradients([(tf.constant([5.0]), w), (tf.constant([5.0]), other)])
        before = optimizer.read_explanations(reset=False)
        optimizer.apply_gradients([(tf.constant([9.0]), w), (None, other)])
        after = optimizer.read_explanations()
        assert after["other:0"] == before["other:0"]
        assert after["w:0"].gradient_norm == 9.0

    @pytest.mark.parametrize("gradient", [[[1.0], [0.5]], ([0, 1], [[1.0], [0.5]])], ids=["dense", "sparse"])
    def test_a_tiny_factor_of_one_row_is_reported_exactly(self, gradient):
        # The first row may move by 1e-9 of the step that Adagrad asks for, the second by 1.
        table = tf.Variable([[0.0], [1.0]])
        optimizer = Adagrad(1.0, Clippy(relative=1.0, absolute=1e-9, granularity="row"), explain=True, epsilon=0.0)
        optimizer.build([table])
        optimizer._accumulators[0].assign([[0.0], [0.0]])
        apply(optimizer, table, gradient)
        assert only(optimizer).smallest_factor == pytest.approx(1e-9, rel=1e-3)


def test_two_replicas_report_what_one_replica_reports(two_replicas):
    gradients = noise(4, 2, 3, scale=30.0).astype(np.float32)

    def start():
        return [
            tf.Variable(tf.ones(3), name="w"),
            tf.Variable(tf.ones([4, 2]), name="t"),
            Adagrad(0.5, "clippy", explain=True),
        ]

    w, table, single = start()
    with two_replicas.scope():
        shared, shared_table, mirrored = start()

    def on_replica(g):
        rows = tf.IndexedSlices(tf.reshape(g[:2], [1, 2]), tf.constant([2]), tf.constant([4, 2]))
        mirrored.apply_gradients([(g, shared), (rows, shared_table)])

    @tf.function
    def step(g):
        two_replicas.run(on_replica, args=(g,))

    for halves in gradients:
        step(
            two_replicas.experimental_distribute_values_from_function(
                lambda context, halves=halves: halves[context.replica_id_in_sync_group]
            )
        )
        total = halves.sum(axis=0)
        rows = tf.IndexedSlices(tf.constant(total[None, :2]), tf.constant([2]), tf.constant([4, 2]))
        single.apply_gradients([(tf.constant(total), w), (rows, table)])
    ours, theirs = single.read_explanations(), mirrored.read_explanations()
    assert ours["t:0"].bound_by.index[0] == 2
    for name, one in ours.items():
        two = theirs[name]
        assert (one.rule, one.clipped_steps) == (two.rule, two.clipped_steps)
        assert one.clipped_steps > 0
        for field in ("factor", "smallest_factor", "gradient_norm", "update_norm", "parameter_norm"):
            assert getattr(one, field) == pytest.approx(getattr(two, field), rel=1e-5), field
        assert_coordinate(two.bound_by, one.bound_by)
    [after] = {explanation.clipped_steps for explanation in mirrored.read_explanations().values()}
    assert after == 0


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        ((), None),
        ((12,), None),
        ((13,), None),
        ((24,), 12),
        ((26,), None),
        ((30,), 10),
        ((12, 2), 6),
        ((4, 13), None),
        ((0, 2), None),
    ],
)
def test_a_block_divides_the_rows_and_is_not_small(shape, rows, monkeypatch):
    monkeypatch.setattr(measurement, "_BLOCK", 12)
    assert measurement.choose_block_rows(shape) == rows
    assert measurement.choose_block_rows(tf.TensorShape(shape)) == rows


@pytest.mark.parametrize("block", [measurement._BLOCK, 6])
@pytest.mark.parametrize("rule", [Clippy(), Clippy(granularity="row"), Lamb(), GradientClipping(0.1)], ids=str)
def test_compiled_steps_report_what_plain_steps_report(rule, block, monkeypatch):
    def report():
        shapes = [*SHAPES, (18,), (12, 2), (12, 1, 2)]
        variables = [tf.Variable(noise(*s, seed=sum(s)), dtype=tf.float32, name=f"v{s}") for s in shapes]
        table = tf.Variable(noise(6, 2, seed=2), dtype=tf.float32, name="table")
        optimizer = Adagrad(0.5, rule, explain=True)
        for step in range(2):
            rows = tf.IndexedSlices(
                tf.constant(noise(4, 2, seed=step), tf.float32), tf.constant([5, 1, 5, 0]), tf.constant([6, 2])
            )
            dense = [tf.constant(noise(*v.shape, seed=step, scale=9.0), tf.float32) for v in variables]
            optimizer.apply_gradients([*zip(dense, variables, strict=True), (rows, table)])
        return optimizer.read_explanations(), [v.numpy() for v in (*variables, table)]

    plain, weights = report()
    monkeypatch.setattr(programs, "_SMALLEST_PROGRAM", 0)
    monkeypatch.setattr(measurement, "_BLOCK", block)
    compiled, same_weights = report()
    for name, one in plain.items():
        other = compiled[name]
        assert one.clipped_steps == other.clipped_steps
        assert one.clipped_steps > 0 or isinstance(rule, Lamb)
        for field in ("factor", "smallest_factor", "gradient_norm", "update_norm", "parameter_norm"):
            assert getattr(one, field) == pytest.approx(getattr(other, field), rel=1e-5), field
        if isinstance(rule, Clippy):
            assert_coordinate(other.bound_by, one.bound_by)
        else:
            assert one.bound_by is other.bound_by is None
    for a, b in zip(weights, same_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


class TestSwitchingOn:
    def test_explanations_are_off_by_default_and_then_cost_no_variable(self):
        w = tf.Variable([1.0])
        plain, explained = Adagrad(0.1, "clippy"), Adagrad(0.1, "clippy", explain=True)
        for optimizer in (plain, explained):
            apply(optimizer, w, [1.0])
        # The iterations, one accumulator, and the counts of skipped steps.
        assert len(plain.variables) == 3
        assert len(explained.variables) == 5
        assert plain.clipping_factors == []
        assert (plain.explain, explained.explain) == (False, True)

    @pytest.mark.parametrize("optimizer", [Adagrad(), ClippyAdagrad()], ids=["Adagrad", "ClippyAdagrad"])
    def test_reading_without_explain_raises_an_error_with_the_argument_to_set(self, optimizer):
        with pytest.raises(ValueError, match=r"explain=True.*export_clipping_factors=True"):
            optimizer.read_explanations()

    def test_there_are_no_explanations_before_the_first_step(self):
        optimizer = Adagrad(explain=True)
        assert optimizer.read_explanations() == {}
        assert optimizer.clipping_factors == []

    def test_factors_are_in_the_order_of_the_variables(self):
        optimizer = ClippyAdagrad(1.0, 0.0, epsilon=0.0, export_clipping_factors=True)
        free, bound = tf.Variable([9.0]), tf.Variable([0.0])
        optimizer.apply_gradients([(tf.constant([1.0]), free), (tf.constant([1.0]), bound)])
        assert [float(factor) for factor in optimizer.clipping_factors] == pytest.approx([1.0, 0.01])

    def test_variables_of_one_name_are_distinguished(self):
        optimizer = Adagrad(1.0, "clippy", explain=True)
        first, second = tf.Variable([0.0], name="w"), tf.Variable([0.0], name="w")
        optimizer.apply_gradients([(tf.constant([1.0]), first), (tf.constant([2.0]), second)])
        norms = {name: seen.gradient_norm for name, seen in optimizer.read_explanations().items()}
        assert norms == {"w:0#0": 1.0, "w:0#1": 2.0}

    def test_a_variable_without_a_rule_has_norms(self):
        w, optimizer = tf.Variable([3.0, 4.0]), Adagrad(1.0, explain=True, initial_accumulator_value=0.0, epsilon=0.0)
        apply(optimizer, w, [6.0, -8.0])
        assert only(optimizer) == Explanation("none", 1.0, 1.0, 0, 10.0, pytest.approx(np.sqrt(2)), 5.0, None)
