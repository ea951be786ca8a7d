"""The hidden model: labels drawn from it have the expected values that it states."""

from __future__ import annotations

import numpy as np
import pytest

from steadyrank.pipeline.data.simulated.behavior import ANSWER_RATE, Chances, draw_labels, expected

ROWS = 200_000


def chances_of_one_kind() -> Chances:
    def full(value):
        return np.full(ROWS, value, np.float32)

    return Chances(
        click=full(0.25),
        like=full(0.2),
        share=full(0.1),
        watch=full(np.log(2.0)),
        enough=full(np.log(2.0)),
        contentment=full(0.6),
    )


def draw(chances, strength=0.0):
    return draw_labels(np.random.default_rng(1), chances, np.random.default_rng(2), strength)


def test_expected_values_by_hand():
    truth = expected(chances_of_one_kind())
    # A watch is typically as long as what counts as long: the chance is a half. pi s / sin(pi s) = 1.2341 at s = 0.35.
    by_hand = {"click": 0.25, "like": 0.05, "share": 0.025, "long_watch": 0.125, "satisfaction": 3.4}
    by_hand["watch_time"] = 0.25 * 2 * 1.2341
    assert {task: float(values[0]) for task, values in truth.items()} == pytest.approx(by_hand, rel=1e-3)
    assert all(values.shape == (ROWS,) and values.dtype == np.float32 for values in truth.values())


@pytest.mark.parametrize("strength", [0.0, 0.02])
def test_labels_average_to_their_expected_values(strength):
    labels = draw(chances_of_one_kind(), strength)
    truth = expected(chances_of_one_kind(), strength)
    for task, values in truth.items():
        label = labels[task][~np.isnan(labels[task])]
        assert label.mean() == pytest.approx(values[0], abs=4.5 * label.std() / np.sqrt(len(label)))


def test_likes_shares_and_watches_need_a_click():
    labels = draw(chances_of_one_kind())
    without = labels["click"] == 0
    for task in ("like", "share", "long_watch", "watch_time"):
        assert not labels[task][without].any()
        assert labels[task][~without].any()
    assert (labels["watch_time"][~without] > 0).all()


def test_a_long_watch_is_one_that_lasted_long_enough():
    labels = draw(chances_of_one_kind())
    np.testing.assert_array_equal(labels["long_watch"] == 1, labels["watch_time"] > 2.0)


def test_satisfaction_is_asked_of_few_whatever_they_did():
    labels = draw(chances_of_one_kind())
    asked = ~np.isnan(labels["satisfaction"])
    assert asked.mean() == pytest.approx(ANSWER_RATE, abs=0.002)
    assert set(labels["satisfaction"][asked]) == {1, 2, 3, 4, 5}
    assert labels["click"][asked].mean() == pytest.approx(0.25, abs=0.03)


def test_the_tail_hazard_changes_watch_time_alone():
    usual, heavy = draw(chances_of_one_kind()), draw(chances_of_one_kind(), strength=1.0)
    for task in usual:
        if task != "watch_time":
            np.testing.assert_array_equal(usual[task], heavy[task])
    clicked = usual["click"] == 1
    assert np.all(heavy["watch_time"][clicked] >= usual["watch_time"][clicked])
    assert usual["watch_time"].max() < 200
    assert heavy["watch_time"].max() > 1000
