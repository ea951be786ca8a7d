"""One monitor used again: after another ``compile``, with another model, copied, and with the wrong version of Keras."""

from __future__ import annotations

import copy
import pickle

import keras
import numpy as np
import pytest
import tf_keras

from steadyrank.pipeline.divergence import DivergenceMonitor
from steadyrank.pipeline.divergence.keras3 import DivergenceMonitor as Keras3Monitor
from tests.pipeline.divergence.recovery.test_rollback import fit, list_kinds, make_model, make_monitor


def read_rate(model):
    return float(np.asarray(model.optimizer.learning_rate))


def test_a_rollback_after_another_compile_reduces_the_rate_in_use(keras_version):
    library, monitor_class = keras_version
    model, monitor = make_model(library, 0.001), make_monitor(monitor_class, max_rollbacks=5)
    x = np.ones((64, 8), np.float32)
    model.fit(x, x[:, :1], batch_size=8, verbose=0, callbacks=[monitor])
    model.compile(library.optimizers.SGD(0.1, momentum=0.1), "mse")
    fit(model, monitor)
    assert list_kinds(monitor).count("rollback") == 1
    assert read_rate(model) == pytest.approx(0.1 * 0.05)
    np.testing.assert_allclose(model.get_weights()[0], 1.0, atol=0.05)


def test_another_model_starts_anew_and_leaves_the_first_one_alone(keras_version):
    library, monitor_class = keras_version
    monitor = make_monitor(monitor_class)
    first, second = make_model(library, 0.1), make_model(library, 0.1)
    fit(first, monitor)
    first_events, first_weights = monitor.events, first.get_weights()
    assert list_kinds(monitor).count("rollback") == 1
    fit(second, monitor)
    # The same seed and data: the second fit has the events of the first one, and none from before.
    assert [event.to_dict() for event in monitor.events] == [event.to_dict() for event in first_events]
    assert monitor.rollback_count == 1
    assert read_rate(second) == pytest.approx(0.1 * 0.05)
    for before, after in zip(first_weights, first.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda monitor: pickle.loads(pickle.dumps(monitor))])
def test_copies_keep_the_results_and_belong_to_no_model(keras_version, duplicate):
    library, monitor_class = keras_version
    monitor = make_monitor(monitor_class)
    before = duplicate(monitor)
    model = make_model(library, 0.1)
    monitor.set_model(model)
    during = duplicate([monitor])[0]
    fit(model, monitor)
    after = duplicate(monitor)
    assert (before.events, before.step, during.events, during.step) == ([], 0, [], 0)
    assert (after.events, after.verdict, after.step) == (monitor.events, monitor.verdict, monitor.step)
    assert after.model is None
    assert after.get_state() == monitor.get_state()
    # A copy is a monitor of its own.
    fit(make_model(library, 0.1), before)
    assert before.events == monitor.events


@pytest.mark.parametrize(
    ("library", "monitor", "name"),
    [
        (keras, DivergenceMonitor(), "from steadyrank.pipeline.divergence.keras3 import"),
        (tf_keras, Keras3Monitor(), "from steadyrank.pipeline.divergence import"),
    ],
)
def test_a_model_of_the_other_keras_is_refused(library, monitor, name):
    model = make_model(library, 0.1)
    with pytest.raises(TypeError, match=name):
        fit(model, monitor)
