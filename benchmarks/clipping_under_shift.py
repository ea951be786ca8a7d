"""Measures the effect of clipping when the data shifts: the same run with and without Clippy, at several learning rates.

    python benchmarks/clipping_under_shift.py --out=docs

Trains the demo's ranker on a simulated log whose distribution shifts on day 4, once for each rule and learning rate,
each in a separate process. Prints a table in Markdown and draws ``clipping_under_shift.png``. Takes about six minutes
on two cores.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from absl import app, flags
from matplotlib.axes import Axes

from steadyrank.pipeline.reporting import read_lines

RATES = flags.DEFINE_list("rates", ["0.1", "0.2", "0.5", "1.0"], "Learning rates to train with.")
DRAWN = flags.DEFINE_string("drawn", "0.5", "Learning rate of the runs in the picture; one of --rates.")
OUT = flags.DEFINE_string("out", "docs", "Folder of the picture.")

SHIFT_DAY = 4
SETTINGS = (
    "--config=demo",
    "--config.data.simulated.days=8",
    "--config.data.simulated.rows_per_day=65536",
    f"--config.data.simulated.hazards=shift@{SHIFT_DAY}",
    "--config.training.on_divergence=observe",
)
RULE_NAMES = {"none": "Adagrad", "clippy": "Adagrad with Clippy"}
RULE_COLORS = {"none": "#c4472b", "clippy": "#2a7f62"}
# Exit code 3 means that the run diverged and was not published, which is a valid result here.
EXPECTED_EXIT_CODES = (0, 3)


def train(folder: Path, rule: str, rate: str) -> Path:
    """Trains once and returns the model_dir.

    Raises:
      RuntimeError: If the run failed, with its messages.
    """
    model_dir = folder / f"{rule}-{rate}"
    settings = [*SETTINGS, f"--config.optimizer.rule={rule}", f"--config.optimizer.learning_rate={rate}"]
    start = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-m", "steadyrank.pipeline.train", *settings, f"--model_dir={model_dir}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode not in EXPECTED_EXIT_CODES:
        raise RuntimeError(process.stderr)
    seconds = time.monotonic() - start
    print(f"{rule} at {rate}: exit code {process.returncode}, {seconds:.0f} s", file=sys.stderr)
    return model_dir


def make_row(rule: str, rate: str, model_dir: Path) -> str:
    """Makes a run's row of the table."""
    held_out = [line for line in read_lines(model_dir / "metrics" / "eval.jsonl") if line["kind"] == "holdout"]
    worst_loss = max(line["loss"] for line in read_lines(model_dir / "metrics" / "train.jsonl"))
    verdict = json.loads((model_dir / "divergence.json").read_text(encoding="utf-8"))["verdict"]
    is_exported = "yes" if (model_dir / "export").exists() else "no"
    auc = f"{held_out[-1]['auc/click']:.4f}" if held_out else "-"
    return f"| {RULE_NAMES[rule]} | {rate} | {auc} | {worst_loss:.3g} | {verdict} | {is_exported} |"


def draw(runs: Mapping[str, Path], rate: str, path: Path) -> None:
    """Draws loss and AUC of click over the training step.

    Args:
      runs: The model_dir of each rule.
      rate: The learning rate of the runs.
      path: The picture.
    """
    figure, (loss_axes, auc_axes) = plt.subplots(1, 2, figsize=(12, 3.4), layout="constrained")
    for rule, model_dir in runs.items():
        lines = read_lines(model_dir / "metrics" / "train.jsonl")
        steps = [line["step"] for line in lines]
        for axes, key in ((loss_axes, "loss"), (auc_axes, "auc/click")):
            values = [line[key] for line in lines]
            axes.plot(steps, values, color=RULE_COLORS[rule], label=RULE_NAMES[rule], linewidth=1.8)
    evaluations = read_lines(runs["clippy"] / "metrics" / "eval.jsonl")
    auc_axes.step(
        [line["step"] for line in evaluations],
        [line["ceiling/auc/click"] for line in evaluations],
        where="post",
        color="#555555",
        linestyle="--",
        linewidth=1,
        label="best possible ranker",
    )
    shift_step = next(line["step"] for line in evaluations if line["day"] == f"day_{SHIFT_DAY:03d}")
    for axes in (loss_axes, auc_axes):
        _finish_axes(axes, shift_step)
    loss_axes.set_yscale("log")
    loss_axes.set_ylabel("training loss (log scale)")
    auc_axes.set_ylabel("training AUC of click")
    auc_axes.set_ylim(0.48, 0.83)
    auc_axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(f"The same ranker and log, learning rate {rate}, with and without Clippy", fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _finish_axes(axes: Axes, shift_step: int) -> None:
    """Marks the step of the shift and sets the common properties of both panels."""
    axes.axvline(shift_step, color="#999999", linewidth=1)
    axes.annotate(
        "the data shifts",
        (shift_step, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-4, -12),
        textcoords="offset points",
        ha="right",
        color="#666666",
        fontsize=9,
    )
    axes.set_xlabel("training step")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eeeeee")


def main(argv: list[str]) -> None:
    """Trains all runs, prints the table and draws the picture."""
    del argv
    if DRAWN.value not in RATES.value:
        raise app.UsageError(f"--drawn must be one of --rates ({', '.join(RATES.value)}), got {DRAWN.value}")
    with tempfile.TemporaryDirectory() as folder:
        runs = {(rule, rate): train(Path(folder), rule, rate) for rate in RATES.value for rule in RULE_NAMES}
        print("| optimizer | learning rate | AUC of click, held out | worst training loss | verdict | exported |")
        print("|---|---|---|---|---|---|")
        for (rule, rate), model_dir in runs.items():
            print(make_row(rule, rate, model_dir))
        drawn_runs = {rule: runs[rule, DRAWN.value] for rule in RULE_NAMES}
        draw(drawn_runs, DRAWN.value, Path(OUT.value) / "clipping_under_shift.png")
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"TensorFlow {importlib.metadata.version('tensorflow')}; command: python {' '.join(sys.argv)}"
    )


if __name__ == "__main__":
    app.run(main)
