"""Making the optimizer from settings."""

from __future__ import annotations

import dataclasses

import pytest
import tensorflow as tf

from steadyrank.models import Feature, Schema, Statistics, Task
from steadyrank.optimizers import RULES, AdaGC, AdaptiveGradientClipping, Clippy, GradientClipping
from steadyrank.pipeline.config import Config, ConfigError, UserError, build
from steadyrank.pipeline.config.settings import Group, Optimizer
from steadyrank.pipeline.training.build import make_optimizer, make_ranker, make_rule


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    ("option", "values"), [("granularity", ("row", "unit", "global")), ("order", ("before", "after"))]
)
def test_the_configuration_accepts_what_the_rule_accepts(name, option, values):
    for value in values:
        settings = Optimizer(rule=name, rule_options={option: value})
        is_option = option in {field.name for field in dataclasses.fields(RULES[name])}
        choices = RULES[name].granularities if option == "granularity" else RULES[name].orders
        if is_option and value in choices:
            Config(optimizer=settings)
            assert getattr(make_rule(settings), option) == value
        else:
            with pytest.raises(ValueError, match=r"optimizer\.rule_options: .*" + option):
                Config(optimizer=settings)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_its_published_values_by_default(name):
    assert make_rule(Optimizer(rule=name)) == RULES[name]()


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        (
            Optimizer(rule="gc", rule_options={"threshold": 0.25, "granularity": "global", "order": "after"}),
            GradientClipping(0.25, "global", "after"),
        ),
        (
            Group("x", rule="agc", rule_options={"threshold": 0.5, "granularity": "unit"}),
            AdaptiveGradientClipping(0.5, "unit"),
        ),
        (Optimizer(rule="adagc", rule_options={"relative": "2.0", "start": "7"}), AdaGC(2.0, start=7)),
        (
            Group("x", rule_options={"relative": 0.25, "absolute": 0.125, "granularity": "row"}),
            Clippy(0.25, 0.125, granularity="row"),
        ),
    ],
)
def test_the_rule_gets_the_options_of_the_settings(settings, rule):
    assert make_rule(settings) == rule


def test_each_group_has_its_own_rule():
    groups = (Group("tower_", rule="gc", rule_options={"threshold": 0.0}), Group("bias", rule="none"))
    optimizer = make_optimizer(Optimizer(learning_rate=1.0, warmup_steps=0, groups=groups), total_steps=10)
    tower, bias, kernel = (tf.Variable([0.0], name=name) for name in ("tower_a/kernel", "shared/bias", "shared/kernel"))
    optimizer.apply_gradients([(tf.constant([1.0]), v) for v in (tower, bias, kernel)])
    assert tower.numpy() == 0
    assert bias.numpy() == pytest.approx(-1 / 1.1**0.5)
    assert kernel.numpy() == pytest.approx(-0.01)


def test_the_learning_rate_falls_to_its_final_factor():
    optimizer = make_optimizer(
        Optimizer(learning_rate=0.5, warmup_steps=0, final_learning_rate_factor=0.1), total_steps=4
    )
    w, rates = tf.Variable([1.0]), []
    for _ in range(6):
        optimizer.apply_gradients([(tf.constant([0.1]), w)])
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0.5, 0.3875, 0.275, 0.1625, 0.05, 0.05])


@pytest.mark.parametrize(
    ("group", "problem"),
    [
        ({"pattern": "["}, r"optimizer.groups\[0\].pattern must be a regular expression"),
        ({"pattern": "a", "rule": "clip"}, r"optimizer.groups\[0\].rule must be one of"),
        (
            {"pattern": "a", "rule": "gc", "rule_options": {"granularity": "row"}},
            r"optimizer.groups\[0\].rule_options: gc: granularity must be one of variable, global",
        ),
        (
            {"pattern": "a", "rule": "lamb", "rule_options": {"order": "before"}},
            r"optimizer.groups\[0\].rule_options: rule lamb has no option 'order'",
        ),
        (
            {"pattern": "a", "rule": "gc", "rule_options": {"threshold": -1.0}},
            r"optimizer.groups\[0\].rule_options: gc: threshold must be a finite number",
        ),
        ({"rule": "gc"}, r"optimizer.groups\[0\].pattern is missing"),
    ],
)
def test_the_problem_of_a_group_names_the_group(group, problem):
    with pytest.raises(ConfigError, match=problem):
        build(Config, {"optimizer": {"groups": [group]}})


def test_a_ranker_that_does_not_fit_into_the_memory_is_refused_with_its_largest_table():
    features = (
        Feature("age", "numerical", normalization="none"),
        Feature("user", "categorical", hash_buckets=100),
        Feature("item", "categorical", num_ids=10**14, embedding_width=8),
    )
    schema = Schema(features, (Task("click", "binary"),))
    with pytest.raises(UserError, match=r"table of 'item' is the largest: 800,000,000,000,000 weights of 4 bytes\."):
        make_ranker(Config(), schema, Statistics(), total_steps=1)
