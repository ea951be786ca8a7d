from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.models import Feature, Schema
from steadyrank.pipeline.config import UserError, read
from steadyrank.pipeline.data.schema_inference import format_proposal, format_summary, propose_schema


def test_each_column_becomes_a_feature_or_a_task_or_is_left_out(shop_log):
    proposal = propose_schema(str(shop_log))
    features = {feature.name: feature for feature in proposal.schema.features}
    assert list(features) == ["user_id", "Age__years_", "views", "country", "weekday", "query", "tags", "embedding"]
    assert features["user_id"].hash_buckets
    age = features["Age__years_"]
    assert (age.kind, age.normalization, age.column) == ("numerical", "standard", "Age (years)")
    assert age.default == pytest.approx(40, abs=1)
    assert features["views"].normalization == "log"
    assert set(features["country"].vocabulary) == {"de", "fr", "no", "yes", "a: b, [c]"}
    assert features["weekday"].num_ids == 7
    assert features["query"].vocabulary_size == 1000
    assert (features["tags"].kind, features["tags"].width) == ("bag", 3)
    assert set(features["tags"].vocabulary) == {f"t{i}" for i in range(7)}
    assert (features["embedding"].kind, features["embedding"].width) == ("numerical", 4)
    assert [(task.name, task.kind) for task in proposal.schema.tasks] == [("bought", "binary")]
    assert [column.name for column in proposal.candidates] == ["minutes_watched"]


def test_a_column_that_is_left_out_has_a_reason(shop_log):
    columns = propose_schema(str(shop_log)).columns
    reasons = {column.name: column.exclusion_reason for column in columns if column.exclusion_reason}
    row_number = "a row number. Rows at serving time have numbers that no row in training has."
    assert reasons == {
        "row_id": "different in almost every row. A ranker learns nothing from values that do not repeat.",
        "event.time": "a timestamp. Rows at serving time are later than every row in training.",
        "number": row_number,
        "__index_level_0__": row_number,
        "version": "the same value in every row.",
        "nothing": "every value is missing.",
        "nested": "a struct. Write each of its fields as a column.",
        "minutes_watched": "its name suggests an outcome, unknown at serving time. To predict it, name it in --labels.",
    }


def test_named_labels_replace_guessed_ones(shop_log):
    proposal = propose_schema(str(shop_log), labels=["weekday"])
    assert [task.name for task in proposal.schema.tasks] == ["weekday"]
    # An outcome that the user does not want to predict is still unknown at serving time.
    reasons = {column.name: column.exclusion_reason for column in proposal.columns}
    assert reasons["bought"].startswith("its name suggests an outcome")


def test_a_sample_can_be_smaller_than_the_log(shop_log):
    proposal = propose_schema(str(shop_log), rows=400)
    assert (proposal.rows, proposal.sampled_rows) == (4000, 400)


def test_a_path_without_a_log_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        propose_schema(str(tmp_path / "nowhere"))


ROWS = 2000
CLICK = np.random.default_rng(1).random(ROWS) < 0.3
WEIGHTS = np.random.default_rng(3).exponential(size=ROWS)


def write(path: Path, *days: dict) -> str:
    for number, columns in enumerate(days):
        day = path / f"day={number}"
        day.mkdir(parents=True)
        pq.write_table(pa.table(columns), day / "a.parquet")
    return str(path)


def find_reasons(path: str, **arguments) -> dict[str, str]:
    return {column.name: column.exclusion_reason for column in propose_schema(path, **arguments).columns}


class TestExampleWeights:
    def _propose(self, tmp_path, **weights):
        columns = {"age": np.random.default_rng(0).random(ROWS), "click": CLICK} | weights
        return propose_schema(write(tmp_path, columns))

    @pytest.mark.parametrize(
        "values", [np.random.default_rng(2).integers(10_000, 1_500_000, ROWS), np.arange(ROWS) % 7, WEIGHTS]
    )
    def test_a_weight_is_printed_and_read_back(self, tmp_path, values):
        proposal = self._propose(tmp_path / "log", fnlwgt=values)
        text = format_proposal(proposal, "log")
        (tmp_path / "schema.yaml").write_text(text)
        assert read(Schema, str(tmp_path / "schema.yaml")) == proposal.schema
        assert "    example_weight: fnlwgt\n" in text
        assert "# the weight of each row, as example_weight of the tasks" in text
        assert "Weight of each row:" in format_summary(proposal)

    @pytest.mark.parametrize(("value", "reason"), [(-1.0, "out of range"), (None, "not finite")])
    def test_a_weight_that_training_would_refuse_is_left_out(self, tmp_path, value, reason):
        proposal = self._propose(tmp_path, sample_weight=[value, *WEIGHTS[1:]])
        assert proposal.schema.tasks[0].example_weight == ""
        reasons = {column.name: column.exclusion_reason for column in proposal.columns}
        assert reasons["sample_weight"] == f"training would refuse 1 row of the sample: {reason}. Correct them."

    def test_several_weights_and_a_plain_weight_are_left_out(self, tmp_path):
        proposal = self._propose(tmp_path, sample_weight=WEIGHTS, case_weight=WEIGHTS * 2, weight=WEIGHTS * 80)
        assert proposal.schema.tasks[0].example_weight == ""
        reasons = {column.name: column.exclusion_reason for column in proposal.columns}
        for name in ("sample_weight", "case_weight"):
            assert "several columns may be the weight of a row: sample_weight, case_weight." in reasons[name]
        assert reasons["weight"].startswith("its name may mean the weight of a row.")
        assert proposal.columns[-1].feature is not None


class TestLabels:
    def test_only_unmistakable_names_with_two_values_become_tasks(self, tmp_path):
        rng = np.random.default_rng(0)
        two = rng.integers(0, 2, ROWS)
        columns = {
            "click": CLICK,
            "label_like": np.where(two, "yes", "no"),
            "is_subscriber": rng.integers(0, 2, ROWS),
            "target": rng.normal(size=ROWS),
        }
        columns |= {"revenue": rng.random(ROWS), "axis_x": rng.random(ROWS), "income": np.where(two, ">50K", "<=50K")}
        columns |= {"days_since_install": rng.integers(0, 900, ROWS), "instance_weight": rng.random(ROWS)}
        proposal = propose_schema(write(tmp_path, columns))
        assert [column.name for column in proposal.tasks] == ["click", "label_like"]
        assert [column.name for column in proposal.candidates] == ["target", "revenue"]
        assert [column.name for column in proposal.features] == ["is_subscriber", "axis_x", "days_since_install"]
        assert [column.task.example_weight for column in proposal.tasks] == ["instance_weight"] * 2
        assert proposal.schema.example_weight_columns == ("instance_weight",)
        reasons = {column.name: column.exclusion_reason for column in proposal.columns}
        assert reasons["income"].endswith("To predict it, write it as 0 and 1.")
        assert reasons["instance_weight"] == ""

    @pytest.mark.parametrize("words", [("true", "false"), ("0", "1"), ("Y", "N")])
    def test_strings_that_are_named_as_labels_become_tasks(self, tmp_path, words):
        columns = {"age": np.arange(ROWS) / 7, "click": CLICK, "bought": np.where(CLICK, *words)}
        proposal = propose_schema(write(tmp_path, columns), labels=["bought"])
        assert [column.name for column in proposal.tasks] == ["bought"]

    def test_labels_that_cannot_be_read_are_refused(self, tmp_path):
        columns = {"age": np.arange(ROWS) / 7, "click": CLICK, "color": ["red", "blue"] * (ROWS // 2)}
        path = write(tmp_path, columns, columns | {"late": CLICK})
        for label, message in (
            ("clicks", "the log has no column 'clicks'; it has age, click, color"),
            ("color", "but the log has the string 'red'"),
            ("late", "column 'late' cannot be a label: 1 day of 2 lacks the column, such as day=0"),
        ):
            with pytest.raises(UserError, match="--labels: ") as raised:
                propose_schema(path, labels=[label])
            assert message in str(raised.value)

    def test_an_infinite_label_is_refused(self, tmp_path):
        path = write(tmp_path, {"age": np.arange(9) / 7, "amount": [1.0, np.inf, *range(7)]})
        with pytest.raises(
            UserError, match="column 'amount' cannot be a label: training would refuse 1 row of the sample"
        ):
            propose_schema(path, labels=["amount"])


class TestDays:
    def test_a_column_that_some_days_lack_is_left_out(self, tmp_path):
        first = {"age": np.arange(ROWS) / 7, "click": CLICK}
        reasons = find_reasons(write(tmp_path, first, first | {"new": CLICK}, first | {"new": CLICK}))
        assert reasons["new"] == (
            "1 day of 3 lacks the column, such as day=0 (a.parquet). It is in day=1. Add it to all days, or train on the days "
            "that have it."
        )

    def test_types_that_differ_in_width_or_form_are_one_type(self, tmp_path):
        words = pa.array(["a", "b"] * (ROWS // 2))
        columns = {"click": CLICK, "n": pa.array(np.arange(ROWS) % 50, pa.int8()), "word": words, "bag": pa.nulls(ROWS)}
        other = {
            "n": pa.array(np.arange(ROWS) * 1.5),
            "word": words.dictionary_encode(),
            "bag": pa.array([[1, 2]] * ROWS),
        }
        features = propose_schema(write(tmp_path, columns, columns | other)).schema.features
        assert [(f.name, f.kind) for f in features] == [("n", "numerical"), ("word", "categorical"), ("bag", "bag")]

    def test_numbers_and_strings_are_no_common_type(self, tmp_path):
        columns = {"age": np.arange(ROWS) / 7, "click": CLICK, "x": np.arange(ROWS)}
        path = write(tmp_path, columns, columns | {"x": ["a"] * ROWS})
        assert find_reasons(path)["x"] == (
            f"int64 in {path}/day=0/a.parquet and string in {path}/day=1/a.parquet. Write all files with the same type."
        )

    def test_the_sample_has_each_type(self, tmp_path):
        columns = {"age": np.arange(ROWS) / 7, "click": CLICK, "x": np.arange(ROWS)}
        days = [columns] * 12
        days[7] = columns | {"x": ["a"] * ROWS}
        assert "string in" in find_reasons(write(tmp_path, *days), rows=ROWS)["x"]


def test_columns_of_one_name_are_told_apart_by_position(tmp_path):
    table = pa.table({"click": CLICK, "age": np.arange(ROWS) / 7})
    table = table.append_column("age", pa.array(np.arange(ROWS) / 11))
    pq.write_table(table, tmp_path / "a.parquet")
    features = propose_schema(str(tmp_path / "a.parquet")).schema.features
    assert [(feature.name, feature.column) for feature in features] == [("age_0_", "age[0]"), ("age_1_", "age[1]")]


class TestLeaks:
    def test_a_leak_is_left_out_with_its_number(self, tmp_path):
        rng = np.random.default_rng(0)
        columns = {
            "click": CLICK,
            "paid": np.where(CLICK, rng.gamma(2, 5, ROWS), 0),
            "coupon": np.where(CLICK & (rng.random(ROWS) < 0.5), 5.0, np.nan),
            "strong": CLICK * 1.8 + rng.normal(size=ROWS),
            "user_id": rng.integers(0, 10**9, ROWS),
        }
        proposal = propose_schema(write(tmp_path, columns))
        assert [column.name for column in proposal.features] == ["strong", "user_id"]
        reasons = {column.name: column.exclusion_reason for column in proposal.columns}
        assert reasons["paid"].startswith("a leak: paid alone predicts click (AUC 1.0000).")
        assert reasons["coupon"].startswith("the same value in every row")

    def test_rare_labels_are_not_checked(self, tmp_path):
        columns = {"click": np.arange(ROWS) < 9, "paid": (np.arange(ROWS) < 9) * 1.5, "age": np.arange(ROWS) / 7}
        proposal = propose_schema(write(tmp_path, columns))
        assert [column.name for column in proposal.features] == ["paid", "age"]
        assert proposal.unchecked_tasks == {"click": "it has 9 positive labels (needs 20) in 2,000 sampled rows"}


def test_infinite_numbers_and_long_strings_are_left_out(tmp_path):
    columns = {
        "click": CLICK,
        "age": np.arange(ROWS) / 7,
        "x": np.where(np.arange(ROWS) % 99, 1.0 * np.arange(ROWS), np.inf),
    }
    columns["text"] = ["a" * 2000, "b"] * (ROWS // 2)
    reasons = find_reasons(write(tmp_path, columns))
    assert reasons["x"].startswith("21 values of the sample are infinite or beyond float32")
    assert reasons["text"] == (
        "training would refuse 1,000 rows of the sample: string longer than 1,024 bytes. Correct them."
    )


def test_features_of_one_id_space_share_a_table(tmp_path):
    rng = np.random.default_rng(0)
    items = rng.choice(10**6, 100, replace=False)
    columns = {
        "click": CLICK,
        "item_id": rng.choice(items, ROWS),
        "session_items": [rng.choice(items, 3) for _ in range(ROWS)],
    }
    features = {feature.name: feature for feature in propose_schema(write(tmp_path, columns)).schema.features}
    assert features["session_items"] == Feature(
        "session_items", "bag", width=3, hash_buckets=256, embedding_width=8, table="item_id"
    )
