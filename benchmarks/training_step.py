"""What clipping, explanations and watching cost in a whole training step: Adagrad and Clippy in turn on one ranker.

    python benchmarks/training_step.py --config=large

The ranker of a preset is made once for each optimizer; they take turns on the same batches, round after round. Prints
medians and their ratios to ``tf_keras`` Adagrad. *Watched* has all probes of :mod:`steadyrank.pipeline.divergence.probes`, and
waits for a bad step to save; last comes what measuring sharpness and the tasks' conflict every 200 steps adds.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import platform
import sys
import tempfile
import time

import numpy as np
from absl import flags

from steadyrank.pipeline.config import Config, command
from steadyrank.pipeline.config.quiet import quiet_import


def define_flags() -> None:
    """The command's own flags."""
    flags.DEFINE_integer("rounds", 9, "Steps of each optimizer that are timed.", lower_bound=3)


def main(arguments: flags.FlagValues, config: Config) -> int:
    """Prints the table; returns the exit code."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    with quiet_import():
        import tensorflow as tf
        import tf_keras

        from steadyrank.pipeline.data.feature_statistics import compute_statistics
        from steadyrank.pipeline.data.open import open_source
        from steadyrank.pipeline.divergence import Bundles, DivergenceMonitor
        from steadyrank.pipeline.divergence.probes import Probes
        from steadyrank.pipeline.training.build import make_optimizer, make_ranker
        from steadyrank.pipeline.training.curvature import CurvatureCallback

    source = open_source(config.data)
    statistics = compute_statistics(source, config.data.statistics_rows).statistics
    block, size = source.block(0, 0), config.data.batch_size
    batches = [
        {
            name: tf.constant(column[start : start + size].tolist(), source.schema.columns[name][0])
            for name, column in block.items()
        }
        for start in range(0, len(next(iter(block.values()))) - size + 1, size)
    ]
    rate = config.optimizer.learning_rate
    variants = {
        "tf_keras Adagrad": lambda: tf_keras.optimizers.Adagrad(rate),
        "Adagrad, no rule": lambda: make_optimizer(
            dataclasses.replace(config.optimizer, rule="none", explain=False), 1
        ),
        "Clippy": lambda: make_optimizer(dataclasses.replace(config.optimizer, explain=False), 1),
        "Clippy, explaining": lambda: make_optimizer(config.optimizer, 1),
        "Clippy, explaining, watched": lambda: make_optimizer(config.optimizer, 1),
    }
    steps, weights = {}, 0
    for name, make in variants.items():
        tf_keras.utils.set_random_seed(0)
        ranker = make_ranker(config, source.schema, statistics, 1)
        ranker.compile(optimizer=make())
        ranker.optimizer.build(ranker.trainable_variables)
        weights = sum(v.shape.num_elements() for v in ranker.trainable_variables if "embeddings" not in v.name)
        if name.endswith("watched"):
            probes = Probes(ranker, loss_ratio=2.0, bundles=Bundles(tempfile.mkdtemp()))
            probes.attach()
            probes.recorder.set_alarm_thresholds({}, armed=True)
        steps[name] = tf.function(ranker.train_step)
        steps[name](batches[0])["loss"].numpy()
    times = {name: [] for name in steps}
    for _, batch in zip(range(arguments.rounds), itertools.cycle(batches), strict=False):
        for name, step in steps.items():
            began = time.perf_counter()
            step(batch)["loss"].numpy()
            times[name].append(time.perf_counter() - began)
    print(
        f"{weights:,} weights outside embeddings, batch {size:,}\n\n| optimizer | ms a step | least ms | ratio |\n|---|---|---|---|"
    )
    for name, seconds in times.items():
        # Of pairs from one round, so that what slows the machine for a while slows both.
        ratio = np.median(np.array(seconds) / np.array(times["tf_keras Adagrad"]))
        print(f"| {name} | {np.median(seconds) * 1e3:.1f} | {min(seconds) * 1e3:.1f} | {ratio:.3f} |")
    step = float(np.median(times["Clippy, explaining, watched"]))
    curvature = CurvatureCallback(200, DivergenceMonitor())
    curvature.set_model(ranker)
    rows = {name: column[: config.training.sharpness_rows] for name, column in batches[0].items()}
    measured = []
    for _ in range(4):
        began = time.perf_counter()
        curvature.measure(rows)
        measured.append(time.perf_counter() - began)
    seconds = float(np.median(measured[1:]))
    print(
        f"\nsharpness and conflict on {config.training.sharpness_rows} rows: {seconds:.2f} s (the first {measured[0]:.1f} s), "
        f"{seconds / (200 * step):.2%} of 200 steps"
    )
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, TensorFlow {tf.__version__}; "
        f"command: python {' '.join(sys.argv)}"
    )
    return 0


if __name__ == "__main__":
    command(main, define_flags, default_config="large")
