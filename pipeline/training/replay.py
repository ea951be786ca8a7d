"""Takes a bad step again, exactly, and beside it what other rules and rates would have done."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from ...models.ranker import MultitaskRanker
from ...models.schema import Schema
from ..config import UserError, read
from ..config.settings import Config, Optimizer
from ..divergence import Bundle
from .build import make_optimizer
from .restore import make_untrained_ranker


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one rule at one rate makes of the step.

    Attributes:
      rule: The rule.
      rate: The learning rate.
      factor: The smallest factor of a layer.
      layer: That layer's variable; "" when nothing was shortened.
      update: Norm of the step over all variables.
      before, after: The loss of the step's own batch, before and after the step, by task; "" for the weighted sum.
      skipped: Whether the step was left out because a gradient was not finite.
    """

    rule: str
    rate: float
    factor: float
    layer: str
    update: float
    before: dict[str, float]
    after: dict[str, float]
    skipped: bool


@dataclasses.dataclass(frozen=True)
class Replay:
    """A bad step, taken again.

    Attributes:
      bundle: The step.
      repeated: The run's own rule and rate.
      exact: Whether every signal came out as it was recorded, to the bit.
      others: Other rules and rates.
    """

    bundle: Bundle
    repeated: Outcome
    exact: bool
    others: tuple[Outcome, ...]


def replay(path: str | Path, rules: Sequence[str], shares: Sequence[float]) -> Replay:
    """Replays a bundle that a run left.

    Args:
      path: The bundle's folder.
      rules: Other rules to try, with their usual thresholds, at the step's rate.
      shares: Other rates to try under the run's own rule, in units of the step's.

    Raises:
      UserError: When the folder holds no bundle of a run, or one that cannot be read.
    """
    try:
        bundle = Bundle.read(path)
    except ValueError as error:
        raise UserError(str(error)) from error
    for name in ("config.yaml", "schema.yaml"):
        if not (bundle.path / name).exists():
            raise UserError(f"{bundle.path} holds no {name}: only a run's own bundles can be replayed by this command")
    # Every rule has a step of its own to trace, and TensorFlow would warn of that.
    tf.get_logger().setLevel("ERROR")
    config = read(Config, bundle.path / "config.yaml")
    ranker = make_untrained_ranker(config, read(Schema, bundle.path / "schema.yaml"))
    rate = bundle.signals["learning_rate"]
    own = config.optimizer
    kept = _put_into(bundle, ranker, own)
    weights = ranker.get_weights()

    def outcome(settings: Optimizer, rate: float) -> tuple[Outcome, dict[str, float]]:
        ranker.set_weights(weights)
        return _outcome(bundle, ranker, kept, settings, rate)

    first, signals = outcome(own, rate)
    exact = all(_same(value, bundle.signals[name]) for name, value in signals.items() if name in bundle.signals)
    others = [
        outcome(Optimizer(rule=rule, exclude_from_clipping=own.exclude_from_clipping), rate)[0]
        for rule in rules
        if rule != own.rule
    ]
    others += [outcome(own, rate * share)[0] for share in shares]
    return Replay(bundle, first, exact, tuple(others))


def _outcome(
    bundle: Bundle, ranker: MultitaskRanker, kept: dict[str, np.ndarray], settings: Optimizer, rate: float
) -> tuple[Outcome, dict[str, float]]:
    """One step of the ranker as it stands, its optimizer with what was kept; and the signals that were measured of it."""
    constant = dataclasses.replace(
        settings,
        learning_rate=rate,
        warmup_steps=0,
        final_learning_rate_factor=1.0,
        explain=True,
        max_skipped_steps=10**6,
    )
    optimizer = make_optimizer(constant, 1)
    ranker.compile(optimizer=optimizer)
    optimizer.build(ranker.trainable_variables)
    optimizer.load_own_variables(kept)
    measured: dict[str, tf.Tensor] = {}
    ranker.on_measured = measured.update

    def step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        measured.clear()
        ranker.train_step(batch)
        return dict(measured)

    told = tf.function(step)(bundle.batch)
    ranker.on_measured = None
    signals = {name: float(value) for name, value in told.items()}
    explained = optimizer.read_explanations()
    smallest = min(explained, key=lambda name: explained[name].factor)
    ranker.reset_metrics()
    after = {name: float(value) for name, value in ranker.test_step(bundle.batch).items()}
    tasks = [task.name for task in ranker.schema.tasks]
    outcome = Outcome(
        rule=settings.rule,
        rate=rate,
        factor=explained[smallest].factor,
        layer=smallest if explained[smallest].factor < 1 else "",
        update=math.sqrt(sum(each.update_norm**2 for each in explained.values())),
        before={"": signals["loss"]} | {task: signals[f"loss/{task}"] for task in tasks},
        after={"": after["loss"]} | {task: after[f"loss/{task}"] for task in tasks},
        skipped=optimizer.skipped_steps > int(kept["counts"][0]),
    )
    return outcome, signals


def _put_into(bundle: Bundle, ranker: MultitaskRanker, settings: Optimizer) -> dict[str, np.ndarray]:
    """The ranker's weights become those of the bundle; returns what its optimizer kept, by name."""
    optimizer = make_optimizer(settings, 1)
    ranker.compile(optimizer=optimizer)
    optimizer.build(ranker.trainable_variables)
    try:
        bundle.restore(ranker)
    except ValueError as error:
        raise UserError(str(error)) from error
    kept: dict[str, np.ndarray] = {}
    optimizer.save_own_variables(kept)
    return {name: value for name, value in kept.items() if name not in ("numbers", "integers")}


def _same(value: float, recorded: float) -> bool:
    return value == recorded or (math.isnan(value) and math.isnan(recorded))
