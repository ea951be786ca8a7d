from __future__ import annotations

import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.data.schema_inference import propose_schema


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
    assert [(task.name, task.kind) for task in proposal.schema.tasks] == [
        ("bought", "binary"),
        ("minutes_watched", "regression"),
    ]


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
        "nested": "a ranker does not read struct<a: int64>. Convert the column to numbers or strings.",
    }


def test_named_labels_replace_guessed_ones(shop_log):
    proposal = propose_schema(str(shop_log), labels=["weekday"])
    assert [task.name for task in proposal.schema.tasks] == ["weekday"]
    assert "bought" in {feature.name for feature in proposal.schema.features}


def test_a_sample_can_be_smaller_than_the_log(shop_log):
    proposal = propose_schema(str(shop_log), rows=400)
    assert (proposal.rows, proposal.sampled_rows) == (4000, 400)


def test_a_path_without_a_log_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        propose_schema(str(tmp_path / "nowhere"))
