"""The arguments of the optimizers, defined once for Keras 2 and Keras 3: their order, defaults and checks.

An optimizer lists one of these classes before the Keras optimizer among its base classes. It implements ``_initialize``
and ``_deserialize_schedule`` for its version of Keras.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from . import settings
from .rule import Granularity, Rule, Threshold
from .settings import Settings
from .step_report import StepReport

RuleLike: TypeAlias = "Rule | str | Mapping[str, Any] | None"
"""A rule, its name, its configuration, or None for no clipping."""


def _setting(name: str) -> property:
    return property(lambda self: getattr(self._settings, name), doc=f"``{name}`` of the settings.")


def _rule_option(name: str) -> property:
    return property(lambda self: getattr(self._settings.rule, name), doc=f"``{name}`` of the rule.")


_MODULES = {"tf_keras": "steadyrank.optimizers", "keras": "steadyrank.optimizers.keras3"}
_VERSIONS = {"tf_keras": "Keras 2 (tf_keras)", "keras": "Keras 3 (keras)"}


class AdagradArguments(StepReport):
    """The arguments of :class:`steadyrank.optimizers.Adagrad`, documented there."""

    keras_package: ClassVar[str]
    """The package of Keras that the optimizer belongs to: ``tf_keras`` or ``keras``."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rule: RuleLike = None,
        *,
        groups: Mapping[str, RuleLike] | None = None,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        explain: bool = False,
        skip_nonfinite: bool = True,
        gradient_limit: float = 1e10,
        max_skipped_steps: int | None = 20,
        use_standard_accumulator_update: bool = True,
        clip_accumulator_update: bool = False,
        exclude_from_clipping: Sequence[str] | None = (),
        jit_compile: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ):
        learning_rate = self._deserialize_schedule(learning_rate)
        self._check_schedule(learning_rate)
        settings.check_number("learning_rate", learning_rate, scheduled=True)
        settings.check_number("weight_decay", kwargs.get("weight_decay") or 0.0)
        checked = Settings(
            rule=settings.as_rule("rule", rule, self._deserialize_schedule),
            groups=settings.as_groups(groups, self._deserialize_schedule),
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            explain=explain,
            skip_nonfinite=skip_nonfinite,
            gradient_limit=gradient_limit,
            max_skipped_steps=max_skipped_steps,
            use_standard_accumulator_update=use_standard_accumulator_update,
            clip_accumulator_update=clip_accumulator_update,
            jit_compile=jit_compile,
            exclude_from_clipping=settings.as_patterns("exclude_from_clipping", exclude_from_clipping),
        )
        self._initialize(learning_rate, checked, name, kwargs)

    def _initialize(self, learning_rate: Any, checked: Settings, name: str | None, kwargs: dict[str, Any]) -> None:
        """Initializes the Keras optimizer and stores the settings."""
        raise NotImplementedError

    def _check_schedule(self, learning_rate: Any) -> None:
        """Refuses a schedule of the other version of Keras, which is called in another way."""
        packages = {base.__module__.partition(".")[0] for base in type(learning_rate).__mro__} & _MODULES.keys()
        if callable(learning_rate) and packages and self.keras_package not in packages:
            raise TypeError(
                f"learning_rate must be a schedule of {_VERSIONS[self.keras_package]}, as the optimizer is, got a "
                f"{type(learning_rate).__name__} of {_VERSIONS[packages.pop()]}; use a schedule from "
                f"{self.keras_package}.optimizers.schedules"
            )

    def __format__(self, format_spec: str) -> str:
        """Formats the optimizer as any object, but refuses to be part of an error message of the other Keras.

        Keras's ``compile`` formats an optimizer only to report that it cannot interpret it.

        Raises:
          TypeError: If the other version of Keras formats the optimizer. The message names the right import.
        """
        caller = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]
        if caller in _MODULES and caller != self.keras_package:
            raise TypeError(
                f"this {type(self).__name__} is an optimizer of {_VERSIONS[self.keras_package]}, but the model belongs to "
                f"{_VERSIONS[caller]}; for this model, use: from {_MODULES[caller]} import {type(self).__name__}"
            )
        return super().__format__(format_spec)

    @staticmethod
    def _deserialize_schedule(config: Any) -> Any:
        """Returns the schedule of a serialized form; returns anything else unchanged."""
        raise NotImplementedError


class ClippyArguments(AdagradArguments):
    """The arguments of :class:`steadyrank.optimizers.ClippyAdagrad`, documented there."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        variable_relative_threshold: Threshold = 0.5,
        accumulator_relative_threshold: Threshold = 0.0,
        absolute_threshold: Threshold = 1e-2,
        epsilon: float = 1e-7,
        export_clipping_factors: bool = False,
        clip_accumulator_update: bool = False,
        use_standard_accumulator_update: bool = True,
        name: str | None = None,
        *,
        exclude_from_clipping: Sequence[str] | None = None,
        groups: Mapping[str, RuleLike] | None = None,
        granularity: Granularity = "variable",
        **kwargs: Any,
    ):
        rule = settings.make_clippy(
            self._deserialize_schedule,
            variable_relative_threshold,
            accumulator_relative_threshold,
            absolute_threshold,
            granularity,
        )
        super().__init__(
            learning_rate,
            rule,
            groups=groups,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            explain=export_clipping_factors,
            use_standard_accumulator_update=use_standard_accumulator_update,
            clip_accumulator_update=clip_accumulator_update,
            exclude_from_clipping=exclude_from_clipping,
            name=name,
            **kwargs,
        )

    # The arguments as attributes, as in the optimizer of TFRS.
    variable_relative_threshold = _rule_option("relative")
    accumulator_relative_threshold = _rule_option("accumulator_relative")
    absolute_threshold = _rule_option("absolute")
    initial_accumulator_value = _setting("initial_accumulator_value")
    epsilon = _setting("epsilon")
    export_clipping_factors = _setting("explain")
    clip_accumulator_update = _setting("clip_accumulator_update")
    use_standard_accumulator_update = _setting("use_standard_accumulator_update")
    exclude_from_clipping = _setting("exclude_from_clipping")

    def get_config(self) -> dict[str, Any]:
        """Returns all arguments, so that ``from_config`` makes an equal optimizer."""
        return settings.rename_for_clippy(super().get_config())  # type: ignore[misc]  # of the Keras optimizer
