"""Repeats a bad step exactly, and tries the same step with other rules and learning rates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
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
    """The result of the step under one rule and learning rate.

    Attributes:
      rule: Name of the clipping rule.
      learning_rate: The learning rate.
      clipping_factor: The smallest clipping factor of any variable; 1 if the step was not clipped.
      clipped_variable: Name of the variable with that factor; empty if the step was not clipped.
      update_norm: Norm of the update over all variables.
      losses_before: Loss of the batch before the step, by task; the key ``""`` holds the weighted sum.
      losses_after: Loss of the batch after the step, in the same form.
      is_skipped: Whether the optimizer skipped the step because a gradient was not finite.
    """

    rule: str
    learning_rate: float
    clipping_factor: float
    clipped_variable: str
    update_norm: float
    losses_before: dict[str, float]
    losses_after: dict[str, float]
    is_skipped: bool


@dataclasses.dataclass(frozen=True)
class Replay:
    """The repetition of a bad step, and alternatives to it.

    Attributes:
      bundle: The recorded step.
      repetition: The result under the run's rule and learning rate.
      is_exact: Whether every signal of the repetition equals the recorded signal, bit by bit.
      alternatives: The results under other rules and learning rates.
    """

    bundle: Bundle
    repetition: Outcome
    is_exact: bool
    alternatives: tuple[Outcome, ...]


def replay(path: str | Path, rules: Sequence[str], learning_rate_factors: Sequence[float]) -> Replay:
    """Repeats the step of a bundle that a run saved.

    Args:
      path: Folder of the bundle.
      rules: Other rules to try at the step's learning rate, with their published thresholds.
      learning_rate_factors: Other learning rates to try under the run's rule, as multiples of the step's learning rate.

    Raises:
      UserError: If the folder holds no bundle of a run, or if the bundle cannot be read.
    """
    bundle = _read_bundle(path)
    # Each rule traces another function. TensorFlow would warn about retracing.
    tf.get_logger().setLevel("ERROR")
    config = read(Config, bundle.path / "config.yaml")
    ranker = make_untrained_ranker(config, read(Schema, bundle.path / "schema.yaml"))
    settings, learning_rate = config.optimizer, bundle.signals["learning_rate"]
    stepper = _Stepper(bundle, ranker, settings)

    repetition, signals = stepper.take_step(settings, learning_rate)
    is_exact = all(_is_equal(value, bundle.signals[name]) for name, value in signals.items() if name in bundle.signals)
    alternative_settings = [
        (Optimizer(rule=rule, exclude_from_clipping=settings.exclude_from_clipping), learning_rate)
        for rule in rules
        if rule != settings.rule
    ]
    alternative_settings += [(settings, learning_rate * factor) for factor in learning_rate_factors]
    alternatives = tuple(stepper.take_step(*alternative)[0] for alternative in alternative_settings)
    return Replay(bundle, repetition, is_exact, alternatives)


class _Stepper:
    """Takes the step of a bundle repeatedly, always from the same weights and accumulators."""

    def __init__(self, bundle: Bundle, ranker: MultitaskRanker, settings: Optimizer):
        self._bundle = bundle
        self._ranker = ranker
        optimizer = make_optimizer(settings, 1)
        ranker.compile(optimizer=optimizer)
        optimizer.build(ranker.trainable_variables)
        try:
            bundle.restore(ranker)
        except ValueError as error:
            raise UserError(str(error)) from error
        state: dict[str, np.ndarray] = {}
        optimizer.save_own_variables(state)
        # Leave out the thresholds of the run's rule, which other rules lack.
        self._optimizer_state = {name: value for name, value in state.items() if name not in ("numbers", "integers")}
        self._weights = ranker.get_weights()

    def take_step(self, settings: Optimizer, learning_rate: float) -> tuple[Outcome, dict[str, float]]:
        """Takes the step with these settings; returns the outcome and the signals of the step."""
        ranker = self._ranker
        ranker.set_weights(self._weights)
        constant_settings = dataclasses.replace(
            settings,
            learning_rate=learning_rate,
            warmup_steps=0,
            final_learning_rate_factor=1.0,
            explain=True,
            max_skipped_steps=10**6,
        )
        optimizer = make_optimizer(constant_settings, 1)
        ranker.compile(optimizer=optimizer)
        optimizer.build(ranker.trainable_variables)
        optimizer.load_own_variables(self._optimizer_state)
        signals = self._measure_step()
        explanations = optimizer.read_explanations()
        smallest = min(explanations, key=lambda name: explanations[name].factor)
        ranker.reset_metrics()
        after = {name: float(value) for name, value in ranker.test_step(self._bundle.batch).items()}
        outcome = Outcome(
            rule=settings.rule,
            learning_rate=learning_rate,
            clipping_factor=explanations[smallest].factor,
            clipped_variable=smallest if explanations[smallest].factor < 1 else "",
            update_norm=math.sqrt(sum(explanation.update_norm**2 for explanation in explanations.values())),
            losses_before=self._losses_by_task(signals),
            losses_after=self._losses_by_task(after),
            is_skipped=optimizer.skipped_steps > int(self._optimizer_state["counts"][0]),
        )
        return outcome, signals

    def _measure_step(self) -> dict[str, float]:
        """Takes one training step and returns the signals that the ranker reports to the divergence probes."""
        measured: dict[str, tf.Tensor] = {}

        def step(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            measured.clear()
            self._ranker.train_step(batch)
            return dict(measured)

        self._ranker.on_step_metrics = measured.update
        signals = tf.function(step)(self._bundle.batch)
        self._ranker.on_step_metrics = None
        return {name: float(value) for name, value in signals.items()}

    def _losses_by_task(self, metrics: Mapping[str, float]) -> dict[str, float]:
        tasks = [task.name for task in self._ranker.schema.tasks]
        return {"": metrics["loss"]} | {task: metrics[f"loss/{task}"] for task in tasks}


def _read_bundle(path: str | Path) -> Bundle:
    try:
        bundle = Bundle.read(path)
    except ValueError as error:
        raise UserError(str(error)) from error
    for name in ("config.yaml", "schema.yaml"):
        if not (bundle.path / name).exists():
            raise UserError(
                f"{bundle.path} holds no {name}; this command replays only bundles of a run, which are in "
                "MODEL_DIR/bundles/step-NUMBER"
            )
    return bundle


def _is_equal(value: float, recorded: float) -> bool:
    return value == recorded or (math.isnan(value) and math.isnan(recorded))
