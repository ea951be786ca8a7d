"""Measures one optimizer step of steadyrank, TFRS, Keras, TensorFlow's fused kernel and PyTorch, and its lower bound.

    python benchmarks/optimizer_step.py

All contenders of a case take turns in one process, round after round, on the same gradients. The benchmark prints
medians over the rounds and ratios to ``tf_keras`` Adagrad as a table in Markdown. The placement of arrays in
memory can change the time of a step by half. The dense cases therefore allocate all arrays several times, as often as
``--placements`` says, and their medians cover all rounds of all placements. Memory is the peak during a step minus the
resident size between steps. The benchmark skips PyTorch if it is not installed (``pip install torch``).

The lower bound is the number of bytes divided by the bandwidth. In a dense step, Adagrad must read w, g and G and write
w and G: 20 bytes for each coordinate. Clippy must first read all three once more, because sigma depends on the whole
variable: 32 bytes. A sparse step needs the same for the touched rows, and 8 bytes for each number of the gradient,
whose repeated rows must be summed first. To measure the bandwidth, the benchmark adds one array of the size of the case
to another on all cores: two reads and a write, as in an optimizer.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import gc
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from absl import app, flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import keras
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras

from steadyrank.optimizers import Adagrad, ClippyAdagrad
from steadyrank.optimizers import keras3 as steadyrank_keras3

ROUNDS = flags.DEFINE_integer("rounds", 7, "Timed steps of each contender in each placement.", lower_bound=3)
PLACEMENTS = flags.DEFINE_integer("placements", 3, "Number of times that all arrays are allocated.", lower_bound=1)
DENSE = flags.DEFINE_list("dense", ["4194304", "67108864"], "Sizes of the dense variable.")
SPARSE = flags.DEFINE_list("sparse", ["100000", "4000000", "8000000"], "Rows of the embedding table.")
RATE = 0.01
IDS, WIDTH, ZIPF = 16_384, 32, 1.2
REFERENCE = "tf_keras Adagrad"
COORDINATES_PER_ROW = 2048
MAX_ROWS_FOR_ALL = 4_000_000


@dataclasses.dataclass(frozen=True)
class Case:
    """One variable and its gradient.

    Attributes:
      title: Title of its table.
      weights: Creates the initial weights.
      rows: The rows that the gradient touches, with repetitions; None for a dense gradient.
      gradient: The gradient, or the values of its rows.
      table_rows: Number of rows of the table, for a sparse gradient.
    """

    title: str
    weights: Callable[[], np.ndarray]
    rows: np.ndarray | None
    gradient: np.ndarray
    table_rows: int = 0


def cases() -> Iterator[Case]:
    """Generates the cases, one at a time because their arrays are large."""
    rng = np.random.default_rng(0)

    def normal(*shape: int, scale: float) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    for size in map(int, DENSE.value):
        shape = (size // COORDINATES_PER_ROW, COORDINATES_PER_ROW)
        yield Case(
            f"dense, {size / 2**20:.0f} M",
            lambda shape=shape: normal(*shape, scale=0.05),
            None,
            normal(*shape, scale=0.01),
        )
    for count in map(int, SPARSE.value):
        # Zipf ranks, spread over the table like hashed ids.
        rank = np.minimum(rng.zipf(ZIPF, IDS), count) - 1
        rows = rank * 2_654_435_761 % count
        yield Case(
            f"sparse, {IDS // 1024} k ids x {WIDTH}, {count / 1e6:g} M rows",
            lambda count=count: normal(count, WIDTH, scale=0.05),
            rows,
            normal(IDS, WIDTH, scale=0.01),
            count,
        )


def main(argv: list[str]) -> None:
    """Prints a table for each case."""
    del argv
    for case in cases():
        print(
            f"\n**{case.title}**\n\n| optimizer | median ms | minimum ms | ratio | peak memory, MiB |\n|---|---|---|---|---|"
        )
        times: dict[str, list[float]] = {}
        memory: dict[str, int] = {}
        # The touched rows of a table are scattered over memory in any placement, and two sets of tables hardly fit.
        placements, rounds = PLACEMENTS.value, ROUNDS.value
        if case.rows is not None:
            placements, rounds = 1, placements * rounds
        for _ in range(placements):
            steps = {name: make(case) for name, make in contenders(case).items()}
            for name, seconds in measure(steps, rounds).items():
                times.setdefault(name, []).extend(seconds)
            for name, step in steps.items():
                memory[name] = max(memory.get(name, 0), peak_memory(step))
            del steps, step
            gc.collect()
        reference = np.median(times[REFERENCE])
        for name, seconds in times.items():
            median, most = np.median(seconds), memory[name] / 2**20
            print(f"| {name} | {median * 1e3:.2f} | {min(seconds) * 1e3:.2f} | {median / reference:.2f} | {most:.0f} |")
        bandwidth, clippy, adagrad = compute_lower_bound(case)
        print(
            f"| *lower bound for Clippy (for Adagrad)* | {clippy * 1e3:.2f} ({adagrad * 1e3:.2f}) | | {clippy / reference:.2f} "
            f"({adagrad / reference:.2f}) | 0 |\n\nBandwidth {bandwidth / 1e9:.1f} GB/s.",
            flush=True,
        )
    torch = f", PyTorch {__import__('torch').__version__}" if importlib.util.find_spec("torch") else ""
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {processor()}, Python {platform.python_version()}, "
        f"TensorFlow {tf.__version__}, tf_keras {tf_keras.__version__}, Keras {keras.__version__}, TFRS {tfrs.__version__}"
        f"{torch}; command: python {' '.join(sys.argv)}"
    )


Step = Callable[[], object]


def contenders(case: Case) -> dict[str, Callable[[Case], Step]]:
    """Returns the contenders by name. Each creates its variable and returns its step."""
    tfrs_clippy_adagrad = tfrs.experimental.optimizers.ClippyAdagrad
    clip_all = {"exclude_from_clipping": []}
    steps_by_name: dict[str, Callable[[Case], Step]] = {
        REFERENCE: keras2(lambda: tf_keras.optimizers.Adagrad(RATE)),
        "steadyrank ClippyAdagrad": keras2(lambda: ClippyAdagrad(RATE, **clip_all)),
        "steadyrank ClippyAdagrad, with explanations": keras2(
            lambda: ClippyAdagrad(RATE, export_clipping_factors=True, **clip_all)
        ),
        "steadyrank Adagrad, no rule": keras2(lambda: Adagrad(RATE)),
        "TFRS ClippyAdagrad": keras2(lambda: tfrs_clippy_adagrad(RATE)),
        "TensorFlow's fused kernel": fused,
        "Keras 3 Adagrad": in_keras3(lambda: keras.optimizers.Adagrad(RATE)),
        "steadyrank Keras 3 ClippyAdagrad": in_keras3(lambda: steadyrank_keras3.ClippyAdagrad(RATE, **clip_all)),
    }
    if case.rows is not None:
        steps_by_name["steadyrank ClippyAdagrad, per row"] = keras2(
            lambda: ClippyAdagrad(RATE, granularity="row", **clip_all)
        )
    if case.table_rows > MAX_ROWS_FOR_ALL:
        # Each contender needs two gigabytes, and smaller tables already show which steps grow with the table.
        return {
            name: make
            for name, make in steps_by_name.items()
            if name == REFERENCE or name.startswith("steadyrank Clippy")
        }
    if importlib.util.find_spec("torch"):
        steps_by_name["PyTorch Adagrad"] = in_torch(fused=False)
        if case.rows is None:
            steps_by_name["PyTorch Adagrad, fused"] = in_torch(fused=True)
    return steps_by_name


def keras2(make: Callable[[], tf_keras.optimizers.Optimizer]) -> Callable[[Case], Step]:
    """A Keras 2 optimizer."""

    def prepare(case: Case) -> Step:
        variable, optimizer = tf.Variable(case.weights()), make()
        optimizer.build([variable])
        gradient = in_tensorflow(case)
        step = tf.function(lambda gradient: optimizer.apply_gradients([(gradient, variable)]))
        return lambda: step(gradient).numpy()

    return prepare


def in_keras3(make: Callable[[], keras.optimizers.Optimizer]) -> Callable[[Case], Step]:
    """A Keras 3 optimizer, on TensorFlow."""

    def prepare(case: Case) -> Step:
        variable, optimizer = keras.Variable(case.weights()), make()
        optimizer.build([variable])
        gradient = in_tensorflow(case)

        @tf.function
        def step(gradient: tf.Tensor) -> tf.Tensor:
            optimizer.apply([gradient], [variable])
            return tf.convert_to_tensor(optimizer.iterations)

        return lambda: step(gradient).numpy()

    return prepare


def fused(case: Case) -> Step:
    """TensorFlow's own Adagrad kernel, without a rule; the sparse kernel applies repeated rows one after the other."""
    variable = tf.Variable(case.weights())
    accumulator = tf.Variable(tf.fill(variable.shape, 0.1))
    gradient = in_tensorflow(case)

    @tf.function
    def step(gradient: tf.Tensor) -> tf.Tensor:
        common = {"var": variable.handle, "accum": accumulator.handle, "lr": RATE, "epsilon": 1e-7}
        if isinstance(gradient, tf.IndexedSlices):
            tf.raw_ops.ResourceSparseApplyAdagradV2(grad=gradient.values, indices=gradient.indices, **common)
        else:
            tf.raw_ops.ResourceApplyAdagradV2(grad=gradient, **common)
        return tf.gather(variable, 0)[0]

    return lambda: step(gradient).numpy()


def in_torch(fused: bool) -> Callable[[Case], Step]:
    """PyTorch's Adagrad."""
    import torch

    def prepare(case: Case) -> Step:
        weights = torch.nn.Parameter(torch.from_numpy(case.weights()))
        options = {"fused": True} if fused else {"foreach": False}
        optimizer = torch.optim.Adagrad([weights], RATE, initial_accumulator_value=0.1, eps=1e-7, **options)
        values = torch.from_numpy(case.gradient)
        rows = None if case.rows is None else torch.from_numpy(case.rows[np.newaxis])

        def step() -> None:
            # A new sparse gradient each time: its repeated rows are summed within the step, as for the other
            # contenders.
            weights.grad = values if rows is None else torch.sparse_coo_tensor(rows, values, weights.shape)
            optimizer.step()

        return step

    return prepare


def in_tensorflow(case: Case) -> tf.Tensor | tf.IndexedSlices:
    """The gradient."""
    values = tf.constant(case.gradient)
    if case.rows is None:
        return values
    return tf.IndexedSlices(values, tf.constant(case.rows), tf.constant([case.table_rows, WIDTH], tf.int64))


def measure(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Times the contenders in turn and returns the seconds of each step."""
    for step in steps.values():
        # The first call traces and compiles, the second allocates memory.
        step()
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - began)
    return times


def peak_memory(step: Step) -> int:
    """Measures the peak bytes during two steps minus the bytes that were resident before."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def resident(which: str) -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith(which))
        return int(line.split()[1]) * 1024

    gc.collect()
    before = resident("VmRSS")
    # Resets the peak to the current size.
    reset.write_text("5")
    step()
    step()
    return max(0, resident("VmHWM") - before)


def compute_lower_bound(case: Case) -> tuple[float, float, float]:
    """Measures the bandwidth in bytes per second, and computes the minimum seconds of Clippy and of plain Adagrad."""
    size = max(case.gradient.size, 1 << 22)
    source, target = np.ones(size, np.float32), np.zeros(size, np.float32)
    parts = np.array_split(np.arange(size), os.cpu_count() or 1)
    bounds = [slice(part[0], part[-1] + 1) for part in parts]
    shortest = float("inf")
    with concurrent.futures.ThreadPoolExecutor(len(bounds)) as pool:
        for _ in range(2 * ROUNDS.value):
            began = time.perf_counter()
            list(pool.map(lambda part: np.add(target[part], source[part], out=target[part]), bounds))
            shortest = min(shortest, time.perf_counter() - began)
    bandwidth = 12 * size / shortest
    if case.rows is None:
        return bandwidth, 32 * case.gradient.size / bandwidth, 20 * case.gradient.size / bandwidth
    touched, summing = len(np.unique(case.rows)) * WIDTH, 8 * case.gradient.size
    return bandwidth, (32 * touched + summing) / bandwidth, (20 * touched + summing) / bandwidth


def processor() -> str:
    """Returns the processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    app.run(main)
