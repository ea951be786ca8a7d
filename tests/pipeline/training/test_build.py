"""From settings to the optimizer."""

from __future__ import annotations

import dataclasses

import pytest
import tensorflow as tf

from steadyrank.optimizers import RULES, AdaGC, AdaptiveGradientClipping, Clippy, GradientClipping
from steadyrank.pipeline.config import Config, ConfigError, build
from steadyrank.pipeline.config import settings as config_settings
from steadyrank.pipeline.config.settings import Group, Optimizer
from steadyrank.pipeline.training.build import make_optimizer, make_rule


def test_the_configuration_knows_the_optimizers_rules():
    assert set(config_settings.RULES) == set(RULES)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("field", "values"), [("per", ("row", "unit", "global")), ("order", ("before", "after"))])
def test_the_configuration_takes_what_the_rule_takes(name, field, values):
    for value in values:
        settings = Optimizer(rule=name, **{field: value})
        option = "granularity" if field == "per" else field
        known = option in {each.name for each in dataclasses.fields(RULES[name])}
        choices = RULES[name].granularities if field == "per" else RULES[name].orders
        if known and value in choices:
            Config(optimizer=settings)
            assert getattr(make_rule(settings), option) == value
        else:
            with pytest.raises(ValueError, match=f"optimizer.{field}"):
                Config(optimizer=settings)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_its_published_values_where_nothing_is_said(name):
    assert make_rule(Optimizer(rule=name)) == RULES[name]()


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        (Optimizer(rule="gc", threshold=0.25, per="global", order="after"), GradientClipping(0.25, "global", "after")),
        (Group("x", rule="agc", threshold=0.5, per="unit"), AdaptiveGradientClipping(0.5, "unit")),
        (Optimizer(rule="adagc", threshold=2.0), AdaGC(2.0)),
        (
            Group("x", variable_relative_threshold=0.25, absolute_threshold=0.125, per="row"),
            Clippy(0.25, 0.125, granularity="row"),
        ),
    ],
)
def test_what_is_said_reaches_the_rule(settings, rule):
    assert make_rule(settings) == rule


def test_groups_have_rules_of_their_own():
    groups = (Group("tower_", rule="gc", threshold=0.0), Group("bias", rule="none"))
    optimizer = make_optimizer(Optimizer(learning_rate=1.0, warmup_steps=0, groups=groups), total_steps=10)
    tower, bias, kernel = (tf.Variable([0.0], name=name) for name in ("tower_a/kernel", "shared/bias", "shared/kernel"))
    optimizer.apply_gradients([(tf.constant([1.0]), v) for v in (tower, bias, kernel)])
    assert tower.numpy() == 0
    assert bias.numpy() == pytest.approx(-1 / 1.1**0.5)
    assert kernel.numpy() == pytest.approx(-0.01)


def test_the_rate_falls_to_its_share_at_the_end_of_the_run():
    optimizer = make_optimizer(
        Optimizer(learning_rate=0.5, warmup_steps=0, final_learning_rate_factor=0.1), total_steps=4
    )
    w, rates = tf.Variable([1.0]), []
    for _ in range(6):
        optimizer.apply_gradients([(tf.constant([0.1]), w)])
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0.5, 0.3875, 0.275, 0.1625, 0.05, 0.05])


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"pattern": "["}, r"optimizer.groups\[0\].pattern must hold regular expressions"),
        ({"pattern": "a", "rule": "clip"}, r"optimizer.groups\[0\].rule must be one of"),
        ({"pattern": "a", "rule": "gc", "per": "row"}, r"optimizer.groups\[0\].per must be one of variable, global"),
        ({"pattern": "a", "rule": "lamb", "order": "before"}, r"optimizer.groups\[0\].order must be one of"),
        ({"pattern": "a", "threshold": -1.0}, r"optimizer.groups\[0\].threshold must be a finite number"),
        ({"rule": "gc"}, r"optimizer.groups\[0\].pattern is missing"),
    ],
)
def test_a_wrong_group_is_named(group, said):
    with pytest.raises(ConfigError, match=said):
        build(Config, {"optimizer": {"groups": [group]}})
