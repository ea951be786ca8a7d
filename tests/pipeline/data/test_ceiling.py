"""The exact AUC compared with counting pairs, and ceilings of small logs computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyrank.foundation.auc import exact_auc
from steadyrank.models.schema import Feature, Schema, Task
from steadyrank.pipeline.config.settings import Simulated
from steadyrank.pipeline.data import Source
from steadyrank.pipeline.data.ceiling import compute_ceiling
from steadyrank.pipeline.data.simulated.log import SimulatedLog


class TwoBlocks(Source):
    """A log of one day with two blocks of two rows. The label columns are not named like the tasks."""

    schema = Schema(
        features=(Feature("x", "numerical"),),
        tasks=(Task("click", "binary", label="clicked"), Task("minutes", "regression", label="watched")),
    )
    days = ("only",)
    clicked = ((1, 0), (np.nan, 1))
    watched = ((2, np.nan), (0, 4))
    click_expected = ((0.9, 0.4), (0.1, 0.3))
    minutes_expected = ((1, 7), (0, 2))

    def block_rows(self, day):
        return (2, 2)

    def block(self, day, index):
        labels = {"clicked": self.clicked[index], "watched": self.watched[index]}
        return {name: np.array(column, np.float32) for name, column in labels.items()}

    def expected(self, day, index):
        expected = {"click": self.click_expected[index], "minutes": self.minutes_expected[index]}
        return {task: np.array(values, np.float32) for task, values in expected.items()}


class WithoutExpectation(TwoBlocks):
    def expected(self, day, index):
        return None


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), max_size=40))
def test_auc_is_the_share_of_ordered_pairs_plus_half_of_the_tied_pairs(rows):
    positive = [score for label, score in rows if label]
    negative = [score for label, score in rows if not label]
    actual = exact_auc(np.array([label for label, _ in rows], float), np.array([score for _, score in rows], float))
    if not positive or not negative:
        assert np.isnan(actual)
        return
    points = sum((p > n) + (p == n) / 2 for p in positive for n in negative)
    assert actual == pytest.approx(points / (len(positive) * len(negative)), abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.floats(-1e3, 1e3, width=32)), min_size=2, max_size=40))
def test_auc_depends_only_on_the_order_and_is_mirrored_by_reversing_it(rows):
    labels = np.array([label for label, _ in rows], float)
    scores = np.array([score for _, score in rows], np.float64)
    auc = exact_auc(labels, scores)
    np.testing.assert_allclose(exact_auc(labels, 2 * scores), auc)
    np.testing.assert_allclose(exact_auc(labels, -scores), 1 - auc)
    np.testing.assert_allclose(exact_auc(1 - labels, scores), 1 - auc)


def test_auc_refuses_invalid_labels_and_shapes():
    with pytest.raises(ValueError, match="0 or 1, got nan"):
        exact_auc(np.array([0, 1, np.nan]), np.arange(3))
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        exact_auc(np.array([0, 1]), np.arange(3))
    assert np.isnan(exact_auc(np.array([0, 1, 1]), np.array([0.1, np.nan, 0.3])))


def test_rows_without_a_label_do_not_count():
    # Clicks: 0.9 and 0.3 are positive, 0.4 is negative. Minutes: the errors are 1, 0 and 2.
    actual = compute_ceiling(TwoBlocks(), 0)
    assert actual == pytest.approx({"auc/click": 0.5, "rmse/minutes": np.sqrt(5 / 3)})
    assert compute_ceiling(TwoBlocks(), 0, rows=100) == actual


def test_the_first_rows_can_end_inside_a_block():
    assert compute_ceiling(TwoBlocks(), 0, rows=3) == pytest.approx({"auc/click": 1.0, "rmse/minutes": np.sqrt(1 / 2)})
    first_row = compute_ceiling(TwoBlocks(), 0, rows=1)
    assert np.isnan(first_row["auc/click"])
    assert first_row["rmse/minutes"] == pytest.approx(1.0)


def test_the_ceiling_of_a_task_without_labels_is_nan():
    log = TwoBlocks()
    log.watched = ((np.nan, np.nan),) * 2
    assert np.isnan(compute_ceiling(log, 0)["rmse/minutes"])


def test_the_ceiling_is_none_without_expected_labels():
    assert compute_ceiling(WithoutExpectation(), 0) is None


def test_a_negative_number_of_rows_is_refused():
    with pytest.raises(ValueError, match="rows must be 0"):
        compute_ceiling(TwoBlocks(), 0, rows=-1)


def test_no_other_prediction_beats_the_ceiling_of_the_simulated_log():
    log = SimulatedLog(Simulated(days=1, rows_per_day=16_384, users=500, videos=300))
    best = compute_ceiling(log, 0)
    assert 0.76 < best["auc/click"] < 0.83
    blocks = [log.block(0, i) for i in range(2)]
    rng = np.random.default_rng(0)
    for task in log.schema.tasks:
        label = np.concatenate([block[task.label] for block in blocks])
        expected = np.concatenate([log.expected(0, i)[task.name] for i in range(2)])
        labeled = ~np.isnan(label)
        other = expected * rng.lognormal(0, 1.0, len(expected))
        if task.kind == "binary":
            assert exact_auc(label[labeled], other[labeled]) < best[f"auc/{task.name}"] - 0.01
        else:
            assert np.sqrt(np.mean((label - other)[labeled] ** 2)) > best[f"rmse/{task.name}"] + 0.01
            assert label[labeled].std() > best[f"rmse/{task.name}"] + 0.01
