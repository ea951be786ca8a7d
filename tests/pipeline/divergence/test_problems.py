"""Failed measurements: recorded and logged once, and never raised."""

from __future__ import annotations

import logging

import pytest

from steadyrank.pipeline.divergence.problems import Problems


def test_a_failure_is_recorded_and_logged_once(caplog):
    problems = Problems()
    for error in (ValueError("first\n failure"), KeyError("second")):
        with problems.guard("measure the loss"):
            raise error
    assert problems == ["The monitor cannot measure the loss: ValueError: first failure"]
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.WARNING, problems[0])]


def test_different_actions_are_recorded_separately():
    problems = Problems()
    for action in ("measure the loss", "measure the loss of task 'a'"):
        with problems.guard(action):
            raise ValueError
    assert len(problems) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_by_the_user_is_raised(error):
    problems = Problems()
    with pytest.raises(error), problems.guard("measure the loss"):
        raise error
    assert problems == []
