"""One line for each incident on the terminal."""

from __future__ import annotations

import numpy as np
import tf_keras

from steadyrank.pipeline.divergence import DivergenceMonitor, Event
from steadyrank.pipeline.divergence.event_lines import format_events


def make_spikes(tasks: str) -> list[Event]:
    return [Event(65, "spike", task, f"evidence of {task}") for task in tasks]


def test_events_in_one_step_share_a_line():
    events = [*make_spikes("abc"), Event(66, "spike", "a", "later"), Event(65, "out_of_range", "b", "worse")]
    assert format_events(events) == [
        "step 65 [b] out of range: worse (also spike: a, b, c)",
        "step 66 [a] spike: later",
    ]


def test_more_than_three_other_names_are_counted():
    assert format_events(make_spikes("abcdef")) == ["step 65 [a] spike: evidence of a (also b, c, 3 more)"]
    assert format_events(make_spikes("abcd")) == ["step 65 [a] spike: evidence of a (also b, c, d)"]


def test_an_incident_of_tasks_layers_and_weights_is_one_line():
    layers = [Event(65, "dead_layer", "", "dead", layer=f"dense_{i}") for i in range(5)]
    weights = Event(65, "full_divergence", "", "weights are not finite in 1 layer: dense", layer="dense")
    assert format_events([*make_spikes("abcdef"), *layers, weights]) == [
        "step 65 [dense] full divergence: weights are not finite in 1 layer: dense "
        "(also spike: a, b, 4 more; dead layer: dense_0, dense_1, 3 more)"
    ]


def test_an_action_has_its_own_line():
    events = [Event(65, "full_divergence", "", "bad"), Event(65, "rollback", "", "restored")]
    assert format_events(events) == ["step 65 [model] full divergence: bad", "step 65 [model] rollback: restored"]


def test_a_fit_that_breaks_prints_few_lines(capsys):
    tf_keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(320, 4)).astype(np.float32)
    hidden = [tf_keras.layers.Dense(8, "relu") for _ in range(4)]
    model = tf_keras.Sequential([*hidden, tf_keras.layers.Dense(1)])
    model.compile(tf_keras.optimizers.SGD(1e4), "mse")
    monitor = DivergenceMonitor(verbose=1)
    model.fit(x, x.sum(axis=1), 16, verbose=0, callbacks=[monitor])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len({event.step for event in monitor.events}) <= 4
    assert any("full divergence: weights are not finite in 5 layers" in line for line in lines)
