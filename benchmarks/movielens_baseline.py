"""Compares the preset ``movielens`` with a tuned plain Keras model.

    python benchmarks/movielens_baseline.py --data_dir=DIR
    python benchmarks/movielens_baseline.py --data_dir=DIR --tune

All rankers get the same features of the same rows: MovieLens 100K in order of time, in 20 periods. They train on the
first 16 periods. The benchmark evaluates them on the last 4 periods, which were not used for tuning. The training
command trains the preset in a separate process, and the benchmark evaluates the exported SavedModel.

With ``--tune``, the command searches the settings of the plain model instead. It trains each combination of the grid on
periods 0 to 13 and evaluates it on periods 14 and 15.
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from absl import flags

from steadyrank.pipeline.config import command, load
from steadyrank.pipeline.config.quiet import quiet_import
from steadyrank.pipeline.config.settings import Movielens

# All models use Keras 2, as the pipeline does.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
with quiet_import():
    import plain_keras_ranker
    import tensorflow as tf
    import tf_keras
    from plain_keras_ranker import PlainSettings, encode, make_model, mean_labels, standardize

    from steadyrank.foundation.auc import exact_auc
    from steadyrank.models.schema import Schema
    from steadyrank.pipeline.data import Columns, Source
    from steadyrank.pipeline.data.movielens import MovielensLog

PERIODS = 20
SEARCH_TRAINING, SEARCH_VALIDATION = range(14), range(14, 16)
TRAINING, HOLDOUT = range(16), range(16, 20)
PATIENCE = 2
PASSES = load("movielens").data.passes

# The setting with the lowest validation loss of the grid: `--tune`, 2026-11-25.
TUNED = PlainSettings("adagrad", 0.03, (64, 32), l2=1e-3, epochs=4)


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("data_dir", "", "Folder of prepared TFDS data. Empty: TFDS's default, with a download.")
    flags.DEFINE_integer("seeds", 3, "Number of runs of each ranker that depends on a seed.", lower_bound=1)
    flags.DEFINE_bool("tune", False, "Search the settings of the plain model by validation, and stop.")


def main(arguments: flags.FlagValues) -> int:
    """Prints the table; returns the exit code."""
    log = MovielensLog(Movielens(data_dir=arguments.data_dir, periods=PERIODS))
    if arguments.tune:
        search(log)
        return 0
    start = time.monotonic()
    schema, training, heldout = log.schema, read_rows(log, TRAINING), read_rows(log, HOLDOUT)
    results = {
        "constant: mean label of the training rows": [
            evaluate(schema, heldout, predict_mean(schema, training, heldout))
        ],
        "ridge / logistic regression on the numerical features": [
            evaluate(schema, heldout, predict_linear(schema, training, heldout))
        ],
        f"plain Keras: {TUNED}": [],
        "the same, day by day": [],
        f"preset movielens: {describe_preset()}": [],
    }
    *_, plain, day_by_day, preset = results
    seconds: dict[str, list[float]] = {plain: [], day_by_day: [], preset: []}
    days = [len(log.block(day, 0)["rating"]) for day in TRAINING]

    def measure(name: str, predict: Callable[[], Columns]) -> None:
        run_start = time.monotonic()
        results[name].append(evaluate(schema, heldout, predict()))
        seconds[name].append(time.monotonic() - run_start)
        print(f"{name}: {results[name][-1]}", file=sys.stderr, flush=True)

    train_plain = functools.partial(plain_keras_ranker.predict, TUNED, schema, training, heldout)
    for seed in range(arguments.seeds):
        measure(plain, functools.partial(train_plain, seed))
        measure(day_by_day, functools.partial(train_plain, seed, days, PASSES))
        measure(preset, functools.partial(predict_with_preset, log, heldout, seed, arguments.data_dir))
    print(format_table(schema, results))
    print(
        f"\nMovieLens 100K in {PERIODS} periods: trained on {len(training['rating']):,} rows, evaluated on the "
        f"{len(heldout['rating']):,} rows after them. Mean ± standard deviation over {arguments.seeds} seeds. Seconds per run: "
        f"plain Keras {np.mean(seconds[plain]):.0f}, preset {np.mean(seconds[preset]):.0f} (in its own process, with start-up, "
        f"evaluation of each period, export and report); {time.monotonic() - start:.0f} s in total.\n"
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"tf_keras {tf_keras.__version__}; {time.strftime('%Y-%m-%d')}; python {' '.join(sys.argv)}"
    )
    return 0


def read_rows(log: Source, periods: Sequence[int]) -> Columns:
    """Reads all columns of some periods, in the log's order."""
    blocks = [log.block(day, index) for day in periods for index in range(len(log.block_rows(day)))]
    return {name: np.concatenate([block[name] for block in blocks]) for name in log.schema.columns}


def evaluate(schema: Schema, labels: Columns, predictions: Columns) -> dict[str, float]:
    """Computes the AUC of each binary task and the RMSE of each regression task, over all rows together."""
    return {
        task.name: exact_auc(labels[task.label], predictions[task.name])
        if task.kind == "binary"
        else float(np.sqrt(np.mean(np.square(labels[task.label].astype(np.float64) - predictions[task.name]))))
        for task in schema.tasks
    }


# The rankers.


def predict_mean(schema: Schema, training: Columns, heldout: Columns) -> Columns:
    """Predicts the mean label for every row."""
    return {task.name: np.full(len(heldout[task.label]), training[task.label].mean()) for task in schema.tasks}


def predict_linear(schema: Schema, training: Columns, heldout: Columns, penalty: float = 100.0) -> Columns:
    """Predicts with ridge regression for regression tasks and logistic regression for binary ones, from numerical features."""
    x, x_heldout = (
        np.pad(features, ((0, 0), (0, 1)), constant_values=1.0) for features in standardize(schema, training, heldout)
    )
    ridge = penalty * np.eye(x.shape[1])
    ridge[-1, -1] = 0.0
    predictions = {}
    for task in schema.tasks:
        label = training[task.label].astype(np.float64)
        if task.kind == "regression":
            weights = np.linalg.solve(x.T @ x + ridge, x.T @ label)
        else:
            weights = np.zeros(x.shape[1])
            # Newton's method converges in fewer than 12 steps.
            for _ in range(12):
                probability = 1 / (1 + np.exp(-x @ weights))
                hessian = (x * (probability * (1 - probability))[:, np.newaxis]).T @ x + ridge
                weights += np.linalg.solve(hessian, x.T @ (label - probability) - ridge @ weights)
        predictions[task.name] = x_heldout @ weights
    return predictions


def predict_with_preset(log: Source, heldout: Columns, seed: int, data_dir: str) -> Columns:
    """Trains the preset and predicts with its SavedModel."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        arguments = [f"--config.data.movielens.data_dir={data_dir}", f"--config.training.seed={seed}"]
        job = [sys.executable, "-m", "steadyrank.pipeline.train", "--config=movielens", f"--model_dir={run}"]
        subprocess.run([*job, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (exported,) = (run / "export").iterdir()
        serve = tf.saved_model.load(str(exported)).signatures["serving_default"]
        features = {f.name: tf.constant(heldout[f.name].tolist(), f.dtype) for f in log.schema.features}
        predictions = {name: values.numpy() for name, values in serve(**features).items()}
        check_against_evaluation(log, run / "metrics" / "eval.jsonl", predictions)
    return predictions


def check_against_evaluation(log: Source, file: Path, predictions: Columns) -> None:
    """Checks that the SavedModel reaches the metrics that the job measured, for each period and task."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    start = 0
    for line in (line for line in lines if line["kind"] == "holdout"):
        part = slice(start, start := start + line["rows"])
        labels = read_rows(log, [log.days.index(line["day"])])
        served = evaluate(log.schema, labels, {name: values[part] for name, values in predictions.items()})
        for task in log.schema.tasks:
            measured = line[f"auc/{task.name}" if task.kind == "binary" else f"rmse/{task.name}"]
            if abs(measured - served[task.name]) > 1e-3:
                raise RuntimeError(f"{line['day']}: {task.name}: measured {measured}, served {served[task.name]}")


# The search.


def search(log: Source) -> None:
    """Prints each setting of the grid with its validation loss, the best first."""
    training, validation = read_rows(log, SEARCH_TRAINING), read_rows(log, SEARCH_VALIDATION)
    training_inputs, validation_inputs = encode(log.schema, training, validation)
    labels, validation_labels = ({t.name: part[t.label] for t in log.schema.tasks} for part in (training, validation))
    entries = []
    for settings in make_grid():
        tf_keras.utils.set_random_seed(0)
        model = make_model(log.schema, training_inputs, mean_labels(labels), settings)
        stop = tf_keras.callbacks.EarlyStopping("val_data_loss", patience=PATIENCE, restore_best_weights=True)
        recorder = DataLoss(log.schema)
        model.fit(
            training_inputs,
            labels,
            validation_data=(validation_inputs, validation_labels),
            validation_batch_size=1024,
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            callbacks=[recorder, stop],
            verbose=0,
        )
        settings = dataclasses.replace(settings, epochs=1 + int(np.argmin(recorder.losses)))
        outputs = model.predict(validation_inputs, batch_size=1024, verbose=0)
        predictions = {name: values[:, 0] for name, values in outputs.items()}
        entries.append((min(recorder.losses), settings, evaluate(log.schema, validation, predictions)))
        print(f"{entries[-1][0]:.4f}  {settings}", file=sys.stderr, flush=True)
    for loss, settings, quality in sorted(entries, key=lambda entry: entry[0]):
        print(f"{loss:.4f}  {'  '.join(f'{name} {value:.4f}' for name, value in quality.items())}  {settings}")


def make_grid() -> Iterator[PlainSettings]:
    """Yields the settings to try."""
    rates = {"adam": (3e-4, 1e-3, 3e-3), "adagrad": (0.01, 0.03, 0.1)}
    regularizations = ({}, {"l2": 1e-5}, {"l2": 1e-4}, {"l2": 1e-3}, {"dropout": 0.3}, {"dropout": 0.3, "l2": 1e-4})
    for units, regularization, optimizer in itertools.product(((64, 32), (128, 64)), regularizations, rates):
        for rate in rates[optimizer]:
            yield PlainSettings(optimizer, rate, units, **regularization)


class DataLoss(tf_keras.callbacks.Callback):
    """Records the validation loss without the regularization, so that settings with different ``l2`` can be compared."""

    def __init__(self, schema: Schema):
        super().__init__()
        self._tasks = schema.tasks
        self.losses: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Adds the loss to the logs of the epoch, from which EarlyStopping reads it."""
        logs["val_data_loss"] = sum(task.weight * logs[f"val_{task.name}_loss"] for task in self._tasks)
        self.losses.append(logs["val_data_loss"])


# The table.


def describe_preset() -> str:
    """Returns the preset's settings in a few words."""
    config = load("movielens")
    units = "-".join(map(str, config.model.shared_units))
    return (
        f"{config.optimizer.rule} {config.optimizer.learning_rate:g}, {units}, day by day, {config.data.passes} passes"
    )


def format_table(schema: Schema, results: dict[str, list[dict[str, float]]]) -> str:
    """Formats a Markdown table with one row for each ranker."""
    headers = [f"{'AUC' if task.kind == 'binary' else 'RMSE'} {task.name}" for task in schema.tasks]
    lines = [f"| ranker | {' | '.join(headers)} |", "|---" * (1 + len(headers)) + "|"]
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
