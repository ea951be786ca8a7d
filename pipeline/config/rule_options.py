"""The options of a clipping rule, as settings.

The options of a rule are the fields of its dataclass in :mod:`steadyrank.optimizers.rules`. A new rule therefore needs
no change here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from ...optimizers.rules import RULES
from .tree import as_number
from .validation import suggest

RuleOptions: TypeAlias = Mapping[str, float | int | bool | str]
"""Values by option name, such as ``{"relative": 0.5, "granularity": "row"}``."""


def read_rule_options(rule: str, options: RuleOptions) -> dict[str, float | int | bool | str]:
    """Converts text to a number if the option is a number, because values on the command line are text.

    A value that cannot be converted is returned unchanged; :func:`find_rule_problems` reports it.

    Example:
    >>> read_rule_options("clippy", {"relative": "0.25", "granularity": "row"})
    {'relative': 0.25, 'granularity': 'row'}
    """
    types = {name: type(default) for name, default in _defaults(rule).items()}
    return {
        name: as_number(types[name], value) if types.get(name) in (int, float) else value
        for name, value in options.items()
    }


def find_rule_problems(rule: str, options: RuleOptions, where: str) -> Iterator[str]:
    """Yields one line for each option that the rule does not have or does not accept.

    Args:
      rule: The rule's name. For an unknown rule, the function yields nothing, because another check reports the name.
      options: The options.
      where: Dotted path of the options.

    Example:
    >>> list(find_rule_problems("gc", {"treshold": 1.0}, "optimizer.rule_options"))
    ["optimizer.rule_options: rule gc has no option 'treshold'; did you mean 'threshold'?"]
    """
    if rule not in RULES:
        return
    known = list(_defaults(rule))
    for name, value in options.items():
        if name not in known:
            expected = f"; its options are {', '.join(known)}" if known else "; it has no options"
            yield f"{where}: rule {rule} has no option {name!r}{suggest(name, known) or expected}"
            continue
        try:
            RULES[rule](**{name: value})
        except ValueError as error:
            yield f"{where}: {error}"


def describe_rule_options() -> str:
    """Lists the options of every rule with their defaults, for ``--help``."""
    described = []
    for rule in RULES:
        options = ", ".join(f"{name}={default}" for name, default in _defaults(rule).items())
        described.append(f"{rule}: {options or 'none'}")
    return f"Options with their defaults: {'; '.join(described)}."


def _defaults(rule: str) -> dict[str, Any]:
    return {field.name: field.default for field in dataclasses.fields(RULES[rule])} if rule in RULES else {}
