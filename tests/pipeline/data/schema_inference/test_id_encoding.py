from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from steadyrank.pipeline.data.schema_inference.id_encoding import (
    choose_embedding_width,
    choose_hash_buckets,
    choose_string_encoding,
    count_strings,
    has_id_name,
)


def encode(distinct: int, count: int = 9, column: str = "country") -> dict:
    return choose_string_encoding([f"w{i}" for i in range(distinct)], np.full(distinct, count), column)


def test_few_frequent_strings_become_a_vocabulary():
    assert encode(3) == {"vocabulary": ("w0", "w1", "w2")}
    assert choose_string_encoding(["a", ""], np.array([9, 9]), "x") == {"vocabulary": ("a",)}


@pytest.mark.parametrize(
    ("arguments", "encoding"),
    [
        ({"distinct": 50, "count": 1}, {"vocabulary_size": 80}),
        ({"distinct": 101}, {"vocabulary_size": 200}),
        ({"distinct": 10_001}, {"hash_buckets": 32_768}),
        ({"distinct": 3, "column": "user_id"}, {"hash_buckets": 16}),
    ],
)
def test_more_strings_are_collected_in_training_or_hashed(arguments, encoding):
    assert encode(**arguments) == encoding


@pytest.mark.parametrize(("distinct", "buckets"), [(1, 16), (100, 256), (1 << 30, 1 << 20)])
def test_hash_buckets_are_a_power_of_two_within_bounds(distinct, buckets):
    assert choose_hash_buckets(distinct) == buckets


def test_more_values_get_a_wider_embedding():
    assert [choose_embedding_width(distinct) for distinct in (10, 11, 1000, 1001)] == [4, 8, 8, 16]


@pytest.mark.parametrize(
    ("name", "expected"), [("user_id", True), ("ZIP", True), ("itemid2", True), ("age", False), ("valid_from", False)]
)
def test_names_of_ids_are_recognized(name, expected):
    assert has_id_name(name) == expected


def test_strings_are_counted_the_most_frequent_first_and_ties_by_value():
    words, counts = count_strings(pa.array(["b", "c", "a", "c", None]))
    assert (words, counts.tolist()) == (["c", "a", "b"], [2, 1, 1])
