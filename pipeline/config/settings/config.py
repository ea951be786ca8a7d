"""The whole configuration, and the rules that involve more than one setting."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ..errors import ConfigError
from ..rule_options import find_rule_problems
from ..validation import find_problems
from .data import Data
from .model import Model
from .optimizer import Optimizer
from .training import Training


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings of a run. ``Config()`` is the ``demo`` preset.

    Attributes:
      data: The log and how it is cut into steps.
      model: The ranker.
      optimizer: Adagrad and the rule that bounds its steps.
      training: The run.

    Raises:
      ConfigError: If a value is out of range or values contradict one another. The error lists all problems.
    """

    data: Data = dataclasses.field(default_factory=Data)
    model: Model = dataclasses.field(default_factory=Model)
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    training: Training = dataclasses.field(default_factory=Training)

    def __post_init__(self) -> None:
        problems = [*find_problems(self), *_find_rule_problems(self.optimizer)]
        # A value that is out of range, such as 0 steps, would also cause confusing contradictions.
        problems = problems or [*_find_contradictions(self)]
        if problems:
            raise ConfigError(*problems)


def _find_rule_problems(optimizer: Optimizer) -> Iterator[str]:
    yield from find_rule_problems(optimizer.rule, optimizer.rule_options, "optimizer.rule_options")
    for i, group in enumerate(optimizer.groups):
        yield from find_rule_problems(group.rule, group.rule_options, f"optimizer.groups[{i}].rule_options")


def _find_contradictions(config: Config) -> Iterator[str]:
    data, training = config.data, config.training
    # The number of days of a user's files is known only when they are read.
    days = {
        "simulated": ("simulated.days", data.simulated.days),
        "movielens": ("movielens.periods", data.movielens.periods),
    }
    if data.source in days:
        name, count = days[data.source]
        if count < data.holdout_days + 1:
            yield (
                f"data.{name} must be at least data.holdout_days + 1 = {data.holdout_days + 1}, so that at least one day "
                f"remains for training, got {count}"
            )
    for name in ("publish_every_steps", "checkpoint_every_steps"):
        steps = getattr(training, name)
        if steps % training.steps_per_execution:
            yield (
                f"training.{name} must be a multiple of training.steps_per_execution = {training.steps_per_execution}, "
                f"got {steps}"
            )
    if training.strategy == "one_device" and training.replicas > 1:
        yield f"training.replicas = {training.replicas} needs training.strategy = mirrored, got '{training.strategy}'"
    if training.replicas and data.batch_size % training.replicas:
        yield f"data.batch_size must be a multiple of training.replicas = {training.replicas}, got {data.batch_size}"
