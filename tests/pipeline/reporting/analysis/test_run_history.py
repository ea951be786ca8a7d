from __future__ import annotations

import pytest

from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.analysis.run_history import find_last_step, read_history
from steadyrank.pipeline.reporting.analysis.series import read_series
from tests.pipeline.reporting.records import make_event


def test_the_history_of_an_empty_record_is_empty():
    history = read_history(RunRecord("r"), {})
    assert (history.incidents, history.spikes, history.divergences) == ((), (), [])
    assert (history.verdict, history.last_step, history.rule, history.may_continue) == ("", 0, "", False)


def test_spikes_within_a_divergence_are_left_out_and_others_are_kept():
    events = [
        make_event(10, "spike", "a"),
        make_event(100, "out_of_range", "a"),
        make_event(110, "spike", "b"),
        make_event(120, "micro_divergence", "a"),
        make_event(200, "dead_layer", layer="x"),
        make_event(200, "spike", "a"),
    ]
    history = read_history(RunRecord("r", divergence={"events": events}), {})
    assert [spike.step for spike in history.spikes] == [10, 200]
    assert len(history.incidents) == 2
    assert [incident.first_step for incident in history.divergences] == [100]


def test_metrics_are_selected_by_layer():
    line = {"step": 1, "loss": 2.0, "clipping_factor/a": 0.5, "norm/gradient": 7.0, "norm/gradient/a": 3.0}
    run = RunRecord("r", train=[line])
    history = read_history(run, read_series(run.train))
    assert history.loss.values.tolist() == [2.0]
    assert (list(history.clipping_factors), list(history.gradient_norms)) == (["a"], ["a"])


@pytest.mark.parametrize(
    ("optimizer", "rule"), [({"rule": "clippy"}, "clippy"), ({"rule": "none"}, ""), ({}, ""), ("odd", "")]
)
def test_the_rule_is_read_from_the_configuration(optimizer, rule):
    assert read_history(RunRecord("r", config={"optimizer": optimizer}), {}).rule == rule


def test_the_last_step_is_the_largest_that_is_named_anywhere():
    assert find_last_step(RunRecord("r", status={"step": 5}, train=[{"step": 7}], evaluation=[{"step": None}])) == 7
    assert find_last_step(RunRecord("r", status={"step": "9"})) == 0
