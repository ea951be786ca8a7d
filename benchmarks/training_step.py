"""Measures the cost of clipping, explanations and probes in a whole training step.

    python benchmarks/training_step.py --config=large

The benchmark trains one ranker of a preset with each optimizer. The rankers take turns on the same batches, round after
round. The benchmark prints medians and their ratios to ``tf_keras`` Adagrad. The last ranker is monitored: it has all
probes of :mod:`steadyrank.pipeline.divergence.probes`, and is ready to save a bad step. A last line shows the extra
cost of measuring sharpness and task conflict every 200 steps.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags

from steadyrank.pipeline.config import Config, command
from steadyrank.pipeline.config.quiet import quiet_import

MONITORED = "Clippy, with explanations and probes"
BASELINE = "tf_keras Adagrad"
CURVATURE_STEPS = 200


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_integer("rounds", 9, "Steps of each optimizer that are timed.", lower_bound=3)


def make_batches(source: Any, size: int) -> list[dict[str, Any]]:
    """Makes the batches of the first block of a log."""
    import tensorflow as tf

    block = source.block(0, 0)
    return [
        {
            name: tf.constant(column[start : start + size].tolist(), source.schema.columns[name][0])
            for name, column in block.items()
        }
        for start in range(0, len(next(iter(block.values()))) - size + 1, size)
    ]


def make_rankers(config: Config, source: Any) -> dict[str, Any]:
    """Makes a compiled and built ranker for each optimizer."""
    import tf_keras

    from steadyrank.pipeline.data.feature_statistics import compute_statistics
    from steadyrank.pipeline.training.build import make_optimizer, make_ranker

    statistics = compute_statistics(source, config.data.statistics_rows).statistics
    settings = config.optimizer
    optimizers = {
        BASELINE: lambda: tf_keras.optimizers.Adagrad(settings.learning_rate),
        "Adagrad, no rule": lambda: make_optimizer(dataclasses.replace(settings, rule="none", explain=False), 1),
        "Clippy": lambda: make_optimizer(dataclasses.replace(settings, explain=False), 1),
        "Clippy, with explanations": lambda: make_optimizer(settings, 1),
        MONITORED: lambda: make_optimizer(settings, 1),
    }
    rankers = {}
    for name, make in optimizers.items():
        tf_keras.utils.set_random_seed(0)
        ranker = make_ranker(config, source.schema, statistics, 1)
        ranker.compile(optimizer=make())
        ranker.optimizer.build(ranker.trainable_variables)
        rankers[name] = ranker
    return rankers


def time_steps(
    steps: Mapping[str, Callable[[Any], Any]], batches: Sequence[Any], rounds: int
) -> dict[str, list[float]]:
    """Times the steps in turn and returns the seconds of each round."""
    for step in steps.values():
        step(batches[0])["loss"].numpy()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _, batch in zip(range(rounds), itertools.cycle(batches), strict=False):
        for name, step in steps.items():
            began = time.perf_counter()
            step(batch)["loss"].numpy()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def time_curvature(ranker: Any, rows: Mapping[str, Any]) -> tuple[float, float]:
    """Times the measurement of sharpness and conflicts; returns the seconds of the first one and of later ones."""
    from steadyrank.pipeline.divergence import DivergenceMonitor
    from steadyrank.pipeline.training.curvature import CurvatureCallback

    curvature = CurvatureCallback(CURVATURE_STEPS, DivergenceMonitor())
    curvature.set_model(ranker)
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        curvature.measure(rows)
        seconds.append(time.perf_counter() - began)
    return seconds[0], float(np.median(seconds[1:]))


def main(arguments: flags.FlagValues, config: Config) -> int:
    """Prints the table and returns the exit code."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    with quiet_import():
        import tensorflow as tf

        from steadyrank.pipeline.data.open import open_source
        from steadyrank.pipeline.divergence import Bundles
        from steadyrank.pipeline.divergence.probes import Probes

    source = open_source(config.data)
    batches = make_batches(source, config.data.batch_size)
    rankers = make_rankers(config, source)
    watched = rankers[MONITORED]
    probes = Probes(watched, loss_ratio=2.0, bundles=Bundles(tempfile.mkdtemp()))
    probes.recorder.set_alarm_thresholds({}, armed=True)
    with probes.attached():
        steps = {name: tf.function(ranker.train_step) for name, ranker in rankers.items()}
    seconds = time_steps(steps, batches, arguments.rounds)

    weights = sum(v.shape.num_elements() for v in watched.trainable_variables if "embeddings" not in v.name)
    print(f"{weights:,} weights outside embeddings, batch {config.data.batch_size:,}\n")
    print("| optimizer | median ms per step | minimum ms | ratio |\n|---|---|---|---|")
    for name, rounds in seconds.items():
        # The median of the ratios within each round, because a slow phase of the machine slows both rankers.
        ratio = np.median(np.array(rounds) / np.array(seconds[BASELINE]))
        print(f"| {name} | {np.median(rounds) * 1e3:.1f} | {min(rounds) * 1e3:.1f} | {ratio:.3f} |")
    rows = {name: column[: config.training.sharpness_rows] for name, column in batches[0].items()}
    first, later = time_curvature(watched, rows)
    share = later / (CURVATURE_STEPS * float(np.median(seconds[MONITORED])))
    print(
        f"\nsharpness and conflicts on {config.training.sharpness_rows} rows: {later:.2f} s (the first time {first:.1f} s), "
        f"{share:.2%} of {CURVATURE_STEPS} steps"
    )
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, TensorFlow {tf.__version__}; "
        f"command: python {' '.join(sys.argv)}"
    )
    return 0


if __name__ == "__main__":
    command(main, define_flags, default_config="large")
