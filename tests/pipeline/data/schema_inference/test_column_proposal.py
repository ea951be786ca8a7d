from __future__ import annotations

import keyword

import pytest

from steadyrank.pipeline.data.schema_inference.column_proposal import make_feature, make_task, make_valid_name


@pytest.mark.parametrize(
    ("column", "name"), [("age", "age"), ("Größe", "Gr__e"), ("_x", "x__x"), ("2", "x_2"), ("", "x_")]
)
def test_names_are_made_valid(column, name):
    assert make_valid_name(column) == name


@pytest.mark.parametrize("column", [*keyword.kwlist, "self"])
def test_a_column_named_like_a_keyword_is_kept_as_the_column_of_a_feature(column):
    feature = make_feature(column, "numerical")
    assert (feature.name, feature.log_column) == (f"{column}_", column)


def test_a_renamed_column_is_kept_as_the_column_of_the_log():
    assert make_feature("a b", "numerical").column == "a b"
    assert make_feature("ab", "numerical").column == ""
    assert make_task("a b", "binary", 1.0).label == "a b"
    assert make_task("ab", "binary", 1.0).label == "ab"
