"""Days held against the days before them: what is found, what is not, and what is done about it."""

from __future__ import annotations

import datetime
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.checks.checked_day import CheckedDay
from steadyrank.pipeline.data.checks.comparison import DayProfile, find_anomalies
from steadyrank.pipeline.data.checks.validation import check_days
from steadyrank.pipeline.data.files.log import FileLog

SCHEMA = """
features:
- {name: age, kind: numerical, default: 30}
- {name: spent, kind: numerical, normalization: log}
- {name: constant, kind: numerical}
- {name: user, kind: categorical, hash_buckets: 1000}
- {name: country, kind: categorical, dtype: string, vocabulary: [de, fr, it]}
- {name: device, kind: categorical, dtype: string, hash_buckets: 10}
- {name: history, kind: bag, width: 3, num_ids: 500}
tasks:
- {name: click, kind: binary}
- {name: minutes, kind: regression}
"""
ROWS = 4000


def columns(day: int) -> dict[str, np.ndarray]:
    """A day like any other; weekends are half as long, and of other people."""
    rng = np.random.default_rng(day)
    weekend = day % 7 >= 5
    rows = ROWS // 2 if weekend else ROWS
    return {
        "age": rng.normal(35 - 3 * weekend, 10, rows),
        "spent": np.floor(rng.lognormal(1, 2, rows)),
        "constant": np.ones(rows),
        # New users come every day, most are old ones.
        "user": rng.zipf(1.3, rows) % (1000 + 50 * day),
        "country": rng.choice(["de", "fr", "it", "pl"], rows, p=[0.5, 0.3, 0.15, 0.05]),
        "device": rng.choice(["phone", "tablet", "desk"], rows),
        "history": rng.integers(0, 500, (rows, 3)),
        "click": rng.random(rows) < 0.05 + 0.01 * weekend,
        "minutes": np.where(rng.random(rows) < 0.2, np.nan, rng.gamma(2, 3, rows)),
    }


def write(path, found) -> None:
    found = {name: pa.array(list(values) if np.ndim(values) == 2 else values) for name, values in found.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(found), path, row_group_size=500)


def name_of(day: int) -> str:
    return f"day={datetime.date(2026, 11, 2) + datetime.timedelta(day)}"


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory):
    """A log of sixteen days without anything odd."""
    root = tmp_path_factory.mktemp("fortnight")
    for day in range(16):
        write(root / name_of(day) / "part-0.parquet", columns(day))
    return root


@pytest.fixture
def log(fortnight, tmp_path):
    """A copy that may be spoiled."""
    return shutil.copytree(fortnight, tmp_path / "log")


@pytest.fixture
def check(schema_file):
    def one(root, known=(), **settings):
        settings = Files(path=str(root), schema=schema_file, **settings)
        return check_days(FileLog(settings), settings, known)

    return one


def found_in(checked) -> dict[str, list[tuple[str, str]]]:
    return {day.name: [(each.check, each.column) for each in day.anomalies] for day in checked if day.anomalies}


def test_usual_days_are_not_odd(check, fortnight):
    checked = check(fortnight)
    assert found_in(checked) == {}
    assert [day.rows for day in checked[:7]] == [ROWS] * 5 + [ROWS // 2] * 2
    assert checked[0].statistics["age"]["mean"] == pytest.approx(columns(0)["age"].mean(), abs=0.5)
    assert checked[0].statistics["country"]["distinct"] == 4
    assert checked[0].statistics["country"]["unknown"] == pytest.approx(0.05, abs=0.02)
    assert checked[0].statistics["click"]["mean"] == pytest.approx(0.05, abs=0.02)


def _with(**changed):
    def spoil(found):
        return found | {name: change(found[name]) for name, change in changed.items()}

    return spoil


def _some(values, share, other):
    values = np.array(values, object)
    values[np.random.default_rng(1).random(len(values)) < share] = other
    return values.tolist()


SPOILED = {
    "a unit that changed": (_with(age=lambda v: v * 12), ("shifted", "age")),
    "a counter that grew": (_with(spent=lambda v: v * 1000), ("shifted", "spent")),
    "a wider spread": (_with(age=lambda v: (v - 35) * 6 + 35), ("shifted", "age")),
    "a number that froze": (_with(age=lambda v: np.full(len(v), 35.0)), ("constant", "age")),
    "a constant that changed": (_with(constant=lambda v: v * 2), ("shifted", "constant")),
    "a constant that began to vary": (
        _with(constant=lambda v: v + np.random.default_rng(2).random(len(v))),
        ("shifted", "constant"),
    ),
    "numbers that are missing": (_with(age=lambda v: _some(v, 0.4, None)), ("missing_values", "age")),
    "no number at all": (_with(age=lambda v: pa.nulls(len(v), pa.float64())), ("missing_values", "age")),
    "strings that are missing": (_with(country=lambda v: _some(v, 0.5, None)), ("missing_values", "country")),
    "one country": (_with(country=lambda v: np.full(len(v), "de")), ("constant", "country")),
    "other letters": (_with(country=lambda v: np.char.upper(v.astype(str))), ("unknown_values", "country")),
    "other words": (_with(device=lambda v: np.char.add("v2/", v.astype(str))), ("unknown_values", "device")),
    "other ids": (_with(user=lambda v: v + 10_000_000), ("unknown_values", "user")),
    "a history beyond its ids": (_with(history=lambda v: v + 10_000), ("unknown_values", "history")),
    "clicks three times as many": (
        _with(click=lambda v: v | (np.random.default_rng(2).random(len(v)) < 0.12)),
        ("shifted", "click"),
    ),
    "no click": (_with(click=np.zeros_like), ("constant", "click")),
    "labels that are missing": (_with(minutes=lambda v: _some(v, 0.6, None)), ("missing_values", "minutes")),
    "few rows": (lambda found: {name: v[:400] for name, v in found.items()}, ("rows", "")),
    "a column of other type": (_with(age=lambda v: v.astype(np.float32)), ("type", "age")),
    "a new column": (lambda found: found | {"new": np.zeros(len(found["age"]))}, ("extra_column", "new")),
    "rows that repeat": (
        lambda found: {name: np.concatenate([v[: len(v) // 2], v[: len(v) // 2]]) for name, v in found.items()},
        ("duplicates", ""),
    ),
}


@pytest.mark.parametrize("what", SPOILED)
@pytest.mark.parametrize("day", [3, 11])
def test_what_is_odd_is_found_on_its_day_alone(check, log, what, day):
    spoil, expected = SPOILED[what]
    write(log / name_of(day) / "part-0.parquet", spoil(columns(day)))
    found = found_in(check(log))
    assert list(found) == [name_of(day)]
    assert expected in found[name_of(day)]
    # One fault is not told of columns that have none.
    assert {column for _, column in found[name_of(day)]} <= {expected[1]}


def test_rows_that_were_delivered_twice_are_found_wherever_they_stand(check, log):
    shutil.copy(log / name_of(4) / "part-0.parquet", log / name_of(4) / "part-1.parquet")
    write(log / name_of(9) / "part-0.parquet", columns(3))
    checked = check(log)
    texts = {day.name: [str(each) for each in day.anomalies if each.check == "duplicates"] for day in checked}
    assert texts[name_of(4)][0].startswith(f"{ROWS:,} rows occur twice in the log: row group 0 of ")
    [told] = texts[name_of(9)]
    assert f"{name_of(3)}/part-0.parquet" in told
    assert sum(map(bool, texts.values())) == 2


def test_a_day_that_is_missing_is_told_by_the_next(check, log):
    shutil.rmtree(log / name_of(6))
    [day] = [day for day in check(log) if day.anomalies]
    assert day.name == name_of(7)
    assert str(day.anomalies[0]) == f"1 day is missing between {name_of(5)} and {name_of(7)}"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["hour=2026-11-01-22", "hour=2026-11-01-23", "hour=2026-11-02-00", "hour=2026-11-02-02"], 1),
        (["dt=20260130", "dt=20260131", "dt=20260201", "dt=20260205"], 3),
        (["n=8", "n=9", "n=10", "n=11"], 0),
        (["a", "b", "d"], 0),
        (["week=2026-01-05", "week=2026-01-12", "week=2026-01-19", "week=2026-01-26"], 0),
    ],
)
def test_how_many_days_are_missing(names, expected):
    days = [DayProfile(name, 10, {}) for name in names]
    found = [each.text for each in find_anomalies(days[-1], days[:-1])]
    assert found == (
        [f"{expected} day{'s are' if expected > 1 else ' is'} missing between {names[-2]} and {names[-1]}"]
        if expected
        else []
    )


class TestPolicies:
    @pytest.fixture
    def spoiled(self, log):
        write(log / name_of(8) / "part-0.parquet", SPOILED["a unit that changed"][0](columns(8)))
        return log

    def test_tell_uses_the_day(self, check, spoiled):
        assert [day.name for day in check(spoiled) if day.skipped] == []

    def test_skip_leaves_it_out_and_an_empty_one_too(self, check, spoiled, schema_file):
        (spoiled / name_of(16)).mkdir()
        checked = check(spoiled, on_anomalous_day="skip", max_anomalous_share=0.2)
        skipped = [day.name for day in checked if day.skipped]
        assert skipped == [name_of(8), name_of(16)]
        assert found_in(checked)[name_of(16)] == [("empty", "")]
        source = FileLog(Files(path=str(spoiled), schema=schema_file, on_anomalous_day="skip"), excluded_days=skipped)
        assert source.days == [name_of(day) for day in range(16) if day != 8]

    def test_skip_has_a_budget(self, check, spoiled):
        with pytest.raises(
            UserError,
            match=r"1 of 16 days would be skipped, more than the allowed 5%: .*: the mean of age is .*max_anomalous_share",
        ):
            check(spoiled, on_anomalous_day="skip", max_anomalous_share=0.05)

    def test_fail_says_what_is_odd(self, check, spoiled):
        with pytest.raises(
            UserError, match=rf"the log has anomalies: {name_of(8)}: the mean of age is 4.*; the 8 days before had 3"
        ):
            check(spoiled, on_anomalous_day="fail")

    def test_without_checks_nothing_is_read(self, check, spoiled):
        checked = check(spoiled, on_anomalous_day="fail", checked_rows_per_day=0)
        assert len(checked) == 16
        assert not any(day.anomalies or day.statistics for day in checked)


class TestGoingOn:
    def test_what_was_found_stands_and_new_days_are_checked(self, check, log):
        write(log / name_of(8) / "part-0.parquet", SPOILED["a unit that changed"][0](columns(8)))
        first = check(log, on_anomalous_day="skip")
        known = [CheckedDay.from_dict(day.to_dict() | {"use": "training"}) for day in first]
        assert known == first
        assert check(log, known, on_anomalous_day="skip") == first
        write(log / name_of(16) / "part-0.parquet", SPOILED["no click"][0](columns(16)))
        second = check(log, known, on_anomalous_day="skip", max_anomalous_share=0.2)
        assert second[:16] == first
        assert second[16].skipped

    def test_a_log_that_changed_is_refused(self, check, log):
        known = check(log)
        write(log / name_of(3) / "part-0.parquet", columns(30))
        with pytest.raises(
            UserError,
            match=f"{name_of(3)} has changed since this run started: it had 4,000 rows in 1 file and now has 4,000 rows in 1 file",
        ):
            check(log, known)
        shutil.rmtree(log / name_of(3))
        with pytest.raises(UserError, match=f"{name_of(3)} is no longer in the log"):
            check(log, known)
