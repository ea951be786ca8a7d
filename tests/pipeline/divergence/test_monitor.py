from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tf_keras

from steadyrank.pipeline.divergence import Detector, Diverged, DivergenceMonitor


def plain_model(rate: float):
    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential([tf_keras.layers.Dense(8, "relu"), tf_keras.layers.Dense(1)])
    model.compile(optimizer=tf_keras.optimizers.SGD(rate), loss="mse")
    return model


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(640, 4))
    return x, x.sum(axis=1)


def fit(rate: float, monitor: DivergenceMonitor):
    return plain_model(rate).fit(*data(), batch_size=32, epochs=10, verbose=0, callbacks=[monitor])


def test_observes_a_plain_fit_and_changes_nothing():
    monitor = DivergenceMonitor(every=5)
    watched = fit(0.01, monitor).history
    assert monitor.verdict == "healthy"
    assert watched == plain_model(0.01).fit(*data(), batch_size=32, epochs=10, verbose=0).history


def test_stops_a_plain_fit_that_diverges():
    monitor = DivergenceMonitor(every=5, on_full="stop", detector=Detector(patience=2))
    history = fit(1e3, monitor).history
    assert monitor.verdict == "full"
    assert len(history["loss"]) < 10


def test_raises_when_told_to():
    with pytest.raises(Diverged, match="the loss is not finite"):
        fit(1e3, DivergenceMonitor(every=5, on_full="raise"))


def test_only_watches_by_default():
    monitor = DivergenceMonitor(every=5)
    assert len(fit(1e3, monitor).history["loss"]) == 10
    assert monitor.to_dict()["verdict"] == "full"
    assert "out_of_range" in [event["kind"] for event in monitor.to_dict()["events"]]


def test_an_unknown_action_is_refused():
    with pytest.raises(ValueError, match="on_full must be one of None, 'stop', 'raise', 'rollback', got 'rollbak'"):
        DivergenceMonitor(on_full="rollbak")


def test_needs_no_other_room_and_leaves_tf_keras_alone():
    code = (
        "import sys, tensorflow as tf, steadyrank.pipeline.divergence, steadyrank.optimizers\n"
        "rooms = {m.split('.')[2] for m in sys.modules if m.startswith('steadyrank.pipeline.')}\n"
        "assert rooms == {'divergence'}, rooms\n"
        "assert 'steadyrank.models' not in sys.modules and 'tensorflow_recommenders' not in sys.modules\n"
        "assert tf.keras.version().startswith('3')\n"
    )
    environment = {"PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
