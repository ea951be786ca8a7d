"""The gate: the reasons not to export a ranker."""

from __future__ import annotations

import numpy as np
import pytest

from steadyrank.models import Feature, MultitaskRanker, Schema, Statistics, Task
from steadyrank.pipeline.serving import find_export_blockers


@pytest.fixture
def ranker() -> MultitaskRanker:
    schema = Schema((Feature("age", "numerical", normalization="none"),), (Task("click", "binary"),))
    return MultitaskRanker(schema, shared_units=(2,), tower_units=())


@pytest.mark.parametrize("verdict", ["healthy", "micro"])
def test_nothing_blocks_a_finite_ranker_that_did_not_fully_diverge(ranker, verdict):
    assert find_export_blockers(ranker, verdict) == []


def test_a_full_divergence_blocks_the_export(ranker):
    assert find_export_blockers(ranker, "full") == ["the training fully diverged"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_blocks_the_export(ranker, value):
    variable = ranker.trainable_variables[0]
    values = variable.numpy()
    values.flat[0] = value
    variable.assign(values)
    assert find_export_blockers(ranker, "healthy") == [f"the variable {variable.name} holds values that are not finite"]


def test_a_broken_mean_of_a_feature_blocks_the_export():
    schema = Schema((Feature("age", "numerical"),), (Task("click", "binary"),))
    statistics = Statistics(mean={"age": np.array([np.nan])}, deviation={"age": np.array([1.0])})
    ranker = MultitaskRanker(schema, statistics, shared_units=(2,), tower_units=())
    [reason] = find_export_blockers(ranker, "healthy")
    assert reason == "the variable normalize_age/mean:0 holds values that are not finite"


def test_a_metric_that_is_not_finite_does_not_block_the_export(ranker):
    ranker.metrics[-1].add_loss_sum(np.nan)
    assert find_export_blockers(ranker, "healthy") == []


def test_every_reason_is_listed_and_broken_variables_are_counted(ranker):
    for variable in ranker.trainable_variables[:3]:
        variable.assign(np.full(variable.shape, np.nan))
    first = ranker.trainable_variables[0].name
    assert find_export_blockers(ranker, "full") == [
        "the training fully diverged",
        f"the variable {first} and 2 more hold values that are not finite",
    ]
