"""The settings of the optimizers for Keras 2 and Keras 3: their values, checks and configuration."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .adagrad_parameters import AdagradParameters
from .coordinates import is_real
from .rule import Rule
from .rules import RULES, Clippy, NoClipping, rule_from_config

# Keras's embedding tables, because the paper clips only non-embedding variables.
DEFAULT_EXCLUSIONS = ("embeddings",)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The checked arguments of an optimizer; :class:`~.adagrad.Adagrad` documents them.

    Raises:
      ValueError: If a value is out of range or contradicts another one.
    """

    rule: Rule
    groups: Mapping[str, Rule]
    initial_accumulator_value: float
    epsilon: float
    explain: bool
    skip_nonfinite: bool
    gradient_limit: float
    max_skipped_steps: int | None
    use_standard_accumulator_update: bool
    clip_accumulator_update: bool
    jit_compile: bool
    exclude_from_clipping: Sequence[str] | None

    def __post_init__(self) -> None:
        for switch in ("explain", "skip_nonfinite", "jit_compile"):
            if not isinstance(getattr(self, switch), bool):
                raise ValueError(f"{switch} must be True or False, got {getattr(self, switch)!r}")
        for name in ("initial_accumulator_value", "epsilon", "gradient_limit"):
            check_number(name, getattr(self, name))
        allowed = self.max_skipped_steps
        if allowed is not None and (isinstance(allowed, bool) or not isinstance(allowed, int) or allowed < 0):
            raise ValueError(f"max_skipped_steps must be an integer of 0 or more, or None, got {allowed!r}")
        if self.clip_accumulator_update and self.use_standard_accumulator_update:
            raise ValueError(
                "clip_accumulator_update=True requires use_standard_accumulator_update=False, because the standard update "
                "adds the gradient to the accumulator before sigma is known"
            )

    def choose_rules(self, names: Sequence[str]) -> list[Rule]:
        """Returns the rule of each variable: the first group or exclusion that matches its name, or else ``rule``.

        Raises:
          ValueError: If a pattern from the user matches no variable.
        """
        excluded = DEFAULT_EXCLUSIONS if self.exclude_from_clipping is None else self.exclude_from_clipping
        exclusions = {pattern: NoClipping() for pattern in excluded if pattern not in self.groups}
        groups: dict[str, Rule] = {**self.groups, **exclusions}
        for pattern in groups:
            is_from_user = pattern in self.groups or self.exclude_from_clipping is not None
            if is_from_user and not any(re.search(pattern, name) for name in names):
                examples = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
                raise ValueError(
                    f"the pattern {pattern!r} matches none of the {len(names)} variables; correct or remove it. "
                    f"The variables are: {examples}"
                )
        return [
            next((rule for pattern, rule in groups.items() if re.search(pattern, name)), self.rule) for name in names
        ]

    @property
    def allowed_skips(self) -> int | None:
        """Number of steps in a row that may be skipped; None for no limit, or if the optimizer skips no step."""
        return self.max_skipped_steps if self.skip_nonfinite else None

    def failure_messages(self, names: Sequence[str]) -> list[str]:
        """Returns the errors after too many skipped steps: one per variable, and the last one for the learning rate."""
        bad = [f"gradient of '{name}' was not finite, or beyond {self.gradient_limit:g}" for name in names]
        return [
            f"the {cause}, after {self.max_skipped_steps} skipped steps in a row: check the data and the loss of these "
            "steps, or raise max_skipped_steps"
            for cause in [*bad, "learning rate was not finite"]
        ]

    def adagrad_parameters(self, weight_decay: float, dtype: str, largest: float) -> AdagradParameters:
        """Makes the :class:`~.adagrad_parameters.AdagradParameters` of a variable.

        Args:
          weight_decay: Weight decay of the variable.
          dtype: Dtype of the step and the accumulator.
          largest: Largest number of the variable's dtype.
        """
        limits = np.finfo(dtype)
        return AdagradParameters(
            epsilon=self.epsilon,
            weight_decay=weight_decay,
            is_delayed=not self.use_standard_accumulator_update,
            clip_accumulator=self.clip_accumulator_update,
            gradient_limit=self.gradient_limit if self.skip_nonfinite else math.inf,
            tiny=float(limits.tiny),
            # A little below the largest numbers of the dtypes, so that rounding does not exceed them.
            largest=0.99 * largest,
            largest_accumulator=0.99 * float(limits.max),
        )

    def get_config(self, serialize: Callable[[Any], Any]) -> dict[str, Any]:
        """Returns all settings in plain types; ``serialize`` converts schedules."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        groups = {pattern: serialize_rule(rule, serialize) for pattern, rule in self.groups.items()}
        excluded = None if self.exclude_from_clipping is None else list(self.exclude_from_clipping)
        rule = serialize_rule(self.rule, serialize)
        return plain | {"rule": rule, "groups": groups, "exclude_from_clipping": excluded}


def check_number(name: str, value: Any, *, scheduled: bool = False) -> None:
    """Checks that a value is a finite number of 0 or more or, if ``scheduled`` is true, a schedule.

    Raises:
      ValueError: If the value is neither.
    """
    if is_real(value):
        if 0 <= float(value) < math.inf:
            return
    # A serialized schedule is a mapping. Keras may already have converted a number to a variable or a tensor.
    elif scheduled and (callable(value) or isinstance(value, Mapping) or hasattr(value, "dtype")):
        return
    kinds = "a finite number of 0 or more" + (" or a schedule" if scheduled else "")
    raise ValueError(f"{name} must be {kinds}, got {value!r}")


def check_patterns(name: str, patterns: Any) -> None:
    """Checks that a value is a collection of regular expressions.

    Raises:
      ValueError: When it is not, with the pattern at fault.
    """
    if isinstance(patterns, str):
        raise ValueError(
            f"{name} must be a sequence of regular expressions, got the string {patterns!r}; write [{patterns!r}]"
        )
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ValueError(f"{name} must hold regular expressions, got {pattern!r}: {error}") from error


def as_patterns(name: str, patterns: Sequence[str] | None) -> tuple[str, ...] | None:
    """Converts patterns to a tuple; returns None unchanged.

    Raises:
      ValueError: See :func:`check_patterns`.
    """
    if patterns is None:
        return None
    check_patterns(name, patterns)
    return tuple(patterns)


def as_rule(name: str, value: Any, deserialize: Callable[[Any], Any]) -> Rule:
    """Converts an argument to a rule.

    Args:
      name: Name of the argument, for the error message.
      value: A rule, its name, its configuration, or None for no clipping.
      deserialize: Converts a serialized schedule; returns anything else unchanged.

    Raises:
      ValueError: If the value is none of these.
    """
    if isinstance(value, Rule):
        return value
    if value is None:
        value = "none"
    if isinstance(value, str):
        value = {"rule": value}
    if isinstance(value, Mapping) and "rule" in value:
        fields = {key: deserialize(item) if isinstance(item, Mapping) else item for key, item in value.items()}
        try:
            return rule_from_config(fields)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error
    raise ValueError(f"{name} must be a rule, the name of a rule ({', '.join(RULES)}) or None, got {value!r}")


def serialize_rule(rule: Rule, serialize: Callable[[Any], Any]) -> dict[str, Any]:
    """Returns the configuration of a rule in plain types; the inverse of :func:`as_rule`."""
    return {key: serialize(item) if callable(item) else item for key, item in rule.get_config().items()}


def as_groups(value: Mapping[str, Any] | None, deserialize: Callable[[Any], Any]) -> dict[str, Rule]:
    """Converts an argument to rules by pattern; see :func:`as_rule`.

    Raises:
      ValueError: If a pattern is not a regular expression, or a value is not a rule.
    """
    check_patterns("groups", value or {})
    return {pattern: as_rule(f"groups[{pattern!r}]", rule, deserialize) for pattern, rule in (value or {}).items()}


def make_clippy(
    deserialize: Callable[[Any], Any], relative: Any, accumulator_relative: Any, absolute: Any, granularity: Any
) -> Clippy:
    """Makes the rule Clippy from the arguments of ClippyAdagrad.

    Raises:
      ValueError: If an argument is out of range. The message uses the argument's name in ClippyAdagrad.
    """
    thresholds = {
        "variable_relative_threshold": relative,
        "accumulator_relative_threshold": accumulator_relative,
        "absolute_threshold": absolute,
    }
    for name, value in thresholds.items():
        check_number(name, value, scheduled=True)
    return Clippy(deserialize(relative), deserialize(absolute), deserialize(accumulator_relative), granularity)


def rename_for_clippy(config: dict[str, Any]) -> dict[str, Any]:
    """Converts a configuration of Adagrad with Clippy to the arguments of ClippyAdagrad."""
    rule, explain = config.pop("rule"), config.pop("explain")
    return config | {
        "variable_relative_threshold": rule["relative"],
        "accumulator_relative_threshold": rule["accumulator_relative"],
        "absolute_threshold": rule["absolute"],
        "granularity": rule["granularity"],
        "export_clipping_factors": explain,
    }
