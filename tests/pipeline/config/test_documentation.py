"""The page on the configuration lists every setting and every preset."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyrank.pipeline.config.presets import PRESETS
from steadyrank.pipeline.config.settings import Config
from steadyrank.pipeline.config.text import to_text
from steadyrank.pipeline.config.tree import leaves

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", leaves(Config))
def test_the_page_lists_every_setting_with_its_default(path):
    value = Config()
    for name in path.split("."):
        value = getattr(value, name)
    default = f"`{to_text(value)}`" if to_text(value) else "empty"
    assert f"| `{path}` | {default} |" in PAGE


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_lists_every_preset(name):
    assert f"| `{name}` |" in PAGE
