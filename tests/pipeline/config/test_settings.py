from __future__ import annotations

import dataclasses
import math

import pytest

from steadyrank.pipeline.config.settings import Config, Data, Model, Movielens, Optimizer, Simulated, Training


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data": Data(source="csv")}, "data.source must be one of simulated, movielens, files, got 'csv'"),
        (
            {"optimizer": Optimizer(rule="clip")},
            "optimizer.rule must be one of none, gc, agc, lamb, clippy, adagc, got 'clip'",
        ),
        ({"training": Training(strategy="tpu")}, "training.strategy must be one of one_device, mirrored, got 'tpu'"),
        ({"model": Model(precision="half")}, "model.precision must be one of "),
        ({"data": Data(batch_size=0)}, "data.batch_size must be a finite number, 1 or more, got 0"),
        (
            {"data": Data(simulated=Simulated(users=0))},
            "data.simulated.users must be a finite number, 1 or more, got 0",
        ),
        (
            {"training": Training(steps_per_execution=0)},
            "training.steps_per_execution must be a finite number, 1 or more",
        ),
        ({"training": Training(seed=-1)}, "training.seed must be a finite number, 0 or more, got -1"),
        (
            {"optimizer": Optimizer(learning_rate=math.nan)},
            "optimizer.learning_rate must be a finite number, 0 or more",
        ),
        (
            {"optimizer": Optimizer(learning_rate=math.inf)},
            "optimizer.learning_rate must be a finite number, 0 or more",
        ),
        ({"model": Model(tower_units=(8, 0))}, "model.tower_units must hold widths of 1 or more, got [8, 0]"),
        (
            {"data": Data(holdout_days=2, simulated=Simulated(days=2))},
            "data.simulated.days must be at least data.holdout_days + 1 = 3, so that a day is left to train on, got 2",
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
            "optimizer.exclude_from_clipping must hold regular expressions, got '(': ",
        ),
    ],
)
def test_a_contradiction_is_refused_in_one_line_that_names_the_setting(wrong, message):
    with pytest.raises(ValueError, match=r"\S") as caught:
        Config(**wrong)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_settings_of_the_other_source_do_not_count():
    Config(data=Data(source="movielens", holdout_days=4, simulated=Simulated(days=1)))
    Config(data=Data(source="simulated", holdout_days=4, movielens=Movielens(periods=1)))


def test_a_configuration_never_changes():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().training.seed = 1
