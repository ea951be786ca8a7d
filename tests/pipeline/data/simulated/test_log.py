"""The simulated log: reproducible bit for bit, consistent with its schema, calibrated, and changed only by the configured hazards."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from steadyrank.pipeline.config.settings import Simulated
from steadyrank.pipeline.data.simulated.hazards import HAZARD_NAMES
from steadyrank.pipeline.data.simulated.log import BLOCK_ROWS, SimulatedLog

SETTINGS = Simulated(days=4, rows_per_day=20_000, users=1200, videos=700, seed=3)
BLOCKS = 3
# The day on which the hazards below start.
ONSET = 2


def digest(columns) -> str:
    parts = (name.encode() + str(columns[name].dtype).encode() + columns[name].tobytes() for name in sorted(columns))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def read_day(log, day):
    """Returns all columns of a day, and the expected labels as expected/<task>."""
    blocks = [
        log.block(day, i) | {f"expected/{task}": values for task, values in log.expected(day, i).items()}
        for i in range(len(log.block_rows(day)))
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def changed_columns(one, other):
    return {name for name in one if one[name].tobytes() != other[name].tobytes()}


def make_log(*hazards):
    return SimulatedLog(dataclasses.replace(SETTINGS, hazards=hazards))


@pytest.fixture(scope="module")
def log():
    return SimulatedLog(SETTINGS)


@pytest.fixture(scope="module")
def onset(log):
    return read_day(log, ONSET)


def read_day_with(hazard):
    return read_day(make_log(hazard), ONSET)


class TestReproducible:
    def test_two_instances_agree_bit_for_bit_in_any_order_of_reading(self, log):
        positions = [(day, index) for day in range(4) for index in range(BLOCKS)]
        first = {position: digest(log.block(*position)) + digest(log.expected(*position)) for position in positions}
        other = SimulatedLog(SETTINGS)
        again = {p: digest(other.block(*p)) + digest(other.expected(*p)) for p in reversed(positions)}
        assert first == again
        assert len(set(first.values())) == len(positions)

    def test_another_process_with_another_hash_seed_agrees_bit_for_bit(self, log):
        program = (
            "import hashlib, sys\n"
            "from steadyrank.pipeline.config.settings import Simulated\n"
            "from steadyrank.pipeline.data.simulated import SimulatedLog\n"
            f"c = SimulatedLog({SETTINGS!r}).block(1, 2)\n"
            "parts = (n.encode() + str(c[n].dtype).encode() + c[n].tobytes() for n in sorted(c))\n"
            "print(hashlib.sha256(b''.join(parts)).hexdigest())\n"
        )
        environment = os.environ | {"PYTHONHASHSEED": "271828"}
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert ran.stdout.split()[-1] == digest(log.block(1, 2))

    def test_another_seed_gives_other_columns(self, log):
        other = SimulatedLog(dataclasses.replace(SETTINGS, seed=4))
        unaffected = {
            name for name, column in other.block(0, 0).items() if np.array_equal(column, log.block(0, 0)[name])
        }
        assert unaffected == {"fresh_score"}

    def test_a_longer_log_starts_with_the_shorter_one(self, log):
        longer = SimulatedLog(dataclasses.replace(SETTINGS, days=9, rows_per_day=30_000))
        assert digest(longer.block(3, 1)) == digest(log.block(3, 1))


class TestShape:
    def test_days_and_blocks(self, log):
        assert log.days == ("day_000", "day_001", "day_002", "day_003")
        assert log.block_rows(0) == (BLOCK_ROWS, BLOCK_ROWS, 20_000 - 2 * BLOCK_ROWS)
        even = SimulatedLog(dataclasses.replace(SETTINGS, rows_per_day=2 * BLOCK_ROWS))
        assert even.block_rows(0) == (BLOCK_ROWS, BLOCK_ROWS)

    @pytest.mark.parametrize("hazards", [(), tuple(f"{name}@{ONSET}" for name in HAZARD_NAMES)])
    def test_blocks_match_the_schema(self, hazards):
        log = make_log(*hazards)
        for index, rows in enumerate(log.block_rows(ONSET)):
            block = log.block(ONSET, index)
            assert list(block) == list(log.schema.columns)
            for name, (dtype, shape) in log.schema.columns.items():
                assert block[name].shape == (rows, *shape), name
                actual = "string" if block[name].dtype.kind == "S" else block[name].dtype.name
                assert actual == dtype, name
            for name, values in log.expected(ONSET, index).items():
                assert (values.shape, values.dtype.name) == ((rows,), "float32"), name

    def test_values_are_in_the_range_of_the_schema(self, log, onset):
        for feature in log.schema.features:
            column = onset[feature.name]
            if feature.kind == "numerical":
                assert np.isfinite(column).all(), feature.name
                continue
            defined = column[column != (b"" if feature.dtype == "string" else -1)]
            if feature.vocabulary:
                assert set(np.unique(defined)) == {word.encode() for word in feature.vocabulary}, feature.name
            elif feature.num_ids:
                assert defined.min() == 0, feature.name
                assert defined.max() == feature.num_ids - 1, feature.name
            if feature.kind == "categorical":
                assert len(defined) == len(column), feature.name
        assert not onset["fresh_score"].any()

    def test_properties_of_a_video_are_equal_in_all_its_rows(self, onset):
        for name in ("creator", "topic", "tags", "duration_minutes", "video_views"):
            first = np.unique(onset["video_id"], return_index=True)[1]
            of_video = dict(zip(onset["video_id"][first], onset[name][first].tolist(), strict=True))
            assert onset[name].tolist() == [of_video[video] for video in onset["video_id"]], name

    def test_ages_and_counters_grow_from_day_to_day(self, log):
        first, last = log.block(0, 0), log.block(3, 0)
        for key, ages, counters in (
            ("user_id", ("account_age_days",), ("user_views", "user_watches")),
            ("video_id", ("video_age_days",), ("video_views", "video_likes")),
        ):
            _, before, after = np.intersect1d(first[key], last[key], return_indices=True)
            assert len(before) > 100
            for name in ages:
                np.testing.assert_allclose(last[name][after] - first[name][before], 3, atol=1e-2)
            for name in counters:
                assert np.all(last[name][after] >= first[name][before])
                assert last[name][after].sum() > first[name][before].sum()

    def test_a_log_with_one_row_works(self):
        log = SimulatedLog(Simulated(days=1, rows_per_day=1, users=1, videos=1))
        assert log.block_rows(0) == (1,)
        assert log.block(0, 0)["scores"].shape == (1, 8)

    @pytest.mark.parametrize("field", ["days", "rows_per_day", "users", "videos"])
    def test_a_size_below_one_is_refused(self, field):
        with pytest.raises(ValueError, match=f"{field} must be 1 or more, got 0"):
            SimulatedLog(dataclasses.replace(SETTINGS, **{field: 0}))

    def test_a_negative_seed_is_refused(self):
        with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
            SimulatedLog(dataclasses.replace(SETTINGS, seed=-1))

    def test_a_day_or_block_outside_the_log_is_refused(self, log):
        for read in (log.block, log.expected):
            with pytest.raises(ValueError, match="day must be from 0 to 3 in this simulated log, got 4"):
                read(4, 0)
            with pytest.raises(ValueError, match="day must be from 0 to 3 in this simulated log, got -1"):
                read(-1, 0)
            with pytest.raises(ValueError, match="index must be from 0 to 2 on day 0 of the simulated log, got 3"):
                read(0, 3)


class TestBehavior:
    @pytest.mark.parametrize("seed", range(3))
    def test_label_rates_are_realistic(self, seed):
        log = SimulatedLog(Simulated(days=1, rows_per_day=32_768, seed=seed))
        day = read_day(log, 0)
        ranges = {"click": (0.2, 0.25), "long_watch": (0.08, 0.13), "like": (0.035, 0.065), "share": (0.012, 0.032)}
        for task, (low, high) in ranges.items():
            assert low < day[task].mean() < high, task
        assert np.isnan(day["satisfaction"]).mean() == pytest.approx(0.97, abs=0.005)
        assert 2.5 < np.nanmean(day["satisfaction"]) < 4

    def test_impressions_follow_the_popularity_of_users_and_videos(self, log):
        days = [read_day(log, day) for day in range(4)]
        for name, popularity in (
            ("user_id", log.platform.user_popularity),
            ("video_id", log.platform.video_popularity),
        ):
            count = sum(np.bincount(day[name], minlength=len(popularity)) for day in days)
            mean = popularity * 80_000
            assert np.all(np.abs(count - mean) < 5 * np.sqrt(mean) + 1), name

    @pytest.mark.parametrize(
        "hazards", [(), ("shift@0", "new_feature@0", "heavy_labels@0*0.02", "viral@0", "corruption@0")]
    )
    def test_labels_are_calibrated_in_every_decile_of_the_expected_label(self, hazards):
        log = SimulatedLog(Simulated(days=1, rows_per_day=12 * BLOCK_ROWS, seed=1, hazards=hazards))
        day = read_day(log, 0)
        for task in log.schema.tasks:
            defined = ~np.isnan(day[task.name])
            label, truth = day[task.name][defined].astype(float), day[f"expected/{task.name}"][defined].astype(float)
            order = np.argsort(truth)
            for decile in np.array_split(order, 10):
                error = label[decile] - truth[decile]
                assert abs(error.mean()) < 4.5 * error.std() / np.sqrt(len(decile)), task.name
            assert truth[order[-100:]].mean() > 1.3 * truth[order[:100]].mean(), task.name

    def test_clicks_become_rarer_toward_the_end_of_the_slate(self, log):
        days = [read_day(log, day) for day in range(2)]
        position, click = (np.concatenate([day[name] for day in days]) for name in ("position", "click"))
        rates = [click[(position >= low) & (position < low + 4)].mean() for low in (0, 4, 8)]
        assert rates[0] > 1.3 * rates[1] > 1.3 * rates[2]

    def test_the_history_reflects_the_taste(self, log, onset):
        taste, topic = log.platform.taste, log.platform.topic
        liking = np.where(onset["history"] >= 0, taste[onset["user_id"][:, None], topic[onset["history"]]], np.nan)
        assert np.nanmean(liking) > 1.0

    def test_measured_features_correlate_with_the_hidden_properties(self, log, onset):
        quality = log.platform.quality[onset["video_id"]]
        affinity = log.platform.taste[onset["user_id"], log.platform.topic[onset["video_id"]]]
        assert 0.5 < np.corrcoef(onset["recent_ctr"], quality)[0, 1] < 0.95
        assert 0.5 < np.corrcoef(onset["scores"][:, 0], affinity)[0, 1] < 0.95
        assert abs(np.corrcoef(onset["scores"][:, 7], affinity)[0, 1]) < 0.05


class TestHazards:
    @pytest.mark.parametrize("name", HAZARD_NAMES)
    def test_a_hazard_changes_nothing_before_its_day_and_something_on_its_day(self, log, name):
        other = make_log(f"{name}@{ONSET}")
        for day in range(4):
            changed = changed_columns(read_day(log, day), read_day(other, day))
            in_effect = day == ONSET or (day > ONSET and name in ("shift", "new_feature", "heavy_labels"))
            assert bool(changed) == in_effect, (day, changed)

    def test_shift_multiplies_numbers_and_favors_other_topics(self, log, onset):
        shifted = read_day_with(f"shift@{ONSET}*0.5")
        for column in (0, 2, 3, 5):
            assert shifted["scores"][:, column].std() / onset["scores"][:, column].std() == pytest.approx(3, rel=0.1)
        for column in (1, 4, 6, 7):
            assert shifted["scores"][:, column].std() / onset["scores"][:, column].std() == pytest.approx(1, rel=0.1)
        for name in ("recent_ctr", "network_mbps"):
            assert np.median(shifted[name]) / np.median(onset[name]) == pytest.approx(3, rel=0.1)
        before, after = (np.bincount(log.platform.topic[day["video_id"]], minlength=24) for day in (onset, shifted))
        trend = np.zeros(24)
        trend[log.platform.topic] = log.platform.trend
        growth = np.log(after / before)
        assert np.corrcoef(growth, trend)[0, 1] > 0.98
        assert {"user_id", "hour", "position"}.isdisjoint(changed_columns(onset, shifted))

    def test_a_new_feature_starts_to_predict_clicks(self, onset):
        fresh = read_day_with(f"new_feature@{ONSET}")
        labels = {"click", "like", "share", "long_watch", "watch_time"}
        expected = {f"expected/{task}" for task in labels}
        assert changed_columns(onset, fresh) == {"fresh_score"} | labels | expected
        assert fresh["fresh_score"].max() > 50 * np.median(fresh["fresh_score"]) > 0
        high = fresh["fresh_score"] > np.quantile(fresh["fresh_score"], 0.8)
        low = fresh["fresh_score"] < np.quantile(fresh["fresh_score"], 0.2)
        assert fresh["click"][high].mean() > 2 * fresh["click"][low].mean()

    def test_heavy_labels_change_only_watch_time(self, onset):
        heavy = read_day_with(f"heavy_labels@{ONSET}")
        assert changed_columns(onset, heavy) == {"watch_time", "expected/watch_time"}
        assert onset["watch_time"].max() < 200
        assert heavy["watch_time"].max() > 1000
        assert np.isfinite(heavy["watch_time"]).all()

    def test_a_viral_video_takes_half_of_the_impressions_of_its_day(self, log, onset):
        viral = read_day_with(f"viral@{ONSET}")
        share = np.bincount(viral["video_id"], minlength=SETTINGS.videos) / SETTINGS.rows_per_day
        assert share.argmax() == log.platform.viral_video
        assert share.max() == pytest.approx(0.5 + 0.5 * log.platform.video_popularity[share.argmax()], abs=0.02)
        others = viral["video_id"] != log.platform.viral_video
        np.testing.assert_array_equal(viral["video_id"][others], onset["video_id"][others])
        assert "user_id" not in changed_columns(onset, viral)

    def test_corruption_writes_absurd_but_finite_numbers_into_few_rows(self, log, onset):
        corrupt = read_day_with(f"corruption@{ONSET}")
        changed = changed_columns(onset, corrupt)
        numerical = {f.name for f in log.schema.features if f.kind == "numerical"}
        assert changed == numerical - {"fresh_score"}
        is_corrupt = np.zeros(SETTINGS.rows_per_day, bool)
        for name in changed:
            assert np.isfinite(corrupt[name]).all()
            differs = corrupt[name] != onset[name]
            size = np.abs(corrupt[name][differs].astype(float) / onset[name][differs])
            sentinel = corrupt[name][differs] == -1e9
            assert sentinel.any(), name
            assert np.all(sentinel | ((size > 999) & (size < 1.001e6))), name
            is_corrupt |= differs.reshape(len(is_corrupt), -1).any(axis=1)
        assert is_corrupt.mean() == pytest.approx(0.01, abs=0.003)

    @pytest.mark.parametrize(
        ("name", "column", "effect"),
        [
            ("new_feature", "fresh_score", lambda usual, changed: np.log(changed)),
            ("viral", "video_id", lambda usual, changed: changed != usual),
            ("corruption", "network_mbps", lambda usual, changed: changed != usual),
            # Defined only for clicked rows.
            ("heavy_labels", "watch_time", lambda usual, changed: np.log(changed / np.where(usual > 0, usual, np.nan))),
        ],
    )
    def test_each_block_and_day_draws_a_hazard_independently(self, log, name, column, effect):
        hazards = make_log(f"{name}@0", f"{name}@1")
        positions = ((0, 0), (0, 1), (1, 0))
        effects = [effect(log.block(*position)[column], hazards.block(*position)[column]) for position in positions]
        for one, other in ((0, 1), (0, 2), (1, 2)):
            defined = ~np.isnan(effects[one]) & ~np.isnan(effects[other])
            assert defined.sum() > 200
            assert abs(np.corrcoef(effects[one][defined], effects[other][defined])[0, 1]) < 0.2

    def test_an_unknown_hazard_is_refused(self):
        with pytest.raises(ValueError, match="did you mean 'viral'"):
            make_log("virall@1")
