"""Measures how much rollback recovers: compares runs that fully diverge, with and without it, to the best stable rate.

    python benchmarks/rollback.py

The ranker of the demo trains with plain Adagrad on a simulated log whose distribution shifts on day 4. First, several
learning rates run without rollback. The reference is the best stable rate on the held-out day. Then the benchmark
repeats the diverged runs with rollback. The benchmark prints a table in Markdown.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from absl import app, flags

from steadyrank.pipeline.reporting import read_lines

RATES = flags.DEFINE_list("rates", ["0.05", "0.1", "0.2", "0.5", "1.0"], "Learning rates.")
SETTINGS = (
    "--config=demo",
    "--config.data.simulated.days=12",
    "--config.data.simulated.rows_per_day=65536",
    "--config.data.simulated.hazards=shift@4",
    "--config.optimizer.rule=none",
)


class Outcome(NamedTuple):
    """The outcome of a run.

    Attributes:
      verdict: The worst verdict at any time.
      auc: AUC on the held-out day, averaged over the binary tasks; None if the run ended before that day.
      rollbacks: Number of rollbacks.
    """

    verdict: str
    auc: float | None
    rollbacks: int


def run(folder: Path, rate: str, on_divergence: str) -> Outcome:
    """Trains once."""
    model_dir = folder / f"{on_divergence}-{rate}"
    run_flags = [f"--config.optimizer.learning_rate={rate}", f"--config.training.on_divergence={on_divergence}"]
    command = [sys.executable, "-m", "steadyrank.pipeline.train", *SETTINGS, *run_flags, f"--model_dir={model_dir}"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode not in (0, 3):
        raise RuntimeError(process.stderr)
    record = json.loads((model_dir / "divergence.json").read_text())
    held_out = [line for line in read_lines(model_dir / "metrics" / "eval.jsonl") if line["kind"] == "holdout"]
    aucs = [value for key, value in held_out[-1].items() if key.startswith("auc/")] if held_out else []
    kinds = [event["kind"] for event in record["events"]]
    verdict = "full" if "full_divergence" in kinds else record["verdict"]
    return Outcome(verdict, sum(aucs) / len(aucs) if aucs else None, kinds.count("rollback"))


def main(argv: list[str]) -> None:
    """Runs everything and prints the table."""
    del argv
    with tempfile.TemporaryDirectory() as folder:
        observed = {rate: run(Path(folder), rate, "observe") for rate in RATES.value}
        diverged = [rate for rate, outcome in observed.items() if outcome.verdict == "full"]
        rows = [(rate, "observe", outcome) for rate, outcome in observed.items()]
        rows += [(rate, "rollback", run(Path(folder), rate, "rollback")) for rate in diverged]
    stable = [outcome.auc for outcome in observed.values() if outcome.auc is not None and outcome.verdict != "full"]
    best = max(stable, default=math.nan)
    print("| learning rate | on divergence | worst verdict | rollbacks | mean AUC, held out | vs. best stable rate |")
    print("|---|---|---|---|---|---|")
    for rate, action, outcome in rows:
        auc = "- | -" if outcome.auc is None else f"{outcome.auc:.4f} | {outcome.auc / best - 1:+.2%}"
        print(f"| {rate} | {action} | {outcome.verdict} | {outcome.rollbacks} | {auc} |")
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; "
        f"command: python {' '.join(sys.argv)}"
    )


if __name__ == "__main__":
    app.run(main)
