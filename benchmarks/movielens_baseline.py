"""Compares the preset ``movielens`` with what one would otherwise write: a plain Keras model, tuned with care.

    python benchmarks/movielens_baseline.py --data_dir=DIR
    python benchmarks/movielens_baseline.py --data_dir=DIR --tune

All rankers get the same features of the same rows: MovieLens 100K in the order of time, in 20 periods. They train on the
first 16 and are measured on the last 4, which no choice was made by. What is measured of the preset is its SavedModel,
made by the training command in a process of its own.

With ``--tune`` the plain model's settings are searched instead: each of the grid trains on periods 0 to 13 and is judged
on periods 14 and 15.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import flags

from steadyrank.pipeline.config import command, load
from steadyrank.pipeline.config.quiet import quiet_import
from steadyrank.pipeline.config.settings import Movielens

# Keras 2, as in the pipeline, for everybody in this process.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
with quiet_import():
    import tensorflow as tf
    import tf_keras

    from steadyrank.foundation.auc import exact_auc
    from steadyrank.foundation.signed_log import signed_log
    from steadyrank.models.schema import MISSING_INTEGER, MISSING_STRING, Feature, Schema, Task
    from steadyrank.pipeline.data.columns import Columns
    from steadyrank.pipeline.data.movielens.log import MovielensLog
    from steadyrank.pipeline.data.source import Source

PERIODS = 20
SEARCH, VALIDATION = range(14), range(14, 16)
TRAINING, HELD_OUT = range(16), range(16, 20)
MOST_EPOCHS, PATIENCE = 30, 2
PASSES = load("movielens").data.passes

Encoded = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Plain:
    """Settings of the plain model.

    Attributes:
      optimizer: ``adam`` or ``adagrad``, Keras's own.
      learning_rate: Its rate.
      units: Widths of the shared layers.
      l2: Factor of the squared weights of embeddings and shared layers in the loss.
      dropout: Share of each shared layer's outputs that is dropped in training.
      batch_size: Rows of a step.
      epochs: Passes over the shuffled training rows.
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    units: tuple[int, ...] = (128, 64)
    l2: float = 0.0
    dropout: float = 0.0
    batch_size: int = 256
    epochs: int = MOST_EPOCHS


# The best of the grid by the validation loss: `--tune`, 2026-11-25.
CHOSEN = Plain("adagrad", 0.03, (64, 32), l2=1e-3, epochs=4)


def define_flags() -> None:
    """The command's own flags."""
    flags.DEFINE_string("data_dir", "", "Folder of prepared TFDS data; empty for TFDS's own, with a download.")
    flags.DEFINE_integer("seeds", 3, "Runs of each ranker that has a seed.", lower_bound=1)
    flags.DEFINE_bool("tune", False, "Search the plain model's settings by validation, and stop.")


def main(arguments: flags.FlagValues) -> int:
    """Prints the table; returns the exit code."""
    log = MovielensLog(Movielens(data_dir=arguments.data_dir, periods=PERIODS))
    if arguments.tune:
        search(log)
        return 0
    began = time.monotonic()
    training, held_out = rows(log, TRAINING), rows(log, HELD_OUT)
    results = {
        "constant: the training rows' mean": [scores(log.schema, held_out, constant(log.schema, training, held_out))],
        "ridge / logistic regression on the numbers": [
            scores(log.schema, held_out, linear(log.schema, training, held_out))
        ],
        f"plain Keras: {words(CHOSEN)}": [],
        "the same, day by day": [],
        f"preset movielens: {preset_words()}": [],
    }
    *_, plain, by_day, preset = results
    seconds: dict[str, list[float]] = {plain: [], by_day: [], preset: []}
    days = [len(log.block(day, 0)["rating"]) for day in TRAINING]

    def measure(name: str, predict: Callable[[], Columns]) -> None:
        start = time.monotonic()
        results[name].append(scores(log.schema, held_out, predict()))
        seconds[name].append(time.monotonic() - start)
        print(f"{name}: {results[name][-1]}", file=sys.stderr, flush=True)

    for seed in range(arguments.seeds):
        measure(plain, functools.partial(plain_predictions, log.schema, training, held_out, seed))
        measure(by_day, functools.partial(plain_predictions, log.schema, training, held_out, seed, days))
        measure(preset, functools.partial(preset_predictions, log, held_out, seed, arguments.data_dir))
    print(table(log.schema, results))
    print(
        f"\nMovieLens 100K, {PERIODS} periods; trained on {len(training['rating']):,} rows, measured on the "
        f"{len(held_out['rating']):,} after them. Mean ± standard deviation over {arguments.seeds} seeds. Seconds a run: "
        f"plain Keras {np.mean(seconds[plain]):.0f}, preset {np.mean(seconds[preset]):.0f} (a process of its own, with "
        f"start, evaluation of each period, export and report); {time.monotonic() - began:.0f} s in all.\n"
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"tf_keras {tf_keras.__version__}; {time.strftime('%Y-%m-%d')}; python {' '.join(sys.argv)}"
    )
    return 0


def rows(log: Source, periods: Sequence[int]) -> Columns:
    """All columns of some periods, in the log's order."""
    blocks = [log.block(day, index) for day in periods for index in range(len(log.block_rows(day)))]
    return {name: np.concatenate([block[name] for block in blocks]) for name in log.schema.columns}


def scores(schema: Schema, truth: Columns, predicted: Columns) -> dict[str, float]:
    """AUC of each binary task, RMSE of each regression task, over all rows of ``truth`` together."""
    return {
        task.name: exact_auc(truth[task.label], predicted[task.name])
        if task.kind == "binary"
        else float(np.sqrt(np.mean(np.square(truth[task.label].astype(np.float64) - predicted[task.name]))))
        for task in schema.tasks
    }


def constant(schema: Schema, training: Columns, held_out: Columns) -> Columns:
    """Predicts each label's mean for every row."""
    return {task.name: np.full(len(held_out[task.label]), training[task.label].mean()) for task in schema.tasks}


def linear(schema: Schema, training: Columns, held_out: Columns, penalty: float = 100.0) -> Columns:
    """Ridge regression for the regression tasks and logistic regression for the binary ones, on the numbers alone."""
    known, asked = (np.pad(x, ((0, 0), (0, 1)), constant_values=1.0) for x in standardised(schema, training, held_out))
    ridge = penalty * np.eye(known.shape[1])
    ridge[-1, -1] = 0.0
    predicted = {}
    for task in schema.tasks:
        label = training[task.label].astype(np.float64)
        if task.kind == "regression":
            weights = np.linalg.solve(known.T @ known + ridge, known.T @ label)
        else:
            weights = np.zeros(known.shape[1])
            # Newton's method; it has converged long before.
            for _ in range(12):
                share = 1 / (1 + np.exp(-known @ weights))
                hessian = (known * (share * (1 - share))[:, np.newaxis]).T @ known + ridge
                weights += np.linalg.solve(hessian, known.T @ (label - share) - ridge @ weights)
        predicted[task.name] = asked @ weights
    return predicted


def standardised(schema: Schema, training: Columns, *others: Columns) -> Iterator[np.ndarray]:
    """The numerical features as the schema normalises them, by the training rows' statistics; of each ``[n, numbers]``."""

    def numbers(columns: Columns) -> np.ndarray:
        features = (feature for feature in schema.features if feature.kind == "numerical")
        return np.stack(
            [signed_log(columns[f.name]) if f.normalization == "log" else columns[f.name] for f in features], axis=1
        ).astype(np.float64)

    known = numbers(training)
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    return ((numbers(columns) - mean) / deviation for columns in (training, *others))


def encode(schema: Schema, training: Columns, *others: Columns) -> list[Encoded]:
    """What the plain model reads: standardised numbers, and ids as places in the training rows' vocabulary.

    Place 0 is what is missing, place 1 what the training rows do not hold.
    """
    tables = (training, *others)
    encoded: list[Encoded] = [{"numbers": x.astype(np.float32)} for x in standardised(schema, *tables)]
    for feature in schema.features:
        if feature.kind == "numerical":
            continue
        missing = MISSING_STRING if feature.dtype == "string" else MISSING_INTEGER
        sharing = [f.name for f in schema.features if f.kind != "numerical" and f.table_name == feature.table_name]
        vocabulary = np.unique(np.concatenate([training[name].ravel() for name in sharing]))
        vocabulary = vocabulary[vocabulary != missing]
        for columns, into in zip(tables, encoded, strict=True):
            values = columns[feature.name]
            place = np.minimum(np.searchsorted(vocabulary, values), len(vocabulary) - 1)
            ids = np.where(vocabulary[place] == values, place + 2, 1)
            into[feature.name] = np.where(values == missing, 0, ids).astype(np.int32)
    return encoded


def plain_model(schema: Schema, encoded: Encoded, means: Mapping[str, float], settings: Plain) -> tf_keras.Model:
    """A functional Keras model as anyone would write it: embeddings, shared ReLU layers, one output for each task."""
    layers = tf_keras.layers
    regularizer = tf_keras.regularizers.L2(settings.l2) if settings.l2 else None
    tables: dict[str, tf_keras.layers.Embedding] = {}

    def table_of(feature: Feature) -> tf_keras.layers.Embedding:
        if feature.table_name not in tables:
            sharing = [f.name for f in schema.features if f.kind != "numerical" and f.table_name == feature.table_name]
            tables[feature.table_name] = layers.Embedding(
                1 + max(encoded[name].max() for name in sharing) + 1,
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
        embedded = table_of(feature)(inputs[feature.name])
        if feature.kind == "bag":
            embedded = layers.Lambda(mean_of_bag)([embedded, inputs[feature.name]])
        parts.append(embedded)
    x = layers.Concatenate()(parts)
    for width in settings.units:
        x = layers.Dense(width, "relu", kernel_regularizer=regularizer)(x)
        x = layers.Dropout(settings.dropout)(x)
    outputs = {
        task.name: layers.Dense(
            1,
            "sigmoid" if task.kind == "binary" else None,
            bias_initializer=tf_keras.initializers.Constant(first_bias(task, means[task.name])),
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


def label_means(labels: Columns) -> dict[str, float]:
    """Each task's mean label."""
    return {name: float(values.mean()) for name, values in labels.items()}


def first_bias(task: Task, mean: float) -> float:
    """The bias with which an output begins at the mean label."""
    return mean if task.kind == "regression" else float(np.log(mean / (1 - mean)))


def mean_of_bag(bag: Sequence[tf.Tensor]) -> tf.Tensor:
    """Mean embedding of what is in a bag: ``[B, L, E]`` and the ids ``[B, L]`` to ``[B, E]``, zeros for an empty one."""
    # GlobalAveragePooling1D divides by 0 there, and all weights become NaN in the first step.
    embedded, ids = bag
    there = tf.cast(ids > 0, embedded.dtype)[..., tf.newaxis]
    return tf.math.divide_no_nan(tf.reduce_sum(embedded * there, axis=1), tf.reduce_sum(there, axis=1))


def plain_predictions(
    schema: Schema, training: Columns, held_out: Columns, seed: int, days: Sequence[int] = ()
) -> Columns:
    """The plain model with the chosen settings, trained on all training rows shuffled; or day after day, twice on each.

    Args:
      schema: What enters and leaves.
      training: The training rows, in the order of time.
      held_out: What to predict.
      seed: Seed of weights and order.
      days: Rows of each day; none: all rows are shuffled together.
    """
    tf_keras.utils.set_random_seed(seed)
    known, asked = encode(schema, training, held_out)
    labels = {task.name: training[task.label] for task in schema.tasks}
    model = plain_model(schema, known, label_means(labels), CHOSEN)
    start = 0
    for rows_of_day in days or [len(next(iter(labels.values())))]:
        part = slice(start, start := start + rows_of_day)
        model.fit(
            {name: column[part] for name, column in known.items()},
            {name: label[part] for name, label in labels.items()},
            batch_size=CHOSEN.batch_size,
            epochs=PASSES if days else CHOSEN.epochs,
            verbose=0,
        )
    return {name: values[:, 0] for name, values in model.predict(asked, batch_size=1024, verbose=0).items()}


def preset_predictions(log: Source, held_out: Columns, seed: int, data_dir: str) -> Columns:
    """The preset's own run, and what its SavedModel predicts."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        arguments = [f"--config.data.movielens.data_dir={data_dir}", f"--config.training.seed={seed}"]
        job = [sys.executable, "-m", "steadyrank.pipeline.train", "--config=movielens", f"--model_dir={run}"]
        subprocess.run([*job, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (exported,) = (run / "export").iterdir()
        serve = tf.saved_model.load(str(exported)).signatures["serving_default"]
        features = {f.name: tf.constant(held_out[f.name].tolist(), f.dtype) for f in log.schema.features}
        predicted = {name: values.numpy() for name, values in serve(**features).items()}
        check_against_evaluation(log, run / "metrics" / "eval.jsonl", predicted)
    return predicted


def check_against_evaluation(log: Source, file: Path, predicted: Columns) -> None:
    """What is served must be what the job measured: period by period, task by task."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    start = 0
    for line in (line for line in lines if line["kind"] == "holdout"):
        part = slice(start, start := start + line["rows"])
        truth = rows(log, [log.days.index(line["day"])])
        served = scores(log.schema, truth, {name: values[part] for name, values in predicted.items()})
        for task in log.schema.tasks:
            measured = line[f"auc/{task.name}" if task.kind == "binary" else f"rmse/{task.name}"]
            if abs(measured - served[task.name]) > 1e-3:
                raise RuntimeError(f"{line['day']}: {task.name}: measured {measured}, served {served[task.name]}")


def search(log: Source) -> None:
    """Prints each setting of the grid with its validation loss, the best first."""
    training, validation = rows(log, SEARCH), rows(log, VALIDATION)
    known, asked = encode(log.schema, training, validation)
    labels, asked_labels = ({t.name: part[t.label] for t in log.schema.tasks} for part in (training, validation))
    found = []
    for settings in grid():
        tf_keras.utils.set_random_seed(0)
        model = plain_model(log.schema, known, label_means(labels), settings)
        stop = tf_keras.callbacks.EarlyStopping("val_data_loss", patience=PATIENCE, restore_best_weights=True)
        judge = DataLoss(log.schema)
        model.fit(
            known,
            labels,
            validation_data=(asked, asked_labels),
            validation_batch_size=1024,
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            callbacks=[judge, stop],
            verbose=0,
        )
        settings = dataclasses.replace(settings, epochs=1 + int(np.argmin(judge.losses)))
        predicted = {name: values[:, 0] for name, values in model.predict(asked, batch_size=1024, verbose=0).items()}
        found.append((min(judge.losses), settings, scores(log.schema, validation, predicted)))
        print(f"{found[-1][0]:.4f}  {words(settings)}", file=sys.stderr, flush=True)
    for loss, settings, quality in sorted(found, key=lambda entry: entry[0]):
        print(f"{loss:.4f}  {'  '.join(f'{name} {value:.4f}' for name, value in quality.items())}  {words(settings)}")


def grid() -> Iterator[Plain]:
    """The settings that are tried."""
    rates = {"adam": (3e-4, 1e-3, 3e-3), "adagrad": (0.01, 0.03, 0.1)}
    against = ({}, {"l2": 1e-5}, {"l2": 1e-4}, {"l2": 1e-3}, {"dropout": 0.3}, {"dropout": 0.3, "l2": 1e-4})
    for units, regularisation, optimizer in itertools.product(((64, 32), (128, 64)), against, rates):
        for rate in rates[optimizer]:
            yield Plain(optimizer, rate, units, **regularisation)


class DataLoss(tf_keras.callbacks.Callback):
    """The validation loss without the regularisation, by which settings of any l2 can be compared."""

    def __init__(self, schema: Schema):
        super().__init__()
        self._tasks = schema.tasks
        self.losses: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Adds it to the epoch's logs, where EarlyStopping reads it."""
        logs["val_data_loss"] = sum(task.weight * logs[f"val_{task.name}_loss"] for task in self._tasks)
        self.losses.append(logs["val_data_loss"])


def words(settings: Plain) -> str:
    """The settings, short."""
    units = "-".join(map(str, settings.units))
    more = "".join(f", {name} {getattr(settings, name):g}" for name in ("l2", "dropout") if getattr(settings, name))
    return f"{settings.optimizer} {settings.learning_rate:g}, {units}{more}, {settings.epochs} epochs"


def preset_words() -> str:
    """What the preset is, short."""
    config = load("movielens")
    units = "-".join(map(str, config.model.shared_units))
    return (
        f"{config.optimizer.rule} {config.optimizer.learning_rate:g}, {units}, day by day, {config.data.passes} passes"
    )


def table(schema: Schema, results: dict[str, list[dict[str, float]]]) -> str:
    """A markdown table, one line for each ranker."""
    heads = [f"{'AUC' if task.kind == 'binary' else 'RMSE'} {task.name}" for task in schema.tasks]
    lines = [f"| ranker | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for name, runs in results.items():
        cells = []
        for task in schema.tasks:
            values = [run[task.name] for run in runs]
            spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.4f}{spread}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command(main, define_flags)
