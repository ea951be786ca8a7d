"""Durations, percentages, counts, lists and error messages as text."""

from __future__ import annotations

import pytest

from steadyrank.foundation.formatting import first_line, format_duration, format_percent, join_words, pluralize


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (3_600_000, "1,000 h 00 min"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.34, "34%"),
        (0.0994, "9.9%"),
        (0.0996, "10%"),
        (0.00095, "0.1%"),
        (0.00094, "0.09%"),
        (0.0001, "0.01%"),
        (0.00009, "less than 0.01%"),
        (1.5, "150%"),
    ],
)
def test_a_percentage_has_decimals_only_where_it_is_small(share, text):
    assert format_percent(share) == text


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_words_are_joined_as_in_english(words, text):
    assert join_words(words) == text


def test_a_count_has_its_singular_or_plural():
    assert [pluralize(count, "row") for count in (0, 1, 2, 1200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]
    assert pluralize(2, "anomaly", "anomalies") == "2 anomalies"


def test_the_first_line_of_an_error_is_its_message_or_its_type():
    assert first_line(ValueError("first\nsecond")) == "first"
    assert first_line(ValueError()) == "ValueError"
    assert first_line(ValueError("  ")) == "ValueError"
