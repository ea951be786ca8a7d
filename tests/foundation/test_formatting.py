from __future__ import annotations

import pytest

from steadyrank.foundation.formatting import first_line, format_duration, format_percent, join_words, pluralize


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (42, "42 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_durations_have_the_two_largest_units(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (1e-9, "less than 0.01 %"),
        (0.0002, "0.02 %"),
        (0.0009, "0.09 %"),
        (0.001, "0.1 %"),
        (0.0081, "0.8 %"),
        (0.05, "5.0 %"),
        (0.0994, "9.9 %"),
        (0.0996, "10 %"),
        (0.341, "34 %"),
        (1.0, "100 %"),
    ],
)
def test_small_percentages_have_the_decimals_that_they_need(share, text):
    assert format_percent(share) == text


@pytest.mark.parametrize(
    ("words", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"), ([], "")]
)
def test_words_are_joined_with_commas_and_a_final_and(words, text):
    assert join_words(words) == text


def test_a_noun_is_singular_only_after_one():
    assert [pluralize(count, "row") for count in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]
    assert [pluralize(count, "anomaly", "anomalies") for count in (1, 2)] == ["1 anomaly", "2 anomalies"]


def test_an_error_without_a_message_is_named_by_its_type():
    assert first_line(ValueError("first\nsecond")) == "first"
    assert first_line(ValueError(" ")) == "ValueError"
