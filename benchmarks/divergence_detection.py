"""How well the detector finds what is known to have happened: many short runs, labelled by a rule that is not the detector's.

    python benchmarks/divergence_detection.py

Every run trains the same small ranker on a simulated log, under one rule, rate, seed and hazard; beside it stands a *reference*
run (Clippy at rate 0.1) on the very same batches. The label, from the losses and AUCs of single steps:

* a run is *off* at a step when its loss, averaged over 5 steps, is not finite or more than twice the reference's, or when the mean
  AUC of its binary tasks over 32 steps has less than a quarter of the reference's lead over chance;
* times that are fewer than 32 steps apart count as one, if at least half of its steps are off;
* off for 64 steps or more, or during all that is left of the run: **full**, from the first step of that time on; else, off for
  3 steps or more: **micro**; else **healthy**.

Prints for each kind how many were found, how soon, and what was found that is not there.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import app, flags

WORK = flags.DEFINE_string(
    "work", "", "Folder in which finished runs are kept and found again; empty: a temporary one."
)
JOBS = flags.DEFINE_integer("jobs", 2, "Runs side by side.", lower_bound=1)
SEEDS = flags.DEFINE_list("seeds", ["2", "3"], "Seeds of the logs and of the weights.")
TFDS_DIR = flags.DEFINE_string("tfds_dir", "", "Prepared MovieLens 100K; with it, runs on MovieLens are made as well.")
ONE = flags.DEFINE_string("one", "", "Internal: the run to make, as JSON.")

DAYS, ROWS = 8, 32768
# MovieLens is small: its batches are, so that there are steps enough.
BATCH = {"simulated": 512, "movielens": 64}
EVERY = 16
# The first step on the day of the hazards.
FIRST_BAD = 3 * ROWS // BATCH["simulated"] + 1


@dataclasses.dataclass(frozen=True)
class Case:
    """One run."""

    rule: str
    rate: float
    seed: int
    hazard: str
    source: str = "simulated"

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.source}-{self.rule}-{self.rate:g}-{self.seed}-{self.hazard or 'calm'}".replace("@", "_").replace(
            "*", "x"
        )


def cases() -> list[Case]:
    """All runs: healthy ones, such as diverge at once, and what lies between."""
    chosen = []
    seeds = [int(seed) for seed in SEEDS.value]
    for seed in seeds:
        for hazard in ("", "shift@3", "heavy_labels@3", "corruption@3*0.2"):
            chosen += [Case("none", rate, seed, hazard) for rate in (0.1, 0.3, 0.6, 1.0)]
            chosen += [Case("clippy", rate, seed, hazard) for rate in (0.3, 1.0)]
            chosen += [Case("gc", 0.6, seed, hazard), Case("adagc", 0.6, seed, hazard)]
    chosen += [Case("lamb", 0.01, seeds[0], hazard) for hazard in ("", "shift@3")]
    chosen += [Case("agc", 0.3, seeds[0], hazard) for hazard in ("", "shift@3")]
    if TFDS_DIR.value:
        ways = [("none", 0.1), ("none", 0.3), ("none", 1.0), ("none", 3.0), ("clippy", 0.3), ("clippy", 1.0)]
        ways += [("gc", 0.6), ("adagc", 0.6)]
        chosen += [Case(rule, rate, seed, "", "movielens") for seed in seeds for rule, rate in ways]
    return chosen


def reference_of(case: Case) -> Case:
    """The run beside which a case is labelled."""
    return dataclasses.replace(case, rule="clippy", rate=0.1)


def train(case: Case, path: Path) -> None:
    """Makes one run and writes what every step measured, and the events with the steps at which they were found."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    from steadyrank.pipeline.config.quiet import quiet_import

    with quiet_import():
        import tf_keras

        from steadyrank.pipeline.config.settings import Config, Data, Model, Movielens, Optimizer, Simulated
        from steadyrank.pipeline.data.batching.dataset import count_steps, make_training_batches
        from steadyrank.pipeline.data.feature_statistics import compute_statistics
        from steadyrank.pipeline.data.open import open_source
        from steadyrank.pipeline.divergence import Detector, DivergenceMonitor
        from steadyrank.pipeline.training.build import make_ranker

    hazards, batch = (case.hazard,) if case.hazard else (), BATCH[case.source]
    data = Data(
        batch_size=batch,
        source=case.source,
        statistics_rows=8192,
        simulated=Simulated(days=DAYS, rows_per_day=ROWS, users=5000, videos=2000, hazards=hazards, seed=case.seed),
        movielens=Movielens(data_dir=TFDS_DIR.value, periods=20),
        holdout_days=0,
    )
    rule_options = {"agc": {"threshold": 0.02}}
    optimizer = Optimizer(
        rule=case.rule,
        learning_rate=case.rate,
        warmup_steps=50,
        rule_options=rule_options.get(case.rule, {}),
        max_skipped_steps=10**6,
    )
    config = Config(data=data, model=Model(shared_units=(128, 128, 128), tower_units=(32,)), optimizer=optimizer)
    source = open_source(config.data)
    tf_keras.utils.set_random_seed(case.seed)
    ranker = make_ranker(config, source.schema, compute_statistics(source, data.statistics_rows).statistics, 1)
    ranker.compile(optimizer=ranker.optimizer)

    shown: list[dict] = []

    class Recording(Detector):
        """Keeps what it is shown, so that another detector can be shown the same later."""

        def observe_window(self, before, window):
            shown.append({"before": before} | window.to_dict())
            return super().observe_window(before, window)

        def observe_metrics(self, step, metrics):
            shown.append({"step": step, "metrics": dict(metrics)})
            return super().observe_metrics(step, metrics)

    monitor = DivergenceMonitor(every=EVERY, detector=Recording())
    lines = []

    class Recorder(tf_keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            lines.append({key: float(value) for key, value in logs.items()})
            ranker.reset_metrics()

    published: dict[str, list[float]] = {}

    class Publisher(tf_keras.callbacks.Callback):
        """Publishes every 32 steps, from sums over the steps, as the job does."""

        def on_train_batch_end(self, batch, logs=None):
            for key, value in logs.items():
                published.setdefault(key, []).append(float(value))
            if len(lines) % 32 == 31:
                metrics = {k: float(np.nanmean(v)) for k, v in published.items() if not np.all(np.isnan(v))}
                metrics |= {k: float(np.sum(v)) for k, v in published.items() if k.startswith("examples/")}
                metrics |= {k: v for k, v in monitor.read_metrics().items() if k.startswith("clip")}
                monitor.observe_metrics(monitor.step, metrics)
                published.clear()

    for day in range(len(source.days)):
        rows = sum(source.block_rows(day))
        batches = make_training_batches(
            source, day, batch_size=batch, seed=case.seed, pass_index=0, shuffle=True, start=0, replicas=1
        )
        ranker.fit(
            batches, steps_per_epoch=count_steps(rows, batch), verbose=0, callbacks=[monitor, Publisher(), Recorder()]
        )
    keys = sorted(lines[0])
    np.savez(
        path.with_name(f"{path.name}.npz"),
        keys=np.array(keys),
        values=np.array([[line[key] for key in keys] for line in lines]),
    )
    path.with_name(f"{path.name}.json").write_text(json.dumps({"case": dataclasses.asdict(case), "shown": shown}))


def series(path: Path) -> dict[str, np.ndarray]:
    """By key what every step measured."""
    with np.load(path.with_name(f"{path.name}.npz")) as held:
        return dict(zip(held["keys"].tolist(), held["values"].T, strict=True))


def mean_over(values: np.ndarray, steps: int) -> np.ndarray:
    """For each step the mean over it and those before; NaN spreads to those that hold it."""
    padded = np.concatenate([np.full(steps - 1, values[0]), values])
    return np.convolve(padded, np.ones(steps) / steps, mode="valid")


def off_steps(run: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> np.ndarray:
    """For each step whether the run is off, by the rule above."""
    with np.errstate(invalid="ignore", over="ignore"):
        off = ~(mean_over(run["loss"], 5) <= 2.0 * mean_over(reference["loss"], 5))
    aucs = [key for key in run if key.startswith("auc/")]
    lead, best = (mean_over(np.nanmean([each[key] for key in aucs], axis=0) - 0.5, 32) for each in (run, reference))
    # In its first steps the reference knows nothing either.
    return off | ((best > 0.05) & (lead < 0.25 * best))


def label(off: np.ndarray) -> tuple[str, int]:
    """``full``, ``micro`` or ``healthy``, and the step, counted from 1, at which it began."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], off, [False]]).astype(int)))
    times: list[tuple[int, int]] = []
    for first, last in ((int(first), int(last)) for first, last in edges.reshape(-1, 2)):
        if times and first - times[-1][1] < 32 and 2 * off[times[-1][0] : last].sum() >= last - times[-1][0]:
            first = times.pop()[0]
        times.append((first, last))
    for first, last in times:
        if last - first >= 64 or (last == len(off) and last - first >= 3):
            return "full", first + 1
    long = [first for first, last in times if last - first >= 3]
    return ("micro", long[0] + 1) if long else ("healthy", 0)


@dataclasses.dataclass(frozen=True)
class Result:
    """A run's label and what the detector found.

    Attributes:
      name: Of the run.
      truth, since: The label, and the step at which it began.
      verdict: The worst that the detector said of the run at any time.
      found: The step at which it first declared a full divergence, 0 for never.
      changed: Whether the run's features changed on the hazard's day.
      shifts: The steps at which it said that a feature changed.
    """

    name: str
    truth: str
    since: int
    verdict: str
    found: int
    changed: bool
    shifts: tuple[int, ...]


def result_of(case: Case, work: Path) -> Result:
    """Labels a finished run, and shows the detector what it saw."""
    from steadyrank.pipeline.divergence import Detector, WindowStatistics

    detector, found = Detector(), 0
    for shown in json.loads((work / f"{case.name}.json").read_text())["shown"]:
        if "metrics" in shown:
            step, new = shown["step"], detector.observe_metrics(shown["step"], shown["metrics"])
        else:
            window = WindowStatistics.from_dict(shown)
            step = shown["before"] + window.steps
            new = detector.observe_window(shown["before"], window)
        if not found and any(event.kind == "full_divergence" for event in new):
            found = step
    shifts = tuple(event.step for event in detector.events if event.kind == "feature_shift")
    changed = case.hazard.partition("@")[0] in ("shift", "corruption")
    truth, since = label(off_steps(series(work / case.name), series(work / reference_of(case).name)))
    return Result(case.name, truth, since, "full" if found else detector.verdict, found, changed, shifts)


def summary(results: Sequence[Result]) -> str:
    """What was found, and what was found that is not there."""
    by_truth = {truth: [each for each in results if each.truth == truth] for truth in ("full", "micro", "healthy")}
    delays = sorted(each.found - each.since for each in by_truth["full"] if each.found)
    false = [each.name for each in results if each.found and each.truth != "full"]
    said = [each for each in results if each.verdict == "micro"]
    right = sum(each.truth == "micro" for each in said)
    found = sum(each.verdict != "healthy" for each in by_truth["micro"])
    changes = [each for each in results if each.changed]
    seen = sum(any(0 <= step - FIRST_BAD < 2 * EVERY for step in each.shifts) for each in changes)
    early = sum(step < FIRST_BAD for each in changes for step in each.shifts)
    none = [each for each in results if not each.changed]
    lines = [
        ", ".join(f"{len(each)} {truth}" for truth, each in by_truth.items())
        + f" of {len(results)} runs by the label.",
        f"Full: {len(delays)} of {len(by_truth['full'])} found, after {delays[0] if delays else '-'} to "
        f"{delays[-1] if delays else '-'} steps; {sum(delay <= 50 for delay in delays)} within 50.",
        f"False full alarms: {len(false)}{': ' if false else ''}{', '.join(false)}.",
        f"Micro: {right} of the {len(said)} runs called so are (precision), {found} of {len(by_truth['micro'])} are found "
        "(recall).",
        f"Healthy: {sum(each.verdict == 'healthy' for each in by_truth['healthy'])} of {len(by_truth['healthy'])} called so.",
    ]
    lines.append(
        f"Features: a change is told within {2 * EVERY} steps in {seen} of the {len(changes)} runs that have one, and {early} times "
        f"before; {sum(len(each.shifts) for each in none)} times in {len(none)} runs that have none."
    )
    return "\n".join(f"- {line}" for line in lines)


def main(argv: list[str]) -> None:
    """Runs everything, prints the tables."""
    del argv
    if ONE.value:
        given = json.loads(ONE.value)
        train(Case(**given["case"]), Path(given["path"]))
        return
    work = Path(WORK.value or f"/tmp/steadyrank-detection-{os.getpid()}")
    work.mkdir(parents=True, exist_ok=True)
    everything = list(dict.fromkeys([*(reference_of(case) for case in cases()), *cases()]))
    waiting = [case for case in everything if not (work / f"{case.name}.json").exists()]
    running: list[subprocess.Popen] = []
    while waiting or running:
        running = [process for process in running if process.poll() is None]
        while waiting and len(running) < JOBS.value:
            case = waiting.pop(0)
            one = json.dumps({"case": dataclasses.asdict(case), "path": str(work / case.name)})
            running.append(
                subprocess.Popen(
                    [sys.executable, __file__, f"--one={one}", f"--tfds_dir={TFDS_DIR.value}"],
                    stderr=subprocess.DEVNULL,
                )
            )
            print(f"{len(waiting)} left, {case.name}", file=sys.stderr)
        time.sleep(0.2)
    results = [result_of(case, work) for case in everything]
    print("| run | label | off from step | verdict | full found at | after steps |\n|---|---|---|---|---|---|")
    for result in results:
        delay = result.found - result.since if result.found and result.truth == "full" else ""
        print(
            f"| {result.name} | {result.truth} | {result.since or ''} | {result.verdict} | {result.found or ''} | {delay} |"
        )
    print(f"\n{summary(results)}")
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}; command: python {' '.join(sys.argv)}"
    )


if __name__ == "__main__":
    app.run(main)
