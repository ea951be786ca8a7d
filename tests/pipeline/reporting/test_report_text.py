from __future__ import annotations

import math

from steadyrank.pipeline.reporting.report_text import (
    UNKNOWN,
    capitalize_first,
    format_count,
    format_decimal,
    format_gap_share,
    format_plain,
    format_steps,
)


def test_counts_have_thousands_separators():
    assert [format_count(65536), format_count(None), format_count(math.nan)] == ["65,536", UNKNOWN, "not finite"]


def test_decimals_have_four_significant_digits_by_default():
    values = [format_decimal(0.73125, 4), format_decimal(0.583), format_decimal(8e12), format_decimal(None)]
    assert values == ["0.7312", "0.5830", "8e12", UNKNOWN]
    assert format_decimal(math.nan) == "not finite (nan)"
    assert [format_decimal(8e9), format_decimal(2e-6)] == ["8e9", "2e\N{MINUS SIGN}6"]
    assert format_decimal(-0.5, 1) == "\N{MINUS SIGN}0.5"


def test_a_gap_share_far_outside_of_the_gap_is_off_the_scale():
    assert [format_gap_share(0.934), format_gap_share(-0.2), format_gap_share(-1e9)] == [
        "93%",
        "\N{MINUS SIGN}20%",
        "off the scale",
    ]


def test_one_step_is_not_a_range():
    assert [format_steps(257, 288), format_steps(1000, 1000)] == ["257\N{EN DASH}288", "1,000"]


def test_plain_values_read_like_a_configuration():
    assert (
        format_plain({"layers": [64, 32], "explain": True, "rate": 0.1}) == "layers: 64, 32, explain: true, rate: 0.1"
    )
    assert [format_plain(value) for value in (None, "", [], {})] == [UNKNOWN] * 4
    assert [format_plain(0.123456789), format_plain(math.inf)] == ["0.123456789", "not finite (inf)"]


def test_only_the_first_letter_is_capitalized():
    assert [capitalize_first("the AUC"), capitalize_first("")] == ["The AUC", ""]
