"""The simulated log: reproducible to the bit, true to its schema, calibrated, and harmed on order only."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from steadyrank.pipeline.config.settings import Simulated
from steadyrank.pipeline.data.simulated.hazards import NAMES
from steadyrank.pipeline.data.simulated.log import BLOCK_ROWS, SimulatedLog

SETTINGS = Simulated(days=4, rows_per_day=20_000, users=1200, videos=700, seed=3)
BLOCKS = 3
# The first day of the hazards below.
ONSET = 2


def digest(columns) -> str:
    parts = (name.encode() + str(columns[name].dtype).encode() + columns[name].tobytes() for name in sorted(columns))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def day_of(log, day):
    """All columns of a day and all that is expected, the latter as expected/<task>."""
    blocks = [
        log.block(day, i) | {f"expected/{task}": values for task, values in log.expected(day, i).items()}
        for i in range(len(log.block_rows(day)))
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def changed_columns(one, other):
    return {name for name in one if one[name].tobytes() != other[name].tobytes()}


def with_hazards(*hazards):
    return SimulatedLog(dataclasses.replace(SETTINGS, hazards=hazards))


@pytest.fixture(scope="module")
def log():
    return SimulatedLog(SETTINGS)


@pytest.fixture(scope="module")
def onset(log):
    return day_of(log, ONSET)


def harmed(hazard):
    return day_of(with_hazards(hazard), ONSET)


class TestReproducible:
    def test_two_instances_asked_in_another_order_agree_to_the_bit(self, log):
        places = [(day, index) for day in range(4) for index in range(BLOCKS)]
        first = {place: digest(log.block(*place)) + digest(log.expected(*place)) for place in places}
        other = SimulatedLog(SETTINGS)
        again = {p: digest(other.block(*p)) + digest(other.expected(*p)) for p in reversed(places)}
        assert first == again
        assert len(set(first.values())) == len(places)

    def test_a_fresh_process_with_another_hash_seed_agrees_to_the_bit(self, log):
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

    def test_another_seed_gives_another_log(self, log):
        other = SimulatedLog(dataclasses.replace(SETTINGS, seed=4))
        unaffected = {
            name for name, column in other.block(0, 0).items() if np.array_equal(column, log.block(0, 0)[name])
        }
        assert unaffected == {"fresh_score"}

    def test_a_longer_log_begins_with_the_shorter_one(self, log):
        longer = SimulatedLog(dataclasses.replace(SETTINGS, days=9, rows_per_day=30_000))
        assert digest(longer.block(3, 1)) == digest(log.block(3, 1))


class TestShape:
    def test_days_and_blocks(self, log):
        assert log.days == ("day_000", "day_001", "day_002", "day_003")
        assert log.block_rows(0) == (BLOCK_ROWS, BLOCK_ROWS, 20_000 - 2 * BLOCK_ROWS)
        even = SimulatedLog(dataclasses.replace(SETTINGS, rows_per_day=2 * BLOCK_ROWS))
        assert even.block_rows(0) == (BLOCK_ROWS, BLOCK_ROWS)

    @pytest.mark.parametrize("hazards", [(), tuple(f"{name}@{ONSET}" for name in NAMES)])
    def test_columns_are_those_of_the_schema(self, hazards):
        log = with_hazards(*hazards)
        for index, rows in enumerate(log.block_rows(ONSET)):
            block = log.block(ONSET, index)
            assert list(block) == list(log.schema.columns)
            for name, (dtype, shape) in log.schema.columns.items():
                assert block[name].shape == (rows, *shape), name
                got = "string" if block[name].dtype.kind == "S" else block[name].dtype.name
                assert got == dtype, name
            for name, values in log.expected(ONSET, index).items():
                assert (values.shape, values.dtype.name) == ((rows,), "float32"), name

    def test_values_are_those_that_the_schema_knows(self, log, onset):
        for feature in log.schema.features:
            column = onset[feature.name]
            if feature.kind == "numerical":
                assert np.isfinite(column).all(), feature.name
                continue
            there = column[column != (b"" if feature.dtype == "string" else -1)]
            if feature.vocabulary:
                assert set(np.unique(there)) == {word.encode() for word in feature.vocabulary}, feature.name
            elif feature.num_ids:
                assert there.min() == 0, feature.name
                assert there.max() == feature.num_ids - 1, feature.name
            if feature.kind == "categorical":
                assert len(there) == len(column), feature.name
        assert not onset["fresh_score"].any()

    def test_what_belongs_to_a_video_is_the_same_in_all_its_rows(self, onset):
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

    def test_the_smallest_log_works(self):
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

    def test_a_day_or_a_block_that_is_not_there_is_refused(self, log):
        for ask in (log.block, log.expected):
            with pytest.raises(ValueError, match="days 0 to 3, got 4"):
                ask(4, 0)
            with pytest.raises(ValueError, match="days 0 to 3, got -1"):
                ask(-1, 0)
            with pytest.raises(ValueError, match="blocks 0 to 2, got 3"):
                ask(0, 3)


class TestBehavior:
    @pytest.mark.parametrize("seed", range(3))
    def test_rates_are_those_of_a_video_platform(self, seed):
        log = SimulatedLog(Simulated(days=1, rows_per_day=32_768, seed=seed))
        day = day_of(log, 0)
        ranges = {"click": (0.2, 0.25), "long_watch": (0.08, 0.13), "like": (0.035, 0.065), "share": (0.012, 0.032)}
        for task, (low, high) in ranges.items():
            assert low < day[task].mean() < high, task
        assert np.isnan(day["satisfaction"]).mean() == pytest.approx(0.97, abs=0.005)
        assert 2.5 < np.nanmean(day["satisfaction"]) < 4

    def test_impressions_follow_the_popularity_of_users_and_videos(self, log):
        days = [day_of(log, day) for day in range(4)]
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
    def test_labels_are_calibrated_in_every_decile_of_what_is_expected(self, hazards):
        log = SimulatedLog(Simulated(days=1, rows_per_day=12 * BLOCK_ROWS, seed=1, hazards=hazards))
        day = day_of(log, 0)
        for task in log.schema.tasks:
            there = ~np.isnan(day[task.name])
            label, truth = day[task.name][there].astype(float), day[f"expected/{task.name}"][there].astype(float)
            order = np.argsort(truth)
            for decile in np.array_split(order, 10):
                error = label[decile] - truth[decile]
                assert abs(error.mean()) < 4.5 * error.std() / np.sqrt(len(decile)), task.name
            assert truth[order[-100:]].mean() > 1.3 * truth[order[:100]].mean(), task.name

    def test_the_slate_is_clicked_less_from_top_to_end(self, log):
        days = [day_of(log, day) for day in range(2)]
        position, click = (np.concatenate([day[name] for day in days]) for name in ("position", "click"))
        rates = [click[(position >= low) & (position < low + 4)].mean() for low in (0, 4, 8)]
        assert rates[0] > 1.3 * rates[1] > 1.3 * rates[2]

    def test_the_history_tells_the_taste(self, log, onset):
        taste, topic = log.platform.taste, log.platform.topic
        liking = np.where(onset["history"] >= 0, taste[onset["user_id"][:, None], topic[onset["history"]]], np.nan)
        assert np.nanmean(liking) > 1.0

    def test_measurements_tell_what_is_hidden(self, log, onset):
        quality = log.platform.quality[onset["video_id"]]
        affinity = log.platform.taste[onset["user_id"], log.platform.topic[onset["video_id"]]]
        assert 0.5 < np.corrcoef(onset["recent_ctr"], quality)[0, 1] < 0.95
        assert 0.5 < np.corrcoef(onset["scores"][:, 0], affinity)[0, 1] < 0.95
        assert abs(np.corrcoef(onset["scores"][:, 7], affinity)[0, 1]) < 0.05


class TestHazards:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_hazard_changes_nothing_before_its_day_and_something_on_it(self, log, name):
        other = with_hazards(f"{name}@{ONSET}")
        for day in range(4):
            changed = changed_columns(day_of(log, day), day_of(other, day))
            in_effect = day == ONSET or (day > ONSET and name in ("shift", "new_feature", "heavy_labels"))
            assert bool(changed) == in_effect, (day, changed)

    def test_shift_multiplies_numbers_and_favours_other_topics(self, log, onset):
        shifted = harmed(f"shift@{ONSET}*0.5")
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

    def test_a_new_feature_begins_to_tell_about_clicks(self, onset):
        fresh = harmed(f"new_feature@{ONSET}")
        labels = {"click", "like", "share", "long_watch", "watch_time"}
        expected = {f"expected/{task}" for task in labels}
        assert changed_columns(onset, fresh) == {"fresh_score"} | labels | expected
        assert fresh["fresh_score"].max() > 50 * np.median(fresh["fresh_score"]) > 0
        high = fresh["fresh_score"] > np.quantile(fresh["fresh_score"], 0.8)
        low = fresh["fresh_score"] < np.quantile(fresh["fresh_score"], 0.2)
        assert fresh["click"][high].mean() > 2 * fresh["click"][low].mean()

    def test_heavy_labels_stretch_watch_time_alone(self, onset):
        heavy = harmed(f"heavy_labels@{ONSET}")
        assert changed_columns(onset, heavy) == {"watch_time", "expected/watch_time"}
        assert onset["watch_time"].max() < 200
        assert heavy["watch_time"].max() > 1000
        assert np.isfinite(heavy["watch_time"]).all()

    def test_a_viral_video_takes_half_of_its_day(self, log, onset):
        viral = harmed(f"viral@{ONSET}")
        share = np.bincount(viral["video_id"], minlength=SETTINGS.videos) / SETTINGS.rows_per_day
        assert share.argmax() == log.platform.viral_video
        assert share.max() == pytest.approx(0.5 + 0.5 * log.platform.video_popularity[share.argmax()], abs=0.02)
        others = viral["video_id"] != log.platform.viral_video
        np.testing.assert_array_equal(viral["video_id"][others], onset["video_id"][others])
        assert "user_id" not in changed_columns(onset, viral)

    def test_corruption_writes_absurd_finite_numbers_into_few_rows(self, log, onset):
        corrupt = harmed(f"corruption@{ONSET}")
        changed = changed_columns(onset, corrupt)
        numerical = {f.name for f in log.schema.features if f.kind == "numerical"}
        assert changed == numerical - {"fresh_score"}
        hit = np.zeros(SETTINGS.rows_per_day, bool)
        for name in changed:
            assert np.isfinite(corrupt[name]).all()
            differs = corrupt[name] != onset[name]
            size = np.abs(corrupt[name][differs].astype(float) / onset[name][differs])
            sentinel = corrupt[name][differs] == -1e9
            assert sentinel.any(), name
            assert np.all(sentinel | ((size > 999) & (size < 1.001e6))), name
            hit |= differs.reshape(len(hit), -1).any(axis=1)
        assert hit.mean() == pytest.approx(0.01, abs=0.003)

    @pytest.mark.parametrize(
        ("name", "column", "effect"),
        [
            ("new_feature", "fresh_score", lambda usual, got: np.log(got)),
            ("viral", "video_id", lambda usual, got: got != usual),
            ("corruption", "network_mbps", lambda usual, got: got != usual),
            # Defined where there was a click.
            ("heavy_labels", "watch_time", lambda usual, got: np.log(got / np.where(usual > 0, usual, np.nan))),
        ],
    )
    def test_each_block_and_day_draws_its_own_hazard(self, log, name, column, effect):
        hazards = with_hazards(f"{name}@0", f"{name}@1")
        places = ((0, 0), (0, 1), (1, 0))
        effects = [effect(log.block(*place)[column], hazards.block(*place)[column]) for place in places]
        for one, other in ((0, 1), (0, 2), (1, 2)):
            there = ~np.isnan(effects[one]) & ~np.isnan(effects[other])
            assert there.sum() > 200
            assert abs(np.corrcoef(effects[one][there], effects[other][there])[0, 1]) < 0.2

    def test_a_hazard_that_is_not_understood_is_refused(self):
        with pytest.raises(ValueError, match="did you mean 'viral'"):
            with_hazards("virall@1")
