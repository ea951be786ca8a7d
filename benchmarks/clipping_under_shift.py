"""What clipping does when the data shifts: the same run with and without Clippy, at several learning rates.

    python benchmarks/clipping_under_shift.py --out=docs

Trains the demo's ranker on a simulated log whose distribution shifts on day 4, once for each rule and rate, each as a
process of its own. Prints a table in Markdown and draws ``clipping_under_shift.png``: about six minutes on two cores.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from absl import app, flags

from steadyrank.pipeline.reporting import read_lines

RATES = flags.DEFINE_list("rates", ["0.1", "0.2", "0.5", "1.0"], "Learning rates.")
DRAWN = flags.DEFINE_string("drawn", "0.5", "The rate that is drawn.")
OUT = flags.DEFINE_string("out", "docs", "Folder of the picture.")
RULES = ("none", "clippy")
SHIFT_DAY = 4
SETTINGS = (
    "--config=demo",
    "--config.data.simulated.days=8",
    "--config.data.simulated.rows_per_day=65536",
    f"--config.data.simulated.hazards=shift@{SHIFT_DAY}",
    "--config.training.on_divergence=observe",
)
NAMES = {"none": "Adagrad", "clippy": "Adagrad with Clippy"}


def run(folder: Path, rule: str, rate: str) -> Path:
    """Trains once and returns the model_dir."""
    model_dir = folder / f"{rule}-{rate}"
    flags_ = [*SETTINGS, f"--config.optimizer.rule={rule}", f"--config.optimizer.learning_rate={rate}"]
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-m", "steadyrank.pipeline.train", *flags_, f"--model_dir={model_dir}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode not in (0, 3):
        raise RuntimeError(ran.stderr)
    print(f"{rule} at {rate}: exit code {ran.returncode}, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return model_dir


def row(model_dir: Path) -> str:
    """One line of the table."""
    rule, rate = model_dir.name.split("-")
    held_out = [line for line in read_lines(model_dir / "metrics" / "eval.jsonl") if line["kind"] == "holdout"]
    worst = max(line["loss"] for line in read_lines(model_dir / "metrics" / "train.jsonl"))
    verdict = json.loads((model_dir / "divergence.json").read_text())["verdict"]
    exported = "yes" if (model_dir / "export").exists() else "no"
    auc = f"{held_out[-1]['auc/click']:.4f}" if held_out else "-"
    return f"| {NAMES[rule]} | {rate} | {auc} | {worst:.3g} | {verdict} | {exported} |"


def draw(runs: dict[str, Path], rate: str, path: Path) -> None:
    """Loss and AUC of click over the steps, of both rules."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 3.4), layout="constrained")
    colours = {"none": "#c4472b", "clippy": "#2a7f62"}
    for rule, model_dir in runs.items():
        lines = read_lines(model_dir / "metrics" / "train.jsonl")
        steps = [line["step"] for line in lines]
        for axis, key in zip(axes, ("loss", "auc/click"), strict=True):
            axis.plot(steps, [line[key] for line in lines], color=colours[rule], label=NAMES[rule], linewidth=1.8)
    days = read_lines(runs["clippy"] / "metrics" / "eval.jsonl")
    shift = next(line["step"] for line in days if line["day"] == f"day_{SHIFT_DAY:03d}")
    axes[1].step(
        [line["step"] for line in days],
        [line["ceiling/auc/click"] for line in days],
        where="post",
        color="#555555",
        linestyle="--",
        linewidth=1,
        label="best possible ranker",
    )
    axes[0].set_yscale("log")
    axes[0].set_ylabel("training loss (log scale)")
    axes[1].set_ylabel("training AUC of click")
    for axis in axes:
        axis.axvline(shift, color="#999999", linewidth=1)
        axis.annotate(
            "the data shifts",
            (shift, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -12),
            textcoords="offset points",
            color="#666666",
            fontsize=9,
        )
        axis.set_xlabel("training step")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#eeeeee")
    axes[1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    axes[1].set_ylim(0.48, 0.83)
    figure.suptitle(f"One ranker, one log, learning rate {rate}: with and without Clippy", fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main(argv: list[str]) -> None:
    """Runs everything, prints the table, draws the picture."""
    del argv
    with tempfile.TemporaryDirectory() as folder:
        runs = {(rule, rate): run(Path(folder), rule, rate) for rate in RATES.value for rule in RULES}
        print("| optimizer | learning rate | AUC of click, held out | worst training loss | verdict | exported |")
        print("|---|---|---|---|---|---|")
        for model_dir in runs.values():
            print(row(model_dir))
        draw(
            {rule: runs[rule, DRAWN.value] for rule in RULES}, DRAWN.value, Path(OUT.value) / "clipping_under_shift.png"
        )
    versions = subprocess.run([sys.executable, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    tensorflow = next(line.split()[1] for line in versions.splitlines() if line.startswith("tensorflow "))
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"TensorFlow {tensorflow}; command: python {' '.join(sys.argv)}"
    )


if __name__ == "__main__":
    app.run(main)
