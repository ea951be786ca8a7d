from __future__ import annotations

import pyarrow as pa

from steadyrank.pipeline.data.schema_inference.text_columns import propose_text_column


def test_strings_become_a_categorical_feature():
    feature = propose_text_column("country", pa.array(["de", "fr", "de", "fr"]), "").feature
    assert (feature.kind, feature.dtype, feature.vocabulary) == ("categorical", "string", ("de", "fr"))


def test_bytes_that_are_not_utf_8_are_no_error():
    proposal = propose_text_column("code", pa.array([b"\xff", b"a", b"a"], pa.binary()), "")
    assert proposal.feature.hash_buckets == 16


def test_a_constant_and_a_unique_column_are_left_out():
    constant = propose_text_column("version", pa.array(["v1"] * 9), "")
    assert constant.exclusion_reason == "the same value in every row."
    assert constant.summary == "strings of up to 2 characters, 1 different value"
    unique = propose_text_column("row", pa.array([f"r{i}" for i in range(2000)]), "")
    assert unique.exclusion_reason.startswith("different in almost every row.")


def test_a_column_of_empty_strings_is_left_out():
    proposal = propose_text_column("note", pa.array(["", "", None]), ", 33.3% missing")
    assert proposal.feature is None
    assert proposal.summary == "strings of up to 0 characters, 1 different value, 33.3% missing"
    assert proposal.exclusion_reason == "every string is empty, which means a missing value."
