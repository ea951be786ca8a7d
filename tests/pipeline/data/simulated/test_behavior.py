"""The hidden model: drawn labels have the expected values that the model states."""

from __future__ import annotations

import numpy as np
import pytest

from steadyrank.pipeline.data.simulated.behavior import ANSWER_RATE, OutcomeModel, draw_labels, expected_labels

ROWS = 200_000


def equal_outcomes() -> OutcomeModel:
    def full(value):
        return np.full(ROWS, value, np.float32)

    return OutcomeModel(
        click=full(0.25),
        like=full(0.2),
        share=full(0.1),
        log_minutes=full(np.log(2.0)),
        log_long_minutes=full(np.log(2.0)),
        satisfaction=full(0.6),
    )


def draw(outcomes, strength=0.0):
    return draw_labels(np.random.default_rng(1), outcomes, np.random.default_rng(2), strength)


def test_expected_labels_match_values_computed_by_hand():
    expected = expected_labels(equal_outcomes())
    # The median watch is as long as a long watch, so the probability of a long watch is 1/2.
    # pi s / sin(pi s) = 1.2341 at s = 0.35.
    hand_computed = {"click": 0.25, "like": 0.05, "share": 0.025, "long_watch": 0.125, "satisfaction": 3.4}
    hand_computed["watch_time"] = 0.25 * 2 * 1.2341
    assert {task: float(values[0]) for task, values in expected.items()} == pytest.approx(hand_computed, rel=1e-3)
    assert all(values.shape == (ROWS,) and values.dtype == np.float32 for values in expected.values())


@pytest.mark.parametrize("strength", [0.0, 0.02])
def test_the_mean_of_drawn_labels_is_the_expected_label(strength):
    labels = draw(equal_outcomes(), strength)
    expected = expected_labels(equal_outcomes(), strength)
    for task, values in expected.items():
        label = labels[task][~np.isnan(labels[task])]
        assert label.mean() == pytest.approx(values[0], abs=4.5 * label.std() / np.sqrt(len(label)))


def test_likes_shares_and_watches_require_a_click():
    labels = draw(equal_outcomes())
    not_clicked = labels["click"] == 0
    for task in ("like", "share", "long_watch", "watch_time"):
        assert not labels[task][not_clicked].any()
        assert labels[task][~not_clicked].any()
    assert (labels["watch_time"][~not_clicked] > 0).all()


def test_a_long_watch_lasts_longer_than_the_threshold():
    labels = draw(equal_outcomes())
    np.testing.assert_array_equal(labels["long_watch"] == 1, labels["watch_time"] > 2.0)


def test_satisfaction_is_asked_for_few_impressions_regardless_of_clicks():
    labels = draw(equal_outcomes())
    asked = ~np.isnan(labels["satisfaction"])
    assert asked.mean() == pytest.approx(ANSWER_RATE, abs=0.002)
    assert set(labels["satisfaction"][asked]) == {1, 2, 3, 4, 5}
    assert labels["click"][asked].mean() == pytest.approx(0.25, abs=0.03)


def test_the_heavy_labels_hazard_changes_only_watch_time():
    usual, heavy = draw(equal_outcomes()), draw(equal_outcomes(), strength=1.0)
    for task in usual:
        if task != "watch_time":
            np.testing.assert_array_equal(usual[task], heavy[task])
    clicked = usual["click"] == 1
    assert np.all(heavy["watch_time"][clicked] >= usual["watch_time"][clicked])
    assert usual["watch_time"].max() < 200
    assert heavy["watch_time"].max() > 1000
