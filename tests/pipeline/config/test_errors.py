"""Errors for mistakes that the user can fix."""

from __future__ import annotations

from steadyrank.pipeline.config.errors import ConfigError


def test_a_single_problem_is_the_message_itself():
    error = ConfigError("model.l2 must be 0 or more, got -1")
    assert str(error) == "model.l2 must be 0 or more, got -1"
    assert str(ConfigError("model.l2 is wrong", source="a.yaml")) == "a.yaml: model.l2 is wrong"


def test_several_problems_are_listed_one_per_line():
    error = ConfigError("first", "second", source="a.yaml")
    assert str(error) == "a.yaml has 2 problems:\n  first\n  second"
    assert error.problems == ("first", "second")
