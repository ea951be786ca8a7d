from __future__ import annotations

import pytest

from steadyrank.pipeline.reporting.figures.cell_map import shorten


@pytest.mark.parametrize(("letters", "expected"), [(10, "abcdefghij"), (9, "abcd…ghij"), (4, "a…ij")])
def test_a_long_text_loses_its_middle(letters, expected):
    text = shorten("abcdefghij", letters)
    assert text == expected
    assert len(text) == letters
