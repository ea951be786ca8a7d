"""Makes the ranker and its optimizer from the configuration."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from ...models.ranker import MultitaskRanker
from ...models.schema import Feature, Schema
from ...models.statistics import Statistics
from ...optimizers import RULES, Adagrad, Rule, WarmUp
from ..config.errors import UserError
from ..config.settings import Config, Group, Optimizer


def make_ranker(config: Config, schema: Schema, statistics: Statistics, total_steps: int) -> MultitaskRanker:
    """Makes a compiled ranker. Call it inside the scope of the run's strategy.

    Sets Keras's dtype policy to ``model.precision``, for the whole process.

    Args:
      config: The configuration.
      schema: The features and tasks.
      statistics: Means and standard deviations of the features, and means of the labels.
      total_steps: Number of steps of the whole run. The learning rate may decay over them.

    Raises:
      UserError: If the embedding tables do not fit into the memory.
    """
    try:
        return _make_ranker(config, schema, statistics, total_steps)
    except tf.errors.ResourceExhaustedError as error:
        largest = max(schema.features, key=_count_weights)
        raise UserError(
            f"the ranker does not fit into the memory. The embedding table of '{largest.name}' is the largest: "
            f"{_count_weights(largest):,} weights of 4 bytes. In the schema, use fewer num_ids or hash_buckets, or a smaller "
            "embedding_width"
        ) from error


def _count_weights(feature: Feature) -> int:
    rows = 0 if feature.kind == "numerical" else len(feature.vocabulary) or feature.hash_buckets or feature.num_ids
    return rows * feature.embedding_width


def _make_ranker(config: Config, schema: Schema, statistics: Statistics, total_steps: int) -> MultitaskRanker:
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
    optimizer = make_optimizer(config.optimizer, total_steps)
    if config.model.precision == "mixed_float16":
        optimizer = tf_keras.mixed_precision.LossScaleOptimizer(optimizer)
    ranker.compile(optimizer=optimizer, steps_per_execution=config.training.steps_per_execution)
    # A checkpoint can only restore accumulators that exist.
    optimizer.build(ranker.trainable_variables)
    return ranker


def make_optimizer(settings: Optimizer, total_steps: int) -> tf_keras.optimizers.Optimizer:
    """Makes Adagrad with the clipping rules, warm-up and decay from the settings."""
    # The optimizer checks that each pattern matches a variable. With None, it excludes embedding tables only if there
    # are any.
    patterns = settings.exclude_from_clipping
    is_default = patterns == Optimizer().exclude_from_clipping
    learning_rate, final_factor = settings.learning_rate, settings.final_learning_rate_factor
    if final_factor != 1:
        learning_rate = tf_keras.optimizers.schedules.PolynomialDecay(
            learning_rate, max(total_steps, 1), learning_rate * final_factor
        )
    return Adagrad(
        WarmUp(learning_rate, settings.warmup_steps),
        make_rule(settings),
        groups={group.pattern: make_rule(group) for group in settings.groups},
        exclude_from_clipping=None if is_default else patterns,
        initial_accumulator_value=settings.initial_accumulator_value,
        max_skipped_steps=settings.max_skipped_steps,
        explain=settings.explain,
    )


def make_rule(settings: Optimizer | Group) -> Rule:
    """Makes the rule that the settings name, with their options."""
    return RULES[settings.rule](**settings.rule_options)
