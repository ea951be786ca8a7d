from __future__ import annotations

import dataclasses
import math

import pytest

from steadyrank.optimizers.rules import RULES
from steadyrank.pipeline.config.errors import ConfigError
from steadyrank.pipeline.config.settings import (
    Config,
    Data,
    Files,
    Group,
    Model,
    Movielens,
    Optimizer,
    Simulated,
    Training,
)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data": Data(source="csv")}, "data.source must be one of simulated, movielens, files, got 'csv'"),
        (
            {"optimizer": Optimizer(rule="clip")},
            f"optimizer.rule must be one of {', '.join(RULES)}, got 'clip'; did you mean 'clippy'?",
        ),
        ({"training": Training(strategy="tpu")}, "training.strategy must be one of one_device, mirrored, got 'tpu'"),
        ({"model": Model(precision="half")}, "model.precision must be one of "),
        ({"data": Data(batch_size=0)}, "data.batch_size must be an integer of 1 or more, got 0"),
        (
            {"data": Data(simulated=Simulated(users=0))},
            "data.simulated.users must be an integer of 1 or more, got 0",
        ),
        (
            {"training": Training(steps_per_execution=0)},
            "training.steps_per_execution must be an integer of 1 or more, got 0",
        ),
        ({"training": Training(seed=-1)}, "training.seed must be an integer of 0 or more, got -1"),
        (
            {"optimizer": Optimizer(learning_rate=math.nan)},
            "optimizer.learning_rate must be a finite number of 0 or more",
        ),
        (
            {"optimizer": Optimizer(learning_rate=math.inf)},
            "optimizer.learning_rate must be a finite number of 0 or more",
        ),
        ({"model": Model(tower_units=(8, 0))}, "model.tower_units[1] must be an integer of 1 or more, got 0"),
        (
            {"data": Data(holdout_days=2, simulated=Simulated(days=2))},
            "data.simulated.days must be at least data.holdout_days + 1 = 3, so that at least one day remains for training, got 2",
        ),
        (
            {"data": Data(source="movielens", holdout_days=4, movielens=Movielens(periods=4))},
            "data.movielens.periods must be at least data.holdout_days + 1 = 5",
        ),
        (
            {"training": Training(publish_every_steps=40)},
            "training.publish_every_steps must be a multiple of training.steps_per_execution = 16, got 40",
        ),
        (
            {"training": Training(checkpoint_every_steps=8)},
            "training.checkpoint_every_steps must be a multiple of training.steps_per_execution = 16, got 8",
        ),
        (
            {"training": Training(replicas=2)},
            "training.replicas = 2 needs training.strategy = mirrored, got 'one_device'",
        ),
        (
            {"data": Data(batch_size=10), "training": Training(strategy="mirrored", replicas=4)},
            "data.batch_size must be a multiple of training.replicas = 4, got 10",
        ),
        (
            {"optimizer": Optimizer(exclude_from_clipping=("embeddings", "("))},
            "optimizer.exclude_from_clipping[1] must be a regular expression, got '(': ",
        ),
        (
            {"data": Data(files=Files(max_invalid_share=1.5))},
            "data.files.max_invalid_share must be a finite number from 0 to 1, got 1.5",
        ),
        (
            {"training": Training(rollback_learning_rate_factor=0.0)},
            "training.rollback_learning_rate_factor must be a finite number above 0 and at most 1, got 0.0",
        ),
        (
            {"optimizer": Optimizer(rule="gc", rule_options={"treshold": 1.0})},
            "optimizer.rule_options: rule gc has no option 'treshold'; did you mean 'threshold'?",
        ),
        (
            {"optimizer": Optimizer(rule="lamb", rule_options={"relative": 1.0})},
            "optimizer.rule_options: rule lamb has no option 'relative'; it has no options",
        ),
        (
            {"optimizer": Optimizer(rule_options={"granularity": "unit"})},
            "optimizer.rule_options: clippy: granularity must be one of variable, row, got 'unit'",
        ),
        (
            {"optimizer": Optimizer(groups=(Group("a", rule_options={"relative": -1.0}),))},
            "optimizer.groups[0].rule_options: clippy: relative must be a finite number of 0 or more, or a schedule, got -1.0",
        ),
    ],
)
def test_a_single_problem_is_one_line_that_names_the_setting(wrong, message):
    with pytest.raises(ValueError, match=r"\S") as caught:
        Config(**wrong)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_all_problems_are_listed_at_once():
    with pytest.raises(ConfigError) as caught:
        Config(
            data=Data(source="csv", batch_size=0),
            optimizer=Optimizer(rule_options={"relative": -1.0, "absolut": 1.0}),
            training=Training(seed=-1),
        )
    assert [problem.split(" ")[0] for problem in caught.value.problems] == [
        "data.source",
        "data.batch_size",
        "training.seed",
        "optimizer.rule_options:",
        "optimizer.rule_options:",
    ]
    lines = str(caught.value).splitlines()
    assert lines[0] == "The configuration has 5 problems:"
    assert lines[1:] == [f"  {problem}" for problem in caught.value.problems]


def test_contradictions_are_listed_at_once():
    with pytest.raises(ConfigError) as caught:
        Config(training=Training(publish_every_steps=40, checkpoint_every_steps=8, replicas=2))
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("rule", RULES)
def test_rule_options_accept_every_option_of_the_rule_and_no_other(rule):
    defaults = {field.name: field.default for field in dataclasses.fields(RULES[rule])}
    assert Config(optimizer=Optimizer(rule=rule, rule_options=defaults)).optimizer.rule_options == defaults
    with pytest.raises(ConfigError, match=f"rule {rule} has no option 'no_such_option'"):
        Config(optimizer=Optimizer(rule=rule, rule_options={"no_such_option": 1}))


def test_rule_options_convert_texts_to_the_type_of_the_option():
    options = Optimizer(rule="adagc", rule_options={"relative": "1e-1", "start": "20", "order": "after"}).rule_options
    assert options == {"relative": 0.1, "start": 20, "order": "after"}
    assert type(options["start"]) is int


def test_a_configuration_can_be_hashed():
    assert hash(Config()) == hash(Config())


def test_the_settings_of_unused_sources_are_not_compared_with_holdout_days():
    Config(data=Data(source="movielens", holdout_days=4, simulated=Simulated(days=1)))
    Config(data=Data(source="simulated", holdout_days=4, movielens=Movielens(periods=1)))


def test_a_configuration_never_changes():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().training.seed = 1
