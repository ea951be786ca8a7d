"""The settings of the optimizer and its clipping rules."""

from __future__ import annotations

import dataclasses

from ....optimizers.rules import RULES
from ..fields import Constraint, setting
from ..rule_options import RuleOptions, describe_rule_options, read_rule_options

_RULE_NAMES = tuple(RULES)


@dataclasses.dataclass(frozen=True)
class Group:
    """A rule for some variables (``optimizer.groups``, a list in a YAML file).

    Attributes:
      pattern: A regular expression that is searched for in the variables' names, such as ``tower_`` or
        ``shared/layer_0``. The first group that matches a variable determines its rule. Each group must match at least
        one variable.
      rule: The clipping rule; see ``optimizer.rule``.
      rule_options: The rule's options; see ``optimizer.rule_options``.
    """

    pattern: str = dataclasses.field(metadata=Constraint(is_pattern=True).to_metadata())
    rule: str = setting("clippy", choices=_RULE_NAMES)
    rule_options: RuleOptions = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule_options", read_rule_options(self.rule, self.rule_options))


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Adagrad and the rule that bounds its steps.

    Attributes:
      rule: The clipping rule; ``none`` is plain Adagrad. The rules are in :mod:`steadyrank.optimizers.rules`.
      rule_options: Options of the rule, such as ``relative=0.25,granularity=row`` for ``clippy``. An omitted option
        takes the rule's default.
      learning_rate: Learning rate after the warm-up.
      warmup_steps: Number of steps over which the learning rate rises linearly from 0 to ``learning_rate``.
      final_learning_rate_factor: Factor of the learning rate at the end of the run. The rate falls linearly from the
        first step. 1 keeps the rate constant; use it for a run that will be continued day by day.
      initial_accumulator_value: Initial value of Adagrad's accumulators.
      groups: Rules for groups of variables, in place of ``rule``.
      exclude_from_clipping: Regular expressions. A variable whose name matches one is not clipped.
      max_skipped_steps: Number of consecutive steps that may be skipped because a gradient is not finite. After one
        more, the run ends as diverged.
      explain: Whether to record, for each layer, the clipping factors, the norms and the coordinate that limited a step
        the most.
    """

    rule: str = setting("clippy", choices=_RULE_NAMES)
    rule_options: RuleOptions = dataclasses.field(
        default_factory=dict, hash=False, metadata=Constraint(note=describe_rule_options()).to_metadata()
    )
    learning_rate: float = setting(0.5, minimum=0)
    warmup_steps: int = setting(100, minimum=0)
    final_learning_rate_factor: float = setting(1.0, minimum=0)
    initial_accumulator_value: float = setting(0.1, minimum=0)
    groups: tuple[Group, ...] = ()
    exclude_from_clipping: tuple[str, ...] = setting(("embeddings",), is_pattern=True)
    max_skipped_steps: int = setting(20, minimum=0)
    explain: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule_options", read_rule_options(self.rule, self.rule_options))
