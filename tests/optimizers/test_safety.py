"""Bad gradients change nothing and are counted, too many of them are an error, and everything stays finite."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from steadyrank.optimizers import AdaGC, Adagrad, ClippyAdagrad, skipped_too_often
from tests.optimizers.rule_variants import VARIANTS

RULES = [*VARIANTS, AdaGC(start=1)]
BAD = [float("nan"), float("inf"), -float("inf"), 1e30]


class Model:
    """A matrix, a scalar and a table with sparse gradients, under one optimizer."""

    def __init__(self, optimizer):
        rng = np.random.default_rng(1)
        self.matrix = tf.Variable(rng.normal(size=(3, 2)).astype(np.float32), name="matrix")
        self.scalar = tf.Variable(0.5, name="scalar")
        self.table = tf.Variable(rng.normal(size=(4, 2)).astype(np.float32), name="table")
        self.variables = [self.matrix, self.scalar, self.table]
        self.optimizer = optimizer
        optimizer.build(self.variables)

    def step(self, seed, **bad):
        """Takes one step with random gradients; ``bad`` sets a value in the gradient of the variable of that name."""
        rng = np.random.default_rng(seed)
        gradients = {name: rng.normal(size=shape) for name, shape in (("matrix", (3, 2)), ("table", (3, 2)))}
        gradients["scalar"] = np.array(rng.normal())
        for name, value in bad.items():
            gradients[name][(1,) * gradients[name].ndim] = value
        matrix, scalar, values = (tf.constant(gradients[n], tf.float32) for n in ("matrix", "scalar", "table"))
        sparse = tf.IndexedSlices(values, tf.constant([3, 0, 3]), tf.constant([4, 2]))
        self.apply([matrix, scalar, sparse])

    def apply(self, gradients):
        self.optimizer.apply_gradients(zip(gradients, self.variables, strict=True))

    def read_state(self):
        """Returns all weights and all accumulators."""
        return [v.numpy() for v in (*self.variables, *self.optimizer._accumulators)]


def assert_same(mine, theirs):
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("where", ["matrix", "scalar", "table"])
def test_a_bad_gradient_changes_nothing_now_or_in_later_steps(rule, bad, where):
    damaged, control = Model(Adagrad(0.1, rule)), Model(Adagrad(0.1, rule))
    for model in (damaged, control):
        model.step(seed=0)
    before = damaged.read_state()
    damaged.step(seed=1, **{where: bad})
    assert_same(damaged.read_state(), before)
    for model in (damaged, control):
        model.step(seed=2)
    assert_same(damaged.read_state(), control.read_state())
    # The coordinate with the bad gradient moves again.
    assert (damaged.read_state()[0] != before[0]).all()
    assert damaged.optimizer.skipped_steps == 1
    assert damaged.optimizer.read_nonfinite_gradients() == {f"{where}:0": 1}
    assert int(damaged.optimizer.iterations) == 3


def test_bad_gradients_are_counted_by_variable():
    model = Model(Adagrad(0.1, "clippy"))
    model.step(0, matrix=np.nan)
    model.step(1, matrix=np.inf, table=1e30)
    model.step(2)
    assert model.optimizer.skipped_steps == 2
    assert model.optimizer.read_nonfinite_gradients() == {"matrix:0": 2, "table:0": 1}


def test_before_the_first_step_nothing_is_counted():
    optimizer = Adagrad()
    assert optimizer.skipped_steps == 0
    assert optimizer.read_nonfinite_gradients() == {}


def test_a_bad_gradient_of_a_variable_without_a_rule_skips_the_step():
    model = Model(Adagrad(0.1, "clippy", groups={"table": None}))
    before = model.read_state()
    model.step(0, table=np.nan)
    assert_same(model.read_state(), before)


def test_gradients_up_to_the_limit_are_good():
    w, optimizer = tf.Variable([1.0, 1.0]), Adagrad(0.1, gradient_limit=100.0)
    optimizer.apply_gradients([(tf.constant([100.0, -100.0]), w)])
    assert optimizer.skipped_steps == 0
    assert (w.numpy() != 1.0).all()
    optimizer.apply_gradients([(tf.constant([1.0, -100.001]), w)])
    assert optimizer.skipped_steps == 1


@pytest.mark.parametrize("switch", ["clipnorm", "global_clipnorm", "clipvalue"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_clipping_by_keras_does_not_hide_bad_gradients(switch, bad):
    model = Model(Adagrad(0.1, **{switch: 1.0}))
    before = model.read_state()
    model.step(0, matrix=bad)
    assert_same(model.read_state(), before)
    assert model.optimizer.skipped_steps == 1
    assert model.optimizer.read_nonfinite_gradients() == {"matrix:0": 1}


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize(
    "options", [{"skip_nonfinite": False}, {"gradient_limit": 1e38}, {"gradient_limit": 1e200}], ids=str
)
def test_clippy_bounds_a_step_whose_squared_gradient_overflows(options, explain):
    w = tf.Variable([1.0, 1.0])
    optimizer = Adagrad(1.0, "clippy", explain=explain, **options)
    for g in ([1e30, 1.0], [1e30, -1.0], [1.0, 1.0]):
        before = w.numpy()
        optimizer.apply_gradients([(tf.constant(g), w)])
        assert (np.abs(w.numpy() - before) <= (0.5 * np.abs(before) + 0.01) * 1.00001).all()
        assert np.isfinite(optimizer._accumulators[0].numpy()).all()
    assert (w.numpy() != 1).any()


def test_a_nan_on_one_replica_skips_the_step_on_all(two_replicas):
    with two_replicas.scope():
        w, table = tf.Variable(tf.ones(3), name="w"), tf.Variable(tf.ones([4, 2]), name="table")
        optimizer = Adagrad(0.1, "clippy", max_skipped_steps=2)
        optimizer.build([w, table])

    def on_replica(g, values):
        sparse = tf.IndexedSlices(values, tf.constant([3, 0]), tf.constant([4, 2]))
        optimizer.apply_gradients([(g, w), (sparse, table)])

    @tf.function
    def run(g, values):
        two_replicas.run(on_replica, args=(g, values))

    def step(g, values):
        run(
            *(
                two_replicas.experimental_distribute_values_from_function(
                    lambda context, array=array: np.float32(array)[context.replica_id_in_sync_group]
                )
                for array in (g, values)
            )
        )

    def kept():
        variables = (w, table, *optimizer._accumulators)
        return [copy.numpy() for v in variables for copy in two_replicas.experimental_local_results(v)]

    good, good_rows = np.ones((2, 3)), np.ones((2, 2, 2))
    bad, bad_rows = good.copy(), good_rows.copy()
    bad[1, 2], bad_rows[0, 1, 1] = np.nan, np.inf
    step(good, good_rows)
    before = kept()
    step(bad, good_rows)
    step(good, bad_rows)
    assert_same(kept(), before)
    assert optimizer.skipped_steps == 2
    assert optimizer.read_nonfinite_gradients() == {"w:0": 1, "table:0": 1}
    with pytest.raises(tf.errors.InvalidArgumentError, match="w:0"):
        step(bad, good_rows)
    assert_same(kept(), before)
    step(good, good_rows)
    assert not (kept()[0] == before[0]).any()


class TestTooManyInARow:
    @pytest.mark.parametrize("in_a_graph", [False, True])
    def test_one_more_than_allowed_is_an_error_that_names_the_variable(self, in_a_graph):
        model = Model(Adagrad(0.1, "clippy", max_skipped_steps=2))
        if in_a_graph:
            model.apply = tf.function(model.apply)
        before = model.read_state()
        for seed in range(2):
            model.step(seed, table=np.nan)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"table:0.*after 2 skipped steps.*max_skipped_steps"):
            model.step(2, table=np.nan)
        assert_same(model.read_state(), before)

    def test_a_good_step_resets_the_count_in_a_row(self):
        model = Model(Adagrad(0.1, max_skipped_steps=2))
        for seed, bad in enumerate([True, True, False, True, True]):
            model.step(seed, **({"scalar": np.inf} if bad else {}))
        assert model.optimizer.skipped_steps == 4
        with pytest.raises(tf.errors.InvalidArgumentError, match="'scalar:0'"):
            model.step(5, scalar=np.inf)

    def test_none_may_be_allowed(self):
        model = Model(Adagrad(0.1, max_skipped_steps=0))
        model.step(0)
        with pytest.raises(tf.errors.InvalidArgumentError, match="'matrix:0'"):
            model.step(1, matrix=np.nan)

    def test_any_number_may_be_allowed(self):
        model = Model(Adagrad(0.1, max_skipped_steps=None))
        for seed in range(25):
            model.step(seed, matrix=np.nan)
        assert model.optimizer.skipped_steps == 25

    def test_by_default_twenty_are_allowed(self):
        model = Model(ClippyAdagrad(0.1))
        for seed in range(20):
            model.step(seed, matrix=np.nan)
        with pytest.raises(tf.errors.InvalidArgumentError, match="'matrix:0'"):
            model.step(20, matrix=np.nan)

    @pytest.mark.parametrize("in_a_graph", [False, True])
    def test_the_error_is_distinguished_from_others(self, in_a_graph):
        model = Model(Adagrad(0.1, max_skipped_steps=0))
        if in_a_graph:
            model.apply = tf.function(model.apply)
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            model.step(0, matrix=np.nan)
        message = skipped_too_often(caught.value)
        assert "matrix:0" in message
        assert message.startswith("the gradient of ")
        assert message.endswith("max_skipped_steps")
        with pytest.raises(tf.errors.InvalidArgumentError) as other:
            tf.reshape(tf.zeros(3), [2])
        assert skipped_too_often(other.value) == ""


class TestASkippedStepDoesNotChange:
    @pytest.mark.parametrize("dtype", ["float16", "float32"])
    def test_weights_near_the_largest_number(self, dtype):
        largest = float(tf.as_dtype(dtype).max)
        w, other = tf.Variable([largest, -largest, 1.0], dtype=dtype), tf.Variable(1.0)
        before = w.numpy()
        optimizer = Adagrad(0.1)
        optimizer.apply_gradients([(tf.zeros(3, dtype), w), (tf.constant(np.nan), other)])
        np.testing.assert_array_equal(w.numpy(), before)

    def test_moving_averages_and_the_weights_they_replace(self):
        model = Model(Adagrad(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2))
        model.step(0)
        averages = [average.numpy() for average in model.optimizer._model_variables_moving_average]
        before = model.read_state()
        model.step(1, matrix=np.nan)
        assert_same(model.read_state(), before)
        assert_same([average.numpy() for average in model.optimizer._model_variables_moving_average], averages)


class TestEverythingStaysFinite:
    @settings(deadline=None, max_examples=100)
    @given(data=st.data(), rule=st.sampled_from(RULES), dtype=st.sampled_from(["float16", "bfloat16", "float32"]))
    def test_weights_and_slots_stay_finite(self, data, rule, dtype):
        largest = float(tf.as_dtype(dtype).max)
        numbers = st.one_of(
            st.floats(width=32),
            st.sampled_from([0.0, 1.0, -1.0, 1e-45, 1e-38, 1e10, -1e10, largest, -largest, np.nan, np.inf]),
        )
        finite = st.one_of(st.sampled_from([0.0, 1e-45, 1.0, largest, -largest]), st.floats(-1e3, 1e3, width=32))
        arrays = hnp.arrays(np.float32, (2, 2), elements=numbers)
        w, table = (
            tf.Variable(data.draw(hnp.arrays(np.float32, (2, 2), elements=finite)), dtype=dtype) for _ in range(2)
        )
        scalar = tf.Variable(data.draw(finite), dtype=dtype)
        optimizer = Adagrad(
            data.draw(st.sampled_from([0.0, 1e-30, 0.1, 1.0, 1e10, 1e30])),
            rule,
            initial_accumulator_value=data.draw(st.sampled_from([0.0, 0.1, 1e30])),
            epsilon=data.draw(st.sampled_from([0.0, 1e-30, 1e-7])),
            weight_decay=data.draw(st.sampled_from([None, 0.1, 1.0])),
            use_standard_accumulator_update=data.draw(st.booleans()),
            use_ema=data.draw(st.booleans()),
        )
        for _ in range(data.draw(st.integers(1, 3))):
            dense, values = (tf.cast(data.draw(arrays), dtype) for _ in range(2))
            sparse = tf.IndexedSlices(values, tf.constant(data.draw(st.sampled_from([[0, 1], [1, 1]]))), (2, 2))
            alone = tf.cast(data.draw(numbers), dtype)
            optimizer.apply_gradients([(dense, w), (sparse, table), (alone, scalar)])
        for variable in (w, table, scalar, *optimizer.variables):
            assert np.isfinite(tf.cast(variable, tf.float64).numpy()).all(), variable.name

    def test_with_a_decay_above_1_and_a_learning_rate_of_0(self):
        w = tf.Variable([3e38])
        Adagrad(0.0, weight_decay=10.0).apply_gradients([(tf.constant([1.0]), w)])
        np.testing.assert_array_equal(w.numpy(), np.float32([3e38]))

    @pytest.mark.parametrize("rate", [float("inf"), float("nan"), 1e39])
    def test_with_a_learning_rate_that_is_not_finite(self, rate):
        models = {str(rule): Model(Adagrad(0.1, rule)) for rule in RULES}
        for model in models.values():
            model.optimizer.learning_rate = rate
            model.step(0, matrix=0.0)
        harmed = [
            name for name, model in models.items() if not all(np.isfinite(kept).all() for kept in model.read_state())
        ]
        assert not harmed


def test_bad_gradients_are_applied_without_skip_nonfinite():
    model = Model(Adagrad(0.1, skip_nonfinite=False, max_skipped_steps=0))
    before = model.read_state()
    model.step(0, matrix=np.nan)
    assert np.isnan(model.matrix.numpy()).sum() == 1
    assert np.isfinite(model.scalar.numpy())
    assert model.scalar.numpy() != before[1]
    assert model.optimizer.skipped_steps == 0
    assert model.optimizer.read_nonfinite_gradients() == {}
