from __future__ import annotations

import keyword

import pytest

from steadyrank.pipeline.data.schema_inference.column_proposal import (
    make_feature,
    make_task,
    make_unique_names,
    make_valid_name,
)


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
    assert make_task("a b", "binary").label == "a b"
    assert make_task("ab", "binary").label == "ab"


@pytest.mark.parametrize(
    "columns",
    [
        ["age (years)", "age [years]", "age", "age__years_"],
        ["Age", "age", "AGE"],
        ["年龄", "城市", "___"],
        ["class", "class_", "self", "self_"],
        ["", " ", "_", "x_"],
        ["a", "a.b", "a b", "a_b", "A_B"],
    ],
)
def test_names_are_unique_also_in_lower_case_and_do_not_depend_on_the_order(columns):
    names = make_unique_names(columns)
    assert list(names) == columns
    assert len({name.lower() for name in names.values()}) == len(columns)
    assert make_unique_names(columns[::-1]) == names
    for name in names.values():
        assert make_valid_name(name) == name


def test_a_valid_name_is_kept():
    assert make_unique_names(["age [years]", "age__years_", "b"]) == {
        "age [years]": "age__years__0cee",
        "age__years_": "age__years_",
        "b": "b",
    }
