"""The rules that bound Adagrad's steps, one module per rule.

In the notation of the paper, Adagrad takes the step ``w <- w - eta * r`` with ``r = g / sqrt(G + epsilon)`` and
``G <- G + g^2``. A rule chooses a factor sigma for each variable, and

* scales the step, ``after`` the accumulator has taken the gradient: ``w <- w - eta * sigma * r`` (Clippy, LAMB), or
* scales the gradient, ``before`` the accumulator takes it: ``g <- sigma * g`` (GC, AGC and AdaGC, as published).

To add a rule, copy :mod:`.gc`, the shortest module, and define one subclass of
:class:`~steadyrank.optimizers.rule.Rule` whose ``name`` equals the module's name. Nothing else needs to change:
:data:`RULES` discovers the module. The optimizers for Keras 2 and Keras 3, the setting ``optimizer.rule``, the table in
the documentation and the contract tests read :data:`RULES`.

This package imports no TensorFlow.

Example:
>>> sorted(RULES)
['adagc', 'agc', 'clippy', 'gc', 'lamb', 'none']
>>> rule_from_config({"rule": "clippy", "granularity": "row"})
Clippy(relative=0.5, absolute=0.01, accumulator_relative=0.0, granularity='row')
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from ..rule import Granularity, Order, Rule, Threshold
from .adagc import AdaGC
from .agc import AdaptiveGradientClipping
from .clippy import Clippy
from .gc import GradientClipping
from .lamb import Lamb
from .none import NoClipping

__all__ = [
    "RULES",
    "AdaGC",
    "AdaptiveGradientClipping",
    "Clippy",
    "GradientClipping",
    "Granularity",
    "Lamb",
    "NoClipping",
    "Order",
    "Rule",
    "Threshold",
    "rule_from_config",
]


def _find_rules() -> dict[str, type[Rule]]:
    rules = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        module = importlib.import_module(f"{__name__}.{name}")
        classes = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Rule) and value.__module__ == module.__name__
        ]
        if [rule.name for rule in classes] != [name]:
            raise ImportError(
                f"{module.__name__} must define exactly one subclass of Rule, with name = {name!r}, "
                f"got {[(rule.__name__, rule.name) for rule in classes]}"
            )
        rules[name] = classes[0]
    return rules


RULES: Mapping[str, type[Rule]] = _find_rules()
"""Every rule, by the name of its module."""


def rule_from_config(config: Mapping[str, Any]) -> Rule:
    """The inverse of :meth:`Rule.get_config`.

    Raises:
      ValueError: If no rule has that name, or an option is out of range.
    """
    options = dict(config)
    name = options.pop("rule", None)
    if name not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {name!r}")
    return RULES[name](**options)
