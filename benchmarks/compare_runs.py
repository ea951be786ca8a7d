"""Compares two runs bit for bit: weights and accumulators, metrics, and the exported model.

    python benchmarks/compare_runs.py RUN_BEFORE RUN_AFTER

Use it to show that a refactoring changes no number. Weights are matched by their path in the checkpoint, or by their
content if a path was renamed. Metrics are matched by key; keys that measure time are left out. Exit code: 0 equal, 1
different.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

TIMES = ("examples_per_second", "input_wait_fraction")
# Entries of a checkpoint that are not numbers: its structure, and the monitor's state as text.
NOT_NUMBERS = ("_CHECKPOINTABLE_OBJECT_GRAPH", "monitor", "save_counter")


def main(before: str, after: str) -> int:
    """Prints a line for each part of the runs; returns the exit code."""
    parts = {
        "checkpoint": [_checkpoint(Path(run)) for run in (before, after)],
        "export": [_export(Path(run)) for run in (before, after)],
        "metrics/train.jsonl": [_metrics(Path(run) / "metrics" / "train.jsonl") for run in (before, after)],
        "metrics/eval.jsonl": [_metrics(Path(run) / "metrics" / "eval.jsonl") for run in (before, after)],
    }
    differences = {name: _differences(*contents) for name, contents in parts.items()}
    for name, different in differences.items():
        compared = len(parts[name][0])
        print(f"{name:<20} {compared:>6,} values compared, {len(different):,} differ")
        for key in different[:5]:
            print(f"    {key}")
    return 1 if any(differences.values()) else 0


def _checkpoint(run: Path) -> dict[str, bytes]:
    newest = tf.train.latest_checkpoint(str(run / "checkpoints"))
    reader = tf.train.load_checkpoint(newest)
    names = [name for name in reader.get_variable_to_shape_map() if not name.startswith(NOT_NUMBERS)]
    return {name: _content(reader.get_tensor(name)) for name in names}


def _export(run: Path) -> dict[str, bytes]:
    versions = sorted((run / "export").glob("[0-9]*"), key=lambda path: int(path.name))
    if not versions:
        return {}
    model = tf.saved_model.load(str(versions[-1]))
    signature = model.signatures["serving_default"]
    contents = {f"variable {variable.name}": _content(variable.numpy()) for variable in signature.variables}
    generator = np.random.default_rng(0)
    inputs = {name: _example(spec, generator) for name, spec in signature.structured_input_signature[1].items()}
    return contents | {f"output {name}": _content(value.numpy()) for name, value in signature(**inputs).items()}


def _example(spec: tf.TensorSpec, generator: np.random.Generator) -> tf.Tensor:
    shape = [5 if size is None else size for size in spec.shape]
    if spec.dtype == tf.string:
        return tf.constant(generator.integers(0, 100, shape).astype(str))
    return tf.cast(tf.constant(generator.integers(0, 100, shape)), spec.dtype)


def _content(value: np.ndarray) -> bytes:
    return f"{value.dtype} {value.shape} ".encode() + (
        repr(value.tolist()).encode() if value.dtype == object else value.tobytes()
    )


def _metrics(path: Path) -> dict[str, bytes]:
    contents = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        entries = json.loads(line).items()
        contents |= {f"line {number}: {key}": repr(value).encode() for key, value in entries if key not in TIMES}
    return contents


def _differences(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    different = [key for key in before if before[key] != after.get(key)]
    # A renamed path has the content of a path that no longer exists.
    renamed = Counter(after[key] for key in after if key not in before)
    for key in list(different):
        if key not in after and renamed[before[key]]:
            renamed[before[key]] -= 1
            different.remove(key)
    return different + [f"{key} is new" for key in after if key not in before and renamed[after[key]] > 0]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python benchmarks/compare_runs.py RUN_BEFORE RUN_AFTER")
    sys.exit(main(*sys.argv[1:]))
