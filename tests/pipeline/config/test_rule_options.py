"""The options of the clipping rules as settings."""

from __future__ import annotations

import dataclasses

import pytest

from steadyrank.optimizers.rules import RULES
from steadyrank.pipeline.config.rule_options import describe_rule_options, find_rule_problems, read_rule_options


@pytest.mark.parametrize("rule", RULES)
def test_the_defaults_of_every_rule_are_also_valid_as_text(rule):
    defaults = {field.name: field.default for field in dataclasses.fields(RULES[rule])}
    texts = {name: str(value) for name, value in defaults.items()}
    assert read_rule_options(rule, texts) == defaults
    assert list(find_rule_problems(rule, read_rule_options(rule, texts), "options")) == []


def test_text_that_is_not_a_number_is_reported():
    options = read_rule_options("gc", {"threshold": "many"})
    [problem] = find_rule_problems("gc", options, "options")
    assert problem.startswith("options: gc: threshold must be a finite number of 0 or more")
    assert problem.endswith("got 'many'")


def test_every_wrong_option_is_reported():
    problems = list(find_rule_problems("clippy", {"relative": -1.0, "granularity": "unit", "zzz": 1}, "options"))
    assert len(problems) == 3
    assert problems[2] == (
        "options: rule clippy has no option 'zzz'; its options are relative, absolute, accumulator_relative, granularity"
    )


def test_an_unknown_rule_has_no_options_to_check():
    assert read_rule_options("zzz", {"a": "1"}) == {"a": "1"}
    assert list(find_rule_problems("zzz", {"a": "1"}, "options")) == []


def test_the_description_lists_every_rule():
    assert all(f"{rule}: " in describe_rule_options() for rule in RULES)
