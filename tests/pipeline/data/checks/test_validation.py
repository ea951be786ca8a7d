"""Days compared with the days before: reported anomalies, tolerated differences, and the effect of each policy."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.checks import CheckedDay, check_days
from steadyrank.pipeline.data.files.log import FileLog
from tests.pipeline.data.checks.sample_days import FAULTS, ROWS, SCHEMA, make_columns, name_day, write_columns

__all__ = ["SCHEMA"]  # The fixture schema_file reads it.


@pytest.fixture(scope="module")
def usual_log(tmp_path_factory) -> Path:
    """Sixteen days without a fault; tests must not change it."""
    root = tmp_path_factory.mktemp("usual")
    for day in range(16):
        write_columns(root / name_day(day) / "part-0.parquet", make_columns(day))
    return root


@pytest.fixture
def log(usual_log, tmp_path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(usual_log, tmp_path / "log")


@pytest.fixture
def check(schema_file) -> Callable[..., list[CheckedDay]]:
    def check(root: Path, previous: Sequence[CheckedDay] = (), **settings) -> list[CheckedDay]:
        files = Files(path=str(root), schema=schema_file, **settings)
        return check_days(FileLog(files), files, previous)

    return check


def plant(log: Path, day: int, fault: str) -> None:
    write_columns(log / name_day(day) / "part-0.parquet", FAULTS[fault][0](make_columns(day)))


def list_anomalies(checked: Sequence[CheckedDay]) -> dict[str, list[tuple[str, str]]]:
    return {
        day.name: [(anomaly.check, anomaly.column) for anomaly in day.anomalies] for day in checked if day.anomalies
    }


def test_usual_days_have_no_anomalies(check, usual_log):
    checked = check(usual_log)
    assert list_anomalies(checked) == {}
    assert [day.rows for day in checked[:7]] == [ROWS] * 5 + [ROWS // 2] * 2
    assert checked[0].statistics["age"]["mean"] == pytest.approx(make_columns(0)["age"].mean(), abs=0.5)
    assert checked[0].statistics["country"]["distinct"] == 4
    assert checked[0].statistics["country"]["unknown"] == pytest.approx(0.05, abs=0.02)
    assert checked[0].statistics["click"]["mean"] == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("day", [3, 11])
def test_a_fault_is_reported_on_its_day_alone(check, log, fault, day):
    plant(log, day, fault)
    anomalies = list_anomalies(check(log))
    assert list(anomalies) == [name_day(day)]
    expected = FAULTS[fault][1]
    assert expected in anomalies[name_day(day)]
    # No other column is reported for the same fault.
    assert {column for _, column in anomalies[name_day(day)]} <= {expected[1]}


def test_types_that_differ_only_in_width_and_columns_outside_the_schema_are_no_anomalies(check, log):
    columns = make_columns(11)
    others = {
        "age": pa.array(columns["age"], pa.float32()),
        "spent": pa.array(columns["spent"], pa.float64()).cast(pa.float32()),
        "user": pa.array(columns["user"], pa.int32()),
        "country": pa.array(columns["country"]).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.large_string())),
        "device": pa.array(columns["device"]).cast(pa.large_binary()),
        "history": pa.array(columns["history"].tolist(), pa.large_list(pa.int16())),
        "seen_at": pa.array(columns["user"], pa.timestamp("ns")),
        "new": pa.array(columns["age"]),
    }
    write_columns(log / name_day(11) / "part-0.parquet", columns | others)
    assert list_anomalies(check(log)) == {}


def test_a_type_that_differs_between_the_files_of_a_day_is_reported_with_both_files(check, log):
    columns = make_columns(11)
    write_columns(
        log / name_day(11) / "part-1.parquet", {n: v[:100] for n, v in columns.items()} | {"device": np.arange(100)}
    )
    [day] = [day for day in check(log) if day.anomalies]
    [text] = [str(anomaly) for anomaly in day.anomalies if anomaly.check == "type"]
    folder = name_day(11)
    assert text == (
        f"the type of device is string ({folder}/part-0.parquet) and integer ({folder}/part-1.parquet); "
        "it was string before"
    )


class TestDaysOfFaultyRowsOnly:
    """Three short days, one of which has no row without a fault."""

    @pytest.fixture
    def write(self, tmp_path) -> Callable[..., Path]:
        def write(faulty_day: int, column: str, values: Callable[[int], object]) -> Path:
            for day in range(3):
                columns = {name: column[:300] for name, column in make_columns(day).items()}
                replaced = {column: values(300)} if day == faulty_day else {}
                write_columns(tmp_path / "short" / name_day(day) / "part-0.parquet", columns | replaced)
            return tmp_path / "short"

        return write

    @pytest.mark.parametrize("on_invalid", ["fail", "skip", "clamp"])
    @pytest.mark.parametrize("day", [0, 1])
    def test_the_day_and_the_column_are_named(self, check, write, on_invalid, day):
        root = write(day, "spent", lambda rows: pa.nulls(rows, pa.float64()))
        message = (
            rf"^{name_day(day)}: all 300 rows that were read are faulty \(spent: not finite\)\. .*on_anomalous_day=skip"
        )
        with pytest.raises(UserError, match=message):
            check(root, on_invalid=on_invalid)

    def test_strings_that_are_too_long_are_named_too(self, check, write):
        root = write(1, "device", lambda rows: np.full(rows, "w" * 2000))
        with pytest.raises(UserError, match=rf"^{name_day(1)}: all .* \(device: string longer than 1,024 bytes\)"):
            check(root)

    def test_the_day_can_be_skipped(self, check, write):
        root = write(1, "spent", lambda rows: pa.nulls(rows, pa.float64()))
        days = check(root, on_anomalous_day="skip", max_anomalous_share=1.0)
        assert list_anomalies(days)[name_day(1)] == [("faulty_rows", "spent")]
        assert days[1].skipped

    def test_some_faulty_blocks_do_not_matter(self, check, write):
        root = write(1, "age", lambda rows: [np.inf] * 250 + [1.0] * 50)
        assert all(day.statistics["age"]["mean"] > 0 for day in check(root))


def test_rows_delivered_twice_are_found_on_the_same_day_and_on_another(check, log):
    shutil.copy(log / name_day(4) / "part-0.parquet", log / name_day(4) / "part-1.parquet")
    write_columns(log / name_day(9) / "part-0.parquet", make_columns(3))
    texts = {
        day.name: [str(anomaly) for anomaly in day.anomalies if anomaly.check == "duplicates"] for day in check(log)
    }
    assert texts[name_day(4)][0].startswith(f"{ROWS:,} rows occur twice in the log: row group 0 of ")
    [text] = texts[name_day(9)]
    assert f"{name_day(3)}/part-0.parquet" in text
    assert sum(map(bool, texts.values())) == 2


def test_a_missing_day_is_reported_on_the_next(check, log):
    shutil.rmtree(log / name_day(6))
    [day] = [day for day in check(log) if day.anomalies]
    assert day.name == name_day(7)
    assert day.anomaly_lines() == [f"{name_day(7)}: 1 day is missing between {name_day(5)} and {name_day(7)}"]


def test_progress_is_reported_for_each_day(schema_file, usual_log):
    settings = Files(path=str(usual_log), schema=schema_file, checked_rows_per_day=500)
    progress = []
    check_days(FileLog(settings), settings, report_progress=lambda done, total: progress.append((done, total)))
    assert progress == [(day, 16) for day in range(1, 17)]


class TestPolicies:
    @pytest.fixture
    def faulty_log(self, log) -> Path:
        plant(log, 8, "a unit that changed")
        return log

    def test_warn_uses_the_day(self, check, faulty_log):
        assert [day.name for day in check(faulty_log) if day.skipped] == []

    def test_skip_skips_the_day_and_an_empty_one(self, check, faulty_log, schema_file):
        (faulty_log / name_day(16)).mkdir()
        checked = check(faulty_log, on_anomalous_day="skip", max_anomalous_share=0.2)
        skipped = [day.name for day in checked if day.skipped]
        assert skipped == [name_day(8), name_day(16)]
        # A skipped day is not a missing day.
        [next_day] = [day for day in checked if day.name == name_day(9)]
        assert next_day.anomalies == ()
        assert list_anomalies(checked)[name_day(16)] == [("empty", "")]
        settings = Files(path=str(faulty_log), schema=schema_file, on_anomalous_day="skip")
        source = FileLog(settings, excluded_days=skipped)
        assert source.days == [name_day(day) for day in range(16) if day != 8]

    def test_skip_has_a_limit(self, check, faulty_log):
        message = (
            r"1 of 16 days would be skipped, more than the allowed 5%: .*: the mean of age is .*max_anomalous_share"
        )
        with pytest.raises(UserError, match=message):
            check(faulty_log, on_anomalous_day="skip", max_anomalous_share=0.05)

    def test_fail_names_the_day_and_the_anomaly(self, check, faulty_log):
        message = rf"the log has anomalies: {name_day(8)}: the mean of age is 4.*; the 8 days before had 3"
        with pytest.raises(UserError, match=message):
            check(faulty_log, on_anomalous_day="fail")

    def test_without_checked_rows_no_day_is_read(self, check, faulty_log):
        checked = check(faulty_log, on_anomalous_day="fail", checked_rows_per_day=0)
        assert len(checked) == 16
        assert not any(day.anomalies or day.statistics for day in checked)


class TestResuming:
    def test_earlier_results_stand_and_new_days_are_checked(self, check, log):
        plant(log, 8, "a unit that changed")
        first = check(log, on_anomalous_day="skip")
        recorded = [CheckedDay.from_dict(day.to_dict() | {"use": "training"}) for day in first]
        assert recorded == first
        assert check(log, recorded, on_anomalous_day="skip") == first
        plant(log, 16, "no clicks")
        second = check(log, recorded, on_anomalous_day="skip", max_anomalous_share=0.2)
        assert second[:16] == first
        assert second[16].skipped

    def test_a_changed_log_is_refused(self, check, log):
        previous = check(log)
        write_columns(log / name_day(3) / "part-0.parquet", make_columns(30))
        message = f"{name_day(3)} has changed since this run started: it had 4,000 rows in 1 file"
        with pytest.raises(UserError, match=message):
            check(log, previous)
        shutil.rmtree(log / name_day(3))
        with pytest.raises(UserError, match=f"{name_day(3)} is no longer in the log"):
            check(log, previous)
