"""The schema: its columns, its plain form, and the mistakes that it rejects."""

from __future__ import annotations

import time

import pytest

from steadyrank.models import Feature, Schema, Task


def click() -> tuple[Task, ...]:
    return (Task("click", "binary"),)


def test_the_columns_are_the_features_and_then_the_labels():
    schema = Schema(
        (
            Feature("age", "numerical"),
            Feature("scores", "numerical", width=3),
            Feature("country", "categorical", dtype="string", vocabulary=("de", "fr")),
            Feature("history", "bag", width=5, num_ids=10),
        ),
        (Task("click", "binary"), Task("minutes", "regression", label="seen")),
    )
    assert schema.columns == {
        "age": ("float32", ()),
        "scores": ("float32", (3,)),
        "country": ("string", ()),
        "history": ("int64", (5,)),
        "click": ("float32", ()),
        "seen": ("float32", ()),
    }
    assert list(schema.columns)[-2:] == ["click", "seen"]


def test_the_plain_form_omits_defaults():
    feature = Feature("country", "categorical", dtype="string", vocabulary=("de",))
    schema = Schema((feature,), (Task("click", "binary", weight=2.0),))
    assert schema.to_dict() == {
        "features": [{"name": "country", "kind": "categorical", "dtype": "string", "vocabulary": ["de"]}],
        "tasks": [{"name": "click", "kind": "binary", "label": "click", "weight": 2.0}],
    }


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Feature("no-dash", "numerical"), "letters, digits and underscores"),
        (lambda: Feature("class", "numerical"), "cannot be named 'class'.*; use name: class_ and column: class"),
        (lambda: Feature("None", "numerical", column="n"), "cannot be named 'None'.*; use name: None_ and column: n"),
        (lambda: Feature("self", "bag", num_ids=3), "cannot be named 'self'"),
        (lambda: Feature("x", "bag", num_ids=3, table="my table"), "letters, digits and _ . / -, got 'my table'"),
        (
            lambda: Schema((Feature("age", "numerical"), Feature("Age", "numerical")), click()),
            "the features 'age' and 'Age' differ only in case",
        ),
        (lambda: Feature("x", "numeric"), "kind must be one of numerical, categorical, bag, got 'numeric'"),
        (lambda: Feature("x", "numerical", dtype="int64"), "dtype of a numerical feature must be one of float32"),
        (
            lambda: Feature("x", "categorical"),
            "exactly one of vocabulary, vocabulary_size, num_ids and hash_buckets, got none",
        ),
        (lambda: Feature("x", "bag", num_ids=3, hash_buckets=3), "got num_ids and hash_buckets"),
        (lambda: Feature("x", "categorical", num_ids=3, width=2), "width of a categorical feature must be 1"),
        (
            lambda: Feature("x", "categorical", vocabulary=("a",)),
            "a vocabulary for dtype int64 must contain int values",
        ),
        (lambda: Feature("x", "categorical", vocabulary=(1, 1)), "holds 1 twice"),
        (lambda: Feature("x", "categorical", dtype="string", num_ids=3), "num_ids needs dtype int64"),
        (lambda: Feature("x", "categorical", num_ids=-1), "num_ids must be positive, got -1"),
        (lambda: Feature("x", "categorical", num_ids=3, embedding_width=0), "embedding_width must be positive, got 0"),
        (lambda: Feature("x", "numerical", default=float("nan")), "default must be a finite number, got nan"),
        (lambda: Task("t", "binary", weight=0.0), "weight must be a finite number above 0"),
        (lambda: Task("t", "ranking"), "kind must be one of binary, regression"),
        (lambda: Schema((), click()), "at least one feature"),
        (lambda: Schema((Feature("click", "numerical"),), click()), "both a feature and a label"),
        (lambda: Schema((Feature("x", "numerical"),) * 2, click()), "two features are named 'x'"),
        (
            lambda: Schema(
                (Feature("v", "categorical", num_ids=3), Feature("h", "bag", num_ids=4, table="v")), click()
            ),
            "share the table 'v', so they must agree",
        ),
    ],
)
def test_a_mistake_is_refused_in_one_line(make, problem):
    with pytest.raises(ValueError, match=problem) as error:
        make()
    assert "\n" not in str(error.value)


def test_a_repeated_value_of_a_long_vocabulary_is_found_in_linear_time():
    words = tuple(f"w{i}" for i in range(200_000))
    start = time.perf_counter()
    with pytest.raises(ValueError, match="the vocabulary holds 'w199999' twice"):
        Feature("f", "categorical", dtype="string", vocabulary=(*words, words[-1]))
    # A search of the list for each value takes minutes.
    assert time.perf_counter() - start < 5
