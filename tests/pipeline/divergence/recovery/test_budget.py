from __future__ import annotations

import json

import pytest

from steadyrank.pipeline.divergence import DivergenceMonitor
from steadyrank.pipeline.divergence.recovery import RollbackBudget


def test_the_learning_rate_rises_in_a_straight_line():
    budget = RollbackBudget(max_rollbacks=3, learning_rate_factor=0.5, warmup_steps=4, count=2, last_step=100)
    factors = [budget.compute_factor(step) for step in (100, 101, 103, 104, 999)]
    assert factors == [0.0625, 0.125, 0.25, 0.25, 0.25]


def test_without_a_rollback_the_learning_rate_is_the_original():
    assert RollbackBudget().compute_factor(7) == 1.0


def test_the_state_holds_the_counts_and_not_the_settings():
    budget, restored = RollbackBudget(count=2, last_step=9, restored_step=5), RollbackBudget(max_rollbacks=2)
    restored.set_state(json.loads(json.dumps(budget.get_state())))
    assert restored == RollbackBudget(max_rollbacks=2, count=2, last_step=9, restored_step=5)
    assert restored.is_used_up


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_rollbacks", -1), ("warmup_steps", -1), ("learning_rate_factor", 0.0), ("learning_rate_factor", 1.5)],
)
def test_an_argument_out_of_its_range_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value}"):
        DivergenceMonitor(on_full="rollback", **{name: value})
