"""One set of probes, read for checks and for publications."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tf_keras

from steadyrank.pipeline.divergence.problems import Problems
from steadyrank.pipeline.divergence.window_reader import WindowReader

ROWS = 16


@pytest.fixture
def model():
    model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def begin(model, reader: WindowReader, step: int = 0) -> WindowReader:
    reader.begin(model, step, loss_ratio=2.0, bundles=None)
    return reader


def fit(model, reader: WindowReader, steps: int) -> None:
    x = np.random.default_rng(0).normal(size=(steps * ROWS, 3))
    measure = tf_keras.callbacks.LambdaCallback(on_batch_begin=lambda batch, logs: reader.measure_next_step())
    model.fit(x, x.sum(axis=1), batch_size=ROWS, verbose=0, callbacks=[measure])


def test_checks_and_publications_have_separate_windows(model):
    reader = begin(model, WindowReader(Problems()))
    fit(model, reader, 3)
    assert reader.take_unchecked(step=3).steps == 3
    fit(model, reader, 2)
    assert reader.take_unpublished(step=5).steps == 5
    assert reader.take_unchecked(step=5).steps == 2
    assert reader.take_unpublished(step=5).steps == 0


def test_discarded_steps_are_still_published(model):
    reader = begin(model, WindowReader(Problems()))
    fit(model, reader, 3)
    reader.take_unpublished(step=3)
    reader.discard_unchecked()
    assert reader.take_unchecked(step=3).steps == 0


def test_a_restored_reader_continues_identically(model):
    reader = begin(model, WindowReader(Problems()))
    fit(model, reader, 3)
    reader.take_unpublished(step=3)
    fit(model, reader, 2)
    restored = WindowReader(Problems())
    restored.set_state(json.loads(json.dumps(reader.get_state())), step=5)
    reader.end()
    begin(model, restored, step=5)
    # As text, because NaN does not equal itself.
    assert json.dumps(restored.get_state()) == json.dumps(reader.get_state())
    windows = [restored.take_unchecked(step=5), reader.take_unchecked(step=5)]
    assert json.dumps(windows[0].to_dict()) == json.dumps(windows[1].to_dict())


def test_without_probes_nothing_is_measured():
    reader = WindowReader(Problems())
    assert not reader.has_probes
    assert reader.take_unchecked(step=3).steps == 0
    reader.set_alarm_thresholds({"loss": 1.0}, armed=True)
    reader.end()
