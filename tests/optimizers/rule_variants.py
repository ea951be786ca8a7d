"""Instances of every rule in :data:`steadyrank.optimizers.RULES`, made from its fields, so that a new rule is tested as well."""

from __future__ import annotations

import dataclasses
from typing import Any

from steadyrank.optimizers import RULES, Rule


def list_variants(name: str) -> list[Rule]:
    """A rule with its defaults, and with every granularity and order that it accepts."""
    rule = RULES[name]
    options = {field.name for field in dataclasses.fields(rule)}
    granularities = rule.granularities if "granularity" in options else (None,)
    orders = rule.orders if "order" in options else (None,)
    return [
        rule(**{key: value for key, value in (("granularity", granularity), ("order", order)) if value is not None})
        for granularity in granularities
        for order in orders
    ]


def change_every_option(name: str) -> Rule:
    """A rule without any default among its values."""
    rule = RULES[name]
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(rule):
        choices = {"granularity": rule.granularities, "order": rule.orders}.get(field.name)
        if choices is not None:
            changed[field.name] = next(choice for choice in choices if choice != field.default)
        elif isinstance(field.default, int):
            changed[field.name] = field.default + 1
        else:
            changed[field.name] = 0.75 * field.default + 0.1
    return rule(**changed)


VARIANTS = [variant for name in RULES for variant in list_variants(name)]
"""Every rule, with every granularity and order."""
