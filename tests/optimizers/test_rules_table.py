"""The table of rules in the documentation is made from the rules themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyrank.optimizers import RULES
from steadyrank.optimizers.rules_table import format_rules_table, update_rules_table

PAGE = Path(__file__).parents[2] / "docs" / "optimizers.md"


def test_the_table_has_a_row_for_each_rule():
    rows = format_rules_table().splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| `{name}`" for name in RULES]
    assert all(row.replace("\\|", "").count("|") == 7 for row in rows)


@pytest.mark.parametrize("name", RULES)
def test_each_rule_documents_itself(name):
    rule = RULES[name]
    assert rule.formula
    assert rule.reference
    assert rule.__doc__.strip()


def test_the_page_agrees_with_the_rules():
    table = PAGE.read_text(encoding="utf-8").split("<!-- rules table -->")[1].split("<!-- end")[0]
    rows = table.strip().splitlines()
    assert len(rows) >= 8
    assert not set(rows) - set(format_rules_table().splitlines()), (
        "run python -m steadyrank.optimizers.rules_table docs/optimizers.md"
    )


def test_updating_a_page_replaces_the_table_only():
    page = "before\n<!-- rules table -->\nold\n<!-- end of rules table -->\nafter\n"
    updated = update_rules_table(page)
    assert updated.startswith("before\n")
    assert updated.endswith("\nafter\n")
    assert "old" not in updated
    assert format_rules_table() in updated
    assert update_rules_table(updated) == updated


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="<!-- rules table -->"):
        update_rules_table("# Optimizers\n")
