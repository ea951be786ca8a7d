"""Makes the ranker and its optimizer from a configuration."""

from __future__ import annotations

import tf_keras

from ...models.ranker import MultitaskRanker
from ...models.schema import Schema
from ...models.statistics import Statistics
from ...optimizers import ClippyAdagrad, WarmUp
from ..config.settings import Config, Optimizer


def make_ranker(config: Config, schema: Schema, statistics: Statistics) -> MultitaskRanker:
    """A compiled ranker; inside a strategy's scope, one of that strategy.

    Sets Keras's dtype policy for this process to ``model.precision``.
    """
    tf_keras.mixed_precision.set_global_policy(config.model.precision)
    ranker = MultitaskRanker(
        schema,
        statistics,
        shared_units=config.model.shared_units,
        cross_layers=config.model.cross_layers,
        cross_projection=config.model.cross_projection,
        cross_layer_norm=config.model.cross_layer_norm,
        tower_units=config.model.tower_units,
        l2=config.model.l2,
    )
    optimizer = make_optimizer(config.optimizer)
    if config.model.precision == "mixed_float16":
        optimizer = tf_keras.mixed_precision.LossScaleOptimizer(optimizer)
    ranker.compile(optimizer=optimizer, steps_per_execution=config.training.steps_per_execution)
    # Accumulators exist before the first step, so that a checkpoint restores them at once.
    optimizer.build(ranker.trainable_variables)
    return ranker


def make_optimizer(settings: Optimizer) -> tf_keras.optimizers.Optimizer:
    """Adagrad under the rule that the settings name, warmed up."""
    rate = WarmUp(settings.learning_rate, settings.warmup_steps)
    if settings.rule == "none":
        return tf_keras.optimizers.Adagrad(rate, initial_accumulator_value=settings.initial_accumulator_value)
    return ClippyAdagrad(
        rate,
        initial_accumulator_value=settings.initial_accumulator_value,
        variable_relative_threshold=settings.variable_relative_threshold,
        absolute_threshold=settings.absolute_threshold,
        export_clipping_factors=True,
        exclude_from_clipping=settings.exclude_from_clipping,
    )
