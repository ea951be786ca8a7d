"""Hazards: their notation, the days on which they are in effect, and their effect on columns."""

from __future__ import annotations

import numpy as np
import pytest

from steadyrank.pipeline.data.simulated.hazards import (
    HAZARD_NAMES,
    Hazard,
    corrupt_columns,
    draw_tail_factors,
    fresh_scores,
    insert_viral_video,
    parse_hazards,
    rescale_columns,
    shift_popularity,
    tail_mean,
    total_strength,
)


def test_parsing_returns_name_day_and_strength():
    assert parse_hazards(("shift@5", "viral@0*2", "corruption@6*0.25"), days=7) == (
        Hazard("shift", 5, 1.0),
        Hazard("viral", 0, 2.0),
        Hazard("corruption", 6, 0.25),
    )
    assert parse_hazards((), days=1) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shift", "name@day"),
        ("shift@", "name@day"),
        ("shift@-1", "name@day"),
        ("shift@2*", "name@day"),
        ("@2", "name@day"),
        ("shfit@2", "did you mean 'shift'"),
        ("earthquake@2", "one of shift, new_feature, heavy_labels, viral, corruption"),
        ("shift@7", "the day must be from 0 to 6, got 7"),
        ("shift@2*0", "above 0 and up to 1000, got '0'"),
        ("shift@2*-1", "above 0"),
        ("shift@2*nan", "above 0"),
        ("shift@2*inf", "above 0"),
        ("shift@2*much", "above 0 and up to 1000, got 'much'"),
    ],
)
def test_an_invalid_hazard_is_refused_with_a_one_line_message(text, message):
    with pytest.raises(ValueError, match=r"hazard") as refused:
        parse_hazards((text,), days=7)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_name_gets_no_suggestion_if_none_is_similar():
    with pytest.raises(ValueError, match="earthquake") as refused:
        parse_hazards(("earthquake@2",), days=7)
    assert "did you mean" not in str(refused.value)


@pytest.mark.parametrize("name", HAZARD_NAMES)
def test_a_hazard_lasts_for_one_day_or_from_its_day_on(name):
    lasting = name in ("shift", "new_feature", "heavy_labels")
    strengths = [total_strength((Hazard(name, 1, 0.5),), name, day) for day in range(4)]
    assert strengths == [0, 0.5, 0.5 * lasting, 0.5 * lasting]
    others = [other for other in HAZARD_NAMES if other != name]
    assert all(total_strength((Hazard(name, 1, 0.5),), other, 1) == 0 for other in others)


def test_strengths_of_hazards_with_the_same_name_add_up():
    hazards = (Hazard("shift", 1, 0.5), Hazard("shift", 3, 2.0), Hazard("viral", 3, 9.0))
    assert [total_strength(hazards, "shift", day) for day in range(5)] == [0, 0.5, 0.5, 2.5, 2.5]


def test_rescaling_multiplies_the_masked_numbers_and_does_not_modify_its_input():
    columns = {"scores": np.ones((2, 3), np.float32), "views": np.array([2, 4], np.float32), "hour": np.array([1, 2])}
    before = {name: column.copy() for name, column in columns.items()}
    changed = rescale_columns(columns, {"scores": np.array([1, 0, 1]), "views": np.array(1)}, strength=0.5)
    np.testing.assert_array_equal(changed["scores"], [[3, 1, 3], [3, 1, 3]])
    np.testing.assert_array_equal(changed["views"], [6, 12])
    assert changed["hour"] is columns["hour"]
    assert changed["scores"].dtype == changed["views"].dtype == np.float32
    for name, column in before.items():
        np.testing.assert_array_equal(columns[name], column)


def test_popularity_follows_the_trend_of_the_topic():
    popularity, trend = np.array([4.0, 2.0, 1.0]), np.array([-1.0, 0.0, 1.0])
    shares = shift_popularity(popularity, trend, np.log(2))
    np.testing.assert_allclose(shares / shares.sum(), np.ones(3) / 3)
    extreme = shift_popularity(popularity, trend, 1000.0)
    np.testing.assert_array_equal(extreme, [0, 0, 1])


def test_fresh_scores_are_zero_at_strength_zero_and_otherwise_heavy_tailed():
    signal = np.random.default_rng(0).standard_normal(100_000, np.float32)
    assert not fresh_scores(signal, 0.0).any()
    values = fresh_scores(signal, 1.0)
    assert np.median(values) == pytest.approx(np.exp(2), rel=0.05)
    assert np.quantile(values, 0.99) > 200
    assert values.max() > 2000
    np.testing.assert_allclose(fresh_scores(signal, 3.0), 3 * values, rtol=1e-5)


@pytest.mark.parametrize("strength", [0.01, 1.0, 5.0])
def test_tail_factors_stay_in_range_and_have_the_stated_mean(strength):
    end = 1 + 1000 * strength
    factors = draw_tail_factors(np.random.default_rng(0), 200_000, strength)
    assert factors.min() >= 1
    assert factors.max() <= end
    # Pareto with index 1: the probability of exceeding x is about 1 / x.
    assert np.mean(factors > 5) == pytest.approx((1 / 5 - 1 / end) / (1 - 1 / end), abs=0.005)
    # The mean of the quantile function, by the midpoint rule.
    uniform = (np.arange(2_000_000) + 0.5) / 2_000_000
    assert tail_mean(strength) == pytest.approx(np.mean(1 / (1 - uniform * (1 - 1 / end))), rel=1e-3)


@pytest.mark.parametrize(("strength", "share"), [(0.2, 0.1), (1.0, 0.5), (7.0, 0.5)])
def test_a_viral_video_takes_at_most_half_of_the_rows(strength, share):
    videos = np.arange(20_000) % 1000 + 1
    changed = insert_viral_video(np.random.default_rng(0), videos, 0, strength)
    assert np.mean(changed == 0) == pytest.approx(share, abs=0.02)
    np.testing.assert_array_equal(changed[changed != 0], videos[changed != 0])


def test_corruption_changes_one_number_in_a_small_share_of_rows_and_keeps_it_finite():
    rows = 50_000
    columns = {
        "views": np.full(rows, 2, np.float32),
        "scores": np.full((rows, 4), 3, np.float32),
        "hour": np.arange(rows),
    }
    changed = corrupt_columns(np.random.default_rng(0), columns, ("views", "scores"), strength=2.0)
    assert changed["hour"] is columns["hour"]
    assert np.all(columns["views"] == 2)
    assert np.all(columns["scores"] == 3)
    ratio = np.concatenate([changed["views"][:, None] / 2, changed["scores"] / 3], axis=1)
    is_corrupt = ratio != 1
    assert set(is_corrupt.sum(axis=1)) == {0, 1}
    assert is_corrupt.any(axis=1).mean() == pytest.approx(0.02, abs=0.003)
    assert is_corrupt.any(axis=0).all()
    sentinels = np.concatenate([changed["views"], changed["scores"].ravel()]) == -1e9
    assert sentinels.sum() == pytest.approx(is_corrupt.sum() / 2, rel=0.2)
    factors = ratio[is_corrupt & (ratio > 0)]
    assert set(np.round(np.log10(factors), 3)) == {3.0, 4.0, 5.0, 6.0}
