"""Reads a page of HTML and the SVG figures in it."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import matplotlib.image
import numpy as np

_VOID = {"meta", "link", "br", "img", "hr", "input"}


class ParsedPage(HTMLParser):
    """The tags, ids, links and text of a page.

    Raises:
      AssertionError: If the tags are not balanced.
    """

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open_tags: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self._words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open_tags == []

    def handle_starttag(self, tag, attributes):
        self._record(tag, attributes)
        if tag not in _VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag, attributes):
        self._record(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        if self.open_tags and self.open_tags[-1] != "style":
            self._words.append(data)

    def _record(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "action", "srcset", "data"):
                self.links.append(value)

    @property
    def text(self) -> str:
        """All text of the page, with single spaces."""
        return re.sub(r"\s+", " ", " ".join(self._words))


def find_figure(page: str, title: str, unit: str = "loss") -> str:
    """The figure of a task, by its label for screen readers."""
    figures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    (found,) = [figure for figure in figures if f'aria-label="{title}: {unit} over' in figure]
    return found


def find_wide_figure(page: str) -> str:
    """The only figure that spans the page."""
    (figure,) = re.findall(r'<figure class="wide">(.*?)</figure>', page)
    return figure


def read_texts(svg: str) -> list[str]:
    """The texts of a figure."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def read_cells(svg: str) -> np.ndarray:
    """The colors of a map's cells, as rows of red, green, blue and opacity."""
    data = re.search(r'href="data:image/png;base64,([^"]*)"', svg)
    assert data is not None
    return np.asarray(matplotlib.image.imread(io.BytesIO(base64.b64decode(data[1])), format="png"))
