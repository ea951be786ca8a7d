from __future__ import annotations

import numpy as np
import pytest

from steadyrank.pipeline.data.columns import DictionaryColumn, count_rows, decode_columns

COUNTRIES = DictionaryColumn(np.array([b"de", b"fr", b""]), np.array([[1, 0], [2, 1], [0, 0]], np.int32))


def test_a_dictionary_column_decodes_to_its_strings():
    assert COUNTRIES.decode().tolist() == [[b"fr", b"de"], [b"", b"fr"], [b"de", b"de"]]


@pytest.mark.parametrize("rows", [slice(1, 3), [2, 0], np.array([True, False, True])])
def test_rows_of_a_dictionary_column_are_those_of_the_decoded_one(rows):
    np.testing.assert_array_equal(COUNTRIES[rows].decode(), COUNTRIES.decode()[rows])


def test_columns_are_decoded_and_arrays_kept():
    ages = np.array([1.0, 2.0, 3.0])
    decoded = decode_columns({"country": COUNTRIES, "age": ages})
    assert decoded["country"].shape == (3, 2)
    assert decoded["age"] is ages


def test_rows_are_counted_whichever_column_comes_first():
    ages = np.zeros(3)
    assert count_rows({"country": COUNTRIES, "age": ages}) == count_rows({"age": ages, "country": COUNTRIES}) == 3
