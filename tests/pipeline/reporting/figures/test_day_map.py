from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.analysis.column_shifts import LARGEST_SHIFT, SMALLEST_SHIFT
from steadyrank.pipeline.reporting.figures.day_map import USE_COLORS, DayColumn, ShiftRow, draw_day_map, scale_shifts
from steadyrank.pipeline.reporting.figures.palette import INK, ORANGE
from tests.pipeline.reporting.page_parser import read_cells, read_texts
from tests.pipeline.reporting.strategies import NUMBERS

HOSTILE_NAME = "<b>$x_1$ & 'y'</b>"


def make_days(*uses: str, has_anomalies: bool = False, rows: float | None = 100.0) -> list[DayColumn]:
    return [DayColumn(f"d{index:02d}", rows, use, has_anomalies) for index, use in enumerate(uses)]


DAY = st.builds(
    DayColumn,
    st.text(max_size=20),
    st.none() | st.floats(min_value=0, allow_infinity=False),
    st.sampled_from(["training", "holdout", "skipped", "odd", ""]),
    st.booleans(),
)


@settings(max_examples=25, deadline=None)
@given(days=st.lists(DAY, min_size=1, max_size=5), shifts=st.lists(NUMBERS, min_size=5, max_size=5), wide=st.booleans())
def test_any_days_give_a_complete_figure(days, shifts, wide):
    # No day has a character in its name that XML cannot hold.
    days = [DayColumn("".join(filter(str.isprintable, day.name)), day.rows, day.use, day.has_anomalies) for day in days]
    row = ShiftRow("age", np.array(shifts[: len(days)]), flagged=[0])
    for rows in ([row], []):
        ET.fromstring(draw_day_map("d", days, rows, label="day", wide=wide))


@pytest.mark.parametrize("wide", [True, False])
def test_a_name_is_neither_markup_nor_formula(wide):
    svg = draw_day_map(
        "d",
        [DayColumn("<i>", 1.0, HOSTILE_NAME, True)],
        [ShiftRow(HOSTILE_NAME, np.ones(1))],
        label=HOSTILE_NAME,
        wide=wide,
    )
    ET.fromstring(svg)
    assert "<b>" not in svg
    assert read_texts(svg).count("&lt;b&gt;$x_1$ &amp; 'y'&lt;/b&gt;") == 2


def test_increases_are_orange_decreases_are_blue_and_no_shift_is_light():
    svg = draw_day_map(
        "d",
        make_days(*["training"] * 4),
        [ShiftRow("age", np.array([math.nan, 0.01, 50.0, -50.0]))],
        label="day",
        wide=True,
    )
    picture = read_cells(svg)
    columns = np.array_split(picture[picture.shape[0] // 2], 4)
    unknown, still, increase, decrease = (column[len(column) // 2] for column in columns)
    assert unknown[3] == 0, "an unknown shift has no color"
    assert still[:3].mean() > 0.9
    assert increase[0] > increase[2] + 0.2
    assert decrease[2] > decrease[0] + 0.2


def test_the_scale_is_logarithmic_and_the_same_in_both_directions():
    middle = math.sqrt(SMALLEST_SHIFT * LARGEST_SHIFT)
    values = np.array([0.0, SMALLEST_SHIFT / 2, SMALLEST_SHIFT, middle, LARGEST_SHIFT, 1e300, math.inf])
    assert scale_shifts(values) == pytest.approx([0, 0, 0, 0.5, 1, 1, 1])
    assert scale_shifts(-values) == pytest.approx(-scale_shifts(values))
    assert np.isnan(scale_shifts(np.array([math.nan]))).all()


def count_signs(svg: str, color: str) -> int:
    return len(re.findall(rf"<use [^>]*(?:fill|stroke): {color}", svg))


def test_a_day_with_anomalies_is_marked_but_a_skipped_day_has_only_its_own_mark():
    def count(*args, **options):
        svg = draw_day_map("d", make_days(*args, **options), [], label="day", wide=True)
        return count_signs(svg, ORANGE), count_signs(svg, USE_COLORS["skipped"])

    assert count("training", "holdout") == (0, 0)
    assert count("training", "holdout", has_anomalies=True) == (2, 0)
    assert count("training", "skipped", has_anomalies=True) == (1, 1)


def test_each_flagged_cell_has_a_ring():
    def count(flagged):
        svg = draw_day_map("d", make_days("training", "training"), [ShiftRow("age", np.ones(2), flagged)], label="day")
        return count_signs(svg, INK)

    assert (count([]), count([1]), count([0, 1])) == (0, 1, 2)


def find_bars(svg: str) -> list[str]:
    colors = "|".join(USE_COLORS.values())
    return re.findall(rf'<path d="[^"]*z[^"]*" clip-path[^>]*style="((?:fill: (?:{colors}|none))[^"]*)"', svg)


def test_a_bar_has_the_color_of_the_use_of_its_day_and_is_hollow_if_the_day_was_skipped():
    bars = find_bars(draw_day_map("d", make_days("training", "holdout", "skipped"), [], label="day"))
    assert [f"fill: {USE_COLORS['training']}" in bars[0], f"fill: {USE_COLORS['holdout']}" in bars[1]] == [True, True]
    assert "fill: none" in bars[2]
    assert f"stroke: {USE_COLORS['skipped']}" in bars[2]


def test_if_the_rows_are_unknown_there_are_no_bars():
    svg = draw_day_map("d", make_days("training", "holdout", rows=None), [ShiftRow("age", np.ones(2))], label="day")
    assert "Rows" not in read_texts(svg)
    assert 'aria-label="shift' in svg


def test_as_many_days_are_named_as_fit():
    for count in (3, 90):
        svg = draw_day_map("d", make_days(*["training"] * count), [], label="day")
        named = [text for text in read_texts(svg) if re.fullmatch(r"d\d\d", text)]
        assert named[0] == "d00"
        assert len(named) == 3 if count == 3 else 6 <= len(named) <= 24


def test_equal_input_gives_equal_text():
    row = ShiftRow("age", np.array([0.5, 2.0]), [1])
    first, second = (
        draw_day_map("d", make_days("training", "skipped"), [row], label="day", wide=True) for _ in range(2)
    )
    assert first == second
