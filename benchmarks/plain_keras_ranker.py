"""A plain Keras ranker, as a careful engineer would write it without steadyrank.

The benchmark ``movielens_baseline.py`` compares the preset with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from steadyrank.foundation.signed_log import signed_log
from steadyrank.models.schema import MISSING_INTEGER, MISSING_STRING, Feature, Schema, Task
from steadyrank.pipeline.data import Columns

MAX_EPOCHS = 30

Encoded = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class PlainSettings:
    """Settings of the plain model.

    Attributes:
      optimizer: Keras's own ``adam`` or ``adagrad``.
      learning_rate: Learning rate of the optimizer.
      units: Widths of the shared layers.
      l2: Factor of the squared weights of embeddings and shared layers in the loss.
      dropout: Share of the outputs of each shared layer that training drops.
      batch_size: Rows of a step.
      epochs: Number of passes over the shuffled training rows.
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    units: tuple[int, ...] = (128, 64)
    l2: float = 0.0
    dropout: float = 0.0
    batch_size: int = 256
    epochs: int = MAX_EPOCHS

    def __str__(self) -> str:
        units = "-".join(map(str, self.units))
        extras = "".join(f", {name} {getattr(self, name):g}" for name in ("l2", "dropout") if getattr(self, name))
        return f"{self.optimizer} {self.learning_rate:g}, {units}{extras}, {self.epochs} epochs"


def predict(
    settings: PlainSettings,
    schema: Schema,
    training: Columns,
    heldout: Columns,
    seed: int,
    days: Sequence[int] = (),
    passes_per_day: int = 1,
) -> Columns:
    """Trains the plain model and predicts the held-out rows.

    Args:
      settings: Settings of the model.
      schema: The features and the tasks.
      training: The training rows, in order of time.
      heldout: The rows to predict.
      seed: Seed of the weights and of the order.
      days: Number of rows of each day, to train day by day. Empty: all rows are shuffled together.
      passes_per_day: Number of passes over each day, if training goes day by day.
    """
    tf_keras.utils.set_random_seed(seed)
    training_inputs, heldout_inputs = encode(schema, training, heldout)
    labels = {task.name: training[task.label] for task in schema.tasks}
    model = make_model(schema, training_inputs, mean_labels(labels), settings)
    start = 0
    for day_rows in days or [len(next(iter(labels.values())))]:
        part = slice(start, start := start + day_rows)
        model.fit(
            {name: column[part] for name, column in training_inputs.items()},
            {name: label[part] for name, label in labels.items()},
            batch_size=settings.batch_size,
            epochs=passes_per_day if days else settings.epochs,
            verbose=0,
        )
    predictions = model.predict(heldout_inputs, batch_size=1024, verbose=0)
    return {name: values[:, 0] for name, values in predictions.items()}


def standardize(schema: Schema, training: Columns, *others: Columns) -> Iterator[np.ndarray]:
    """Yields the standardized numerical features of each table, ``[n, features]``.

    The mean and the standard deviation come from the training rows.
    """

    def stack_features(columns: Columns) -> np.ndarray:
        features = (feature for feature in schema.features if feature.kind == "numerical")
        return np.stack(
            [signed_log(columns[f.name]) if f.normalization == "log" else columns[f.name] for f in features], axis=1
        ).astype(np.float64)

    stacked = stack_features(training)
    mean, deviation = stacked.mean(axis=0), stacked.std(axis=0)
    return ((stack_features(columns) - mean) / deviation for columns in (training, *others))


def encode(schema: Schema, training: Columns, *others: Columns) -> list[Encoded]:
    """Returns the inputs of the plain model: standardized numbers, and ids as indices into a vocabulary.

    The vocabulary holds the values of the training rows.

    Index 0 is a missing value, and index 1 is a value that the training rows do not contain.
    """
    tables = (training, *others)
    encoded: list[Encoded] = [{"numbers": x.astype(np.float32)} for x in standardize(schema, *tables)]
    for feature in schema.features:
        if feature.kind == "numerical":
            continue
        missing = MISSING_STRING if feature.dtype == "string" else MISSING_INTEGER
        vocabulary = np.unique(np.concatenate([training[name].ravel() for name in list_sharing(schema, feature)]))
        vocabulary = vocabulary[vocabulary != missing]
        for columns, inputs in zip(tables, encoded, strict=True):
            values = columns[feature.name]
            index = np.minimum(np.searchsorted(vocabulary, values), len(vocabulary) - 1)
            ids = np.where(vocabulary[index] == values, index + 2, 1)
            inputs[feature.name] = np.where(values == missing, 0, ids).astype(np.int32)
    return encoded


def list_sharing(schema: Schema, feature: Feature) -> list[str]:
    """Returns the names of the features that share a feature's embedding table."""
    return [f.name for f in schema.features if f.kind != "numerical" and f.table_name == feature.table_name]


def make_model(schema: Schema, encoded: Encoded, means: Mapping[str, float], settings: PlainSettings) -> tf_keras.Model:
    """Makes a functional Keras model: embeddings, shared ReLU layers, one output for each task."""
    layers = tf_keras.layers
    regularizer = tf_keras.regularizers.L2(settings.l2) if settings.l2 else None
    tables: dict[str, tf_keras.layers.Embedding] = {}

    def get_table(feature: Feature) -> tf_keras.layers.Embedding:
        if feature.table_name not in tables:
            tables[feature.table_name] = layers.Embedding(
                1 + max(encoded[name].max() for name in list_sharing(schema, feature)) + 1,
                feature.embedding_width,
                embeddings_regularizer=regularizer,
            )
        return tables[feature.table_name]

    inputs = {"numbers": tf_keras.Input((encoded["numbers"].shape[1],), name="numbers")}
    parts = [inputs["numbers"]]
    for feature in schema.features:
        if feature.kind == "numerical":
            continue
        inputs[feature.name] = tf_keras.Input(feature.shape, dtype="int32", name=feature.name)
        embedded = get_table(feature)(inputs[feature.name])
        if feature.kind == "bag":
            embedded = layers.Lambda(average_bag)([embedded, inputs[feature.name]])
        parts.append(embedded)
    x = layers.Concatenate()(parts)
    for width in settings.units:
        x = layers.Dense(width, "relu", kernel_regularizer=regularizer)(x)
        x = layers.Dropout(settings.dropout)(x)
    outputs = {
        task.name: layers.Dense(
            1,
            "sigmoid" if task.kind == "binary" else None,
            bias_initializer=tf_keras.initializers.Constant(compute_initial_bias(task, means[task.name])),
            name=task.name,
        )(x)
        for task in schema.tasks
    }
    model = tf_keras.Model(inputs, outputs)
    optimizers = {"adam": tf_keras.optimizers.Adam, "adagrad": tf_keras.optimizers.Adagrad}
    model.compile(
        optimizer=optimizers[settings.optimizer](settings.learning_rate),
        loss={task.name: "binary_crossentropy" if task.kind == "binary" else "mse" for task in schema.tasks},
        loss_weights={task.name: task.weight for task in schema.tasks},
    )
    return model


def mean_labels(labels: Columns) -> dict[str, float]:
    """Returns the mean label of each task."""
    return {name: float(values.mean()) for name, values in labels.items()}


def compute_initial_bias(task: Task, mean: float) -> float:
    """Returns the bias that makes the initial output equal to the mean label."""
    return mean if task.kind == "regression" else float(np.log(mean / (1 - mean)))


def average_bag(bag: Sequence[tf.Tensor]) -> tf.Tensor:
    """Averages the embeddings of a bag: ``[B, L, E]`` and the ids ``[B, L]`` to ``[B, E]``; zeros for an empty bag."""
    # GlobalAveragePooling1D divides by 0 for an empty bag, and all weights become NaN in the first step.
    embedded, ids = bag
    mask = tf.cast(ids > 0, embedded.dtype)[..., tf.newaxis]
    return tf.math.divide_no_nan(tf.reduce_sum(embedded * mask, axis=1), tf.reduce_sum(mask, axis=1))
