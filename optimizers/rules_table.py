"""Generates the table of rules in the documentation from the attributes of each rule.

python -m steadyrank.optimizers.rules_table docs/optimizers.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from .rules import RULES

_BEGIN, _END = "<!-- rules table -->", "<!-- end of rules table -->"


def format_rules_table() -> str:
    """Formats the rules as a Markdown table, sorted by name.

    Example:
    >>> print(format_rules_table().splitlines()[0])
    | rule | class | sigma | scales | one sigma for each | reference |
    """
    lines = ["| rule | class | sigma | scales | one sigma for each | reference |", "|---|---|---|---|---|---|"]
    scaled = {"before": "the gradient", "after": "the step"}
    for name, rule in RULES.items():
        formula = rule.formula.replace("|", "\\|")
        # The default comes first.
        orders = dict.fromkeys((rule.order, *rule.orders))
        scales = " or ".join(scaled[order] for order in orders) if name != "none" else ""
        shared = ", ".join(rule.granularities) if name != "none" else ""
        lines.append(f"| `{name}` | `{rule.__name__}` | {formula} | {scales} | {shared} | {rule.reference} |")
    return "\n".join(lines) + "\n"


def update_rules_table(page: str) -> str:
    """Returns a documentation page with its table of rules replaced.

    Raises:
      ValueError: If the page has no markers around the table.
    """
    if _BEGIN not in page or _END not in page:
        raise ValueError(f"the page must contain the lines {_BEGIN} and {_END} around the table of rules")
    before, _, table_and_after = page.partition(_BEGIN)
    _, _, after = table_and_after.partition(_END)
    return f"{before}{_BEGIN}\n\n{format_rules_table()}\n{_END}{after}"


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        path = Path(argument)
        path.write_text(update_rules_table(path.read_text(encoding="utf-8")), encoding="utf-8")
