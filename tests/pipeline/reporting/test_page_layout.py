from __future__ import annotations

import pytest

from steadyrank.pipeline.reporting.page_layout import (
    escape,
    make_badge,
    make_details,
    make_legend,
    make_number_cell,
    make_panels,
    make_paragraph,
    make_responsive_figure,
    make_section,
)
from tests.pipeline.reporting.page_parser import ParsedPage
from tests.pipeline.reporting.records import HOSTILE_TEXT


@pytest.mark.parametrize(
    "html",
    [
        escape(HOSTILE_TEXT),
        make_section(HOSTILE_TEXT, ""),
        make_paragraph(HOSTILE_TEXT),
        make_details(HOSTILE_TEXT, ""),
        make_number_cell(HOSTILE_TEXT, HOSTILE_TEXT),
        make_legend([("<circle/>", HOSTILE_TEXT)]),
        make_badge("good", HOSTILE_TEXT),
    ],
)
def test_text_is_escaped(html):
    page = ParsedPage(f"<div>{html}</div>")
    assert "script" not in page.tags
    assert HOSTILE_TEXT in page.text


def test_nothing_gives_no_markup():
    assert [make_paragraph(""), make_panels([]), make_legend([])] == ["", "", ""]


def test_a_responsive_figure_is_drawn_for_page_and_phone_with_ids_of_its_own():
    html = make_responsive_figure(lambda *, name, wide: f"<svg id='{name}' class='{wide}'></svg>", "loss")
    assert ParsedPage(html).ids == ["loss-wide", "loss-narrow"]
    assert html.index("class='True'") < html.index("class='False'")
