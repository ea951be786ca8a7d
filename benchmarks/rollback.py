"""What a rollback saves: runs that fully diverge, with and without it, beside the best rate that holds.

    python benchmarks/rollback.py

The demo's ranker under plain Adagrad on a simulated log whose distribution shifts on day 4. First several rates without any
treatment, of which the best on the held-out day is the one to reach; then the rates that fully diverge, with rollback on. Prints a
table in Markdown.
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


def run(folder: Path, rate: str, on_divergence: str) -> tuple[str, float | None, int]:
    """Trains once; the verdict, the held-out AUC averaged over the binary tasks (None: not reached), and the rollbacks."""
    model_dir = folder / f"{on_divergence}-{rate}"
    given = [*SETTINGS, f"--config.optimizer.learning_rate={rate}", f"--config.training.on_divergence={on_divergence}"]
    command = [sys.executable, "-m", "steadyrank.pipeline.train", *given, f"--model_dir={model_dir}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode not in (0, 3):
        raise RuntimeError(ran.stderr)
    told = json.loads((model_dir / "divergence.json").read_text())
    held_out = [line for line in read_lines(model_dir / "metrics" / "eval.jsonl") if line["kind"] == "holdout"]
    aucs = [value for key, value in held_out[-1].items() if key.startswith("auc/")] if held_out else []
    kinds = [event["kind"] for event in told["events"]]
    verdict = "full" if "full_divergence" in kinds else told["verdict"]
    return verdict, sum(aucs) / len(aucs) if aucs else None, kinds.count("rollback")


def main(argv: list[str]) -> None:
    """Runs everything and prints the table."""
    del argv
    print("| learning rate | on divergence | worst verdict | rollbacks | mean AUC, held out | to the best stable |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        rows = {rate: run(Path(folder), rate, "observe") for rate in RATES.value}
        best = max(auc for verdict, auc, _ in rows.values() if auc is not None and verdict != "full")
        diverged = [rate for rate, (verdict, _, _) in rows.items() if verdict == "full"]
        told = [(rate, "observe", *row) for rate, row in rows.items()]
        told += [(rate, "rollback", *run(Path(folder), rate, "rollback")) for rate in diverged]
        for rate, action, verdict, auc, rollbacks in told:
            reached = f"{auc:.4f} | {auc / best - 1:+.2%}" if auc is not None else "- | -"
            print(f"| {rate} | {action} | {verdict} | {rollbacks} | {reached} |")
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; "
        f"command: python {' '.join(sys.argv)}"
    )


if __name__ == "__main__":
    app.run(main)
