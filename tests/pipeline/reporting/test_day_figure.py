from __future__ import annotations

import base64
import io
import math
import re
import xml.etree.ElementTree as ET

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.reporting.day_figure import USES, Column, Row, draw_days, scaled
from steadyrank.pipeline.reporting.days import LEAST, MOST
from steadyrank.pipeline.reporting.figures import ORANGE
from steadyrank.pipeline.reporting.svg import INK

EVIL = "<b>$x_1$ & 'y'</b>"


def days(*uses: str, found: bool = False, rows: float | None = 100.0) -> list[Column]:
    return [Column(f"d{place:02d}", rows, use, found) for place, use in enumerate(uses)]


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def cells(svg: str) -> np.ndarray:
    data = re.search(r'href="data:image/png;base64,([^"]*)"', svg)
    return np.asarray(matplotlib.image.imread(io.BytesIO(base64.b64decode(data[1])), format="png"))


ANY = st.one_of(st.floats(), st.sampled_from([0.0, 5e-324, 1.8e308, math.nan, math.inf, -math.inf]))
DAY = st.builds(
    Column,
    st.text(max_size=20),
    st.none() | st.floats(min_value=0, allow_infinity=False),
    st.sampled_from(["training", "holdout", "skipped", "odd", ""]),
    st.booleans(),
)


@settings(max_examples=25, deadline=None)
@given(drawn=st.lists(DAY, min_size=1, max_size=5), shifts=st.lists(ANY, min_size=5, max_size=5), wide=st.booleans())
def test_any_days_give_a_whole_figure(drawn, shifts, wide):
    # The characters that XML cannot hold are nobody's day.
    drawn = [Column("".join(filter(str.isprintable, day.name)), day.rows, day.use, day.found) for day in drawn]
    row = Row("age", np.array(shifts[: len(drawn)]), flagged=[0])
    for rows in ([row], []):
        ET.fromstring(draw_days("d", drawn, rows, label="day", wide=wide))


@pytest.mark.parametrize("wide", [True, False])
def test_names_are_text_and_no_markup_or_formula(wide):
    svg = draw_days("d", [Column("<i>", 1.0, EVIL, True)], [Row(EVIL, np.ones(1))], label=EVIL, wide=wide)
    ET.fromstring(svg)
    assert "<b>" not in svg
    assert texts(svg).count("&lt;b&gt;$x_1$ &amp; 'y'&lt;/b&gt;") == 2


def test_more_is_orange_less_is_blue_and_what_did_not_move_is_light():
    svg = draw_days(
        "d", days(*["training"] * 4), [Row("age", np.array([math.nan, 0.01, 50.0, -50.0]))], label="day", wide=True
    )
    picture = cells(svg)
    columns = np.array_split(picture[picture.shape[0] // 2], 4)
    unknown, still, more, less = (column[len(column) // 2] for column in columns)
    assert unknown[3] == 0, "what is not known is no colour"
    assert still[:3].mean() > 0.9
    assert more[0] > more[2] + 0.2
    assert less[2] > less[0] + 0.2


def test_the_scale_is_logarithmic_and_the_same_both_ways():
    middle = math.sqrt(LEAST * MOST)
    values = np.array([0.0, LEAST / 2, LEAST, middle, MOST, 1e300, math.inf])
    assert scaled(values) == pytest.approx([0, 0, 0, 0.5, 1, 1, 1])
    assert scaled(-values) == pytest.approx(-scaled(values))
    assert np.isnan(scaled(np.array([math.nan]))).all()


def drawn_signs(svg: str, color: str) -> int:
    return len(re.findall(rf"<use [^>]*(?:fill|stroke): {color}", svg))


def test_a_day_with_findings_is_marked_and_one_that_was_left_out_by_that_alone():
    def signs(*args, **options):
        svg = draw_days("d", days(*args, **options), [], label="day", wide=True)
        return drawn_signs(svg, ORANGE), drawn_signs(svg, USES["skipped"])

    assert signs("training", "holdout") == (0, 0)
    assert signs("training", "holdout", found=True) == (2, 0)
    assert signs("training", "skipped", found=True) == (1, 1)


def test_a_ring_stands_in_each_flagged_cell():
    def rings(flagged):
        svg = draw_days("d", days("training", "training"), [Row("age", np.ones(2), flagged)], label="day")
        return drawn_signs(svg, INK)

    assert (rings([]), rings([1]), rings([0, 1])) == (0, 1, 2)


def bars(svg: str) -> list[str]:
    colors = "|".join(USES.values())
    return re.findall(rf'<path d="[^"]*z[^"]*" clip-path[^>]*style="((?:fill: (?:{colors}|none))[^"]*)"', svg)


def test_bars_take_the_colour_of_the_days_use_and_are_hollow_where_it_was_left_out():
    found = bars(draw_days("d", days("training", "holdout", "skipped"), [], label="day"))
    assert [f"fill: {USES['trained']}" in found[0], f"fill: {USES['held out']}" in found[1]] == [True, True]
    assert "fill: none" in found[2]
    assert f"stroke: {USES['left out']}" in found[2]


def test_without_rows_there_are_no_bars():
    svg = draw_days("d", days("training", "holdout", rows=None), [Row("age", np.ones(2))], label="day")
    assert "Rows" not in texts(svg)
    assert 'aria-label="shift' in svg


def test_of_many_days_as_many_are_named_as_have_room():
    for many in (3, 90):
        svg = draw_days("d", days(*["training"] * many), [], label="day")
        named = [text for text in texts(svg) if re.fullmatch(r"d\d\d", text)]
        assert named[0] == "d00"
        assert len(named) == 3 if many == 3 else 6 <= len(named) <= 24


def test_equal_input_gives_equal_text():
    row = Row("age", np.array([0.5, 2.0]), [1])
    one, other = (draw_days("d", days("training", "skipped"), [row], label="day", wide=True) for _ in range(2))
    assert one == other
