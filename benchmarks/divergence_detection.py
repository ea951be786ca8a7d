"""Measures how well the detector finds divergence, on many short runs that a separate rule labels.

    python benchmarks/divergence_detection.py

Every run trains the same small ranker on a log, with one rule, learning rate, seed and hazard. A *reference* run
(Clippy at learning rate 0.1) trains on the same batches. The label of a run comes from the
losses and AUCs of single steps:

* A run is *off* at a step if its loss, averaged over 5 steps, is not finite or more than twice the reference's, or if
  the mean AUC of its binary tasks over 32 steps has less than a quarter of the reference's lead over chance.
* Two periods of such steps less than 32 steps apart count as one if at least half of the joint steps are off.
* A run is **full** from the first step of a period that has 64 steps or more, or that has 3 steps or more and lasts to
  the end of the run. Otherwise it is **micro** if a period has 3 steps or more, and **healthy** if none has.

The benchmark prints, for each label, how many runs the detector found and how soon, and its false alarms.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import app, flags

if TYPE_CHECKING:
    from steadyrank.pipeline.config.settings import Config

WORK = flags.DEFINE_string(
    "work", "", "Folder for finished runs, which are not trained again. Empty: a temporary folder."
)
JOBS = flags.DEFINE_integer("jobs", 2, "Runs that train at the same time.", lower_bound=1)
SEEDS = flags.DEFINE_list("seeds", ["2", "3"], "Seeds of the logs and the weights.")
TFDS_DIR = flags.DEFINE_string(
    "tfds_dir", "", "Folder with the prepared MovieLens 100K. If it is set, the benchmark also runs on MovieLens."
)
ONE = flags.DEFINE_string("one", "", "Internal: the run to train, as JSON.")

DAYS, ROWS = 8, 32768
# MovieLens is small. Larger batches would give too few steps.
BATCH = {"simulated": 512, "movielens": 64}
EVERY = 16
# The first step on the day of the hazard.
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
        """The name of the run, and of its files."""
        return f"{self.source}-{self.rule}-{self.rate:g}-{self.seed}-{self.hazard or 'calm'}".replace("@", "_").replace(
            "*", "x"
        )


def list_cases() -> list[Case]:
    """Lists the runs: healthy ones, some that diverge at once, and intermediate ones."""
    cases = []
    seeds = [int(seed) for seed in SEEDS.value]
    for seed in seeds:
        for hazard in ("", "shift@3", "heavy_labels@3", "corruption@3*0.2"):
            cases += [Case("none", rate, seed, hazard) for rate in (0.1, 0.3, 0.6, 1.0)]
            cases += [Case("clippy", rate, seed, hazard) for rate in (0.3, 1.0)]
            cases += [Case("gc", 0.6, seed, hazard), Case("adagc", 0.6, seed, hazard)]
    cases += [Case("lamb", 0.01, seeds[0], hazard) for hazard in ("", "shift@3")]
    cases += [Case("agc", 0.3, seeds[0], hazard) for hazard in ("", "shift@3")]
    if TFDS_DIR.value:
        movielens_settings = [
            ("none", 0.1),
            ("none", 0.3),
            ("none", 1.0),
            ("none", 3.0),
            ("clippy", 0.3),
            ("clippy", 1.0),
        ]
        movielens_settings += [("gc", 0.6), ("adagc", 0.6)]
        cases += [Case(rule, rate, seed, "", "movielens") for seed in seeds for rule, rate in movielens_settings]
    return cases


def make_reference(case: Case) -> Case:
    """Returns the run that a case is compared with."""
    return dataclasses.replace(case, rule="clippy", rate=0.1)


def make_config(case: Case) -> Config:
    """Makes the configuration of a run."""
    from steadyrank.pipeline.config.settings import Config, Data, Model, Movielens, Optimizer, Simulated

    hazards = (case.hazard,) if case.hazard else ()
    data = Data(
        batch_size=BATCH[case.source],
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
    return Config(data=data, model=Model(shared_units=(128, 128, 128), tower_units=(32,)), optimizer=optimizer)


def train(case: Case, path: Path) -> None:
    """Trains one run. Writes the metrics of every step and the observations of the detector."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    from steadyrank.pipeline.config.quiet import quiet_import

    with quiet_import():
        import tf_keras

        from steadyrank.pipeline.data.batching.dataset import make_training_batches
        from steadyrank.pipeline.data.batching.windows import count_steps
        from steadyrank.pipeline.data.feature_statistics import compute_statistics
        from steadyrank.pipeline.data.open import open_source
        from steadyrank.pipeline.divergence import Detector, DivergenceMonitor
        from steadyrank.pipeline.training.build import make_ranker

    config, batch = make_config(case), BATCH[case.source]
    source = open_source(config.data)
    tf_keras.utils.set_random_seed(case.seed)
    ranker = make_ranker(config, source.schema, compute_statistics(source, config.data.statistics_rows).statistics, 1)
    ranker.compile(optimizer=ranker.optimizer)

    observations: list[dict] = []

    class RecordingDetector(Detector):
        """Records its observations, so that another detector can judge the same run later."""

        def observe_window(self, before, window):
            observations.append({"before": before} | window.to_dict())
            return super().observe_window(before, window)

        def observe_metrics(self, step, metrics):
            observations.append({"step": step, "metrics": dict(metrics)})
            return super().observe_metrics(step, metrics)

    monitor = DivergenceMonitor(every=EVERY, detector=RecordingDetector())
    step_metrics: list[dict[str, float]] = []

    class StepRecorder(tf_keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            step_metrics.append({key: float(value) for key, value in logs.items()})
            ranker.reset_metrics()

    published: dict[str, list[float]] = {}

    class Publisher(tf_keras.callbacks.Callback):
        """Publishes metrics every 32 steps, as the job does."""

        def on_train_batch_end(self, batch, logs=None):
            for key, value in logs.items():
                published.setdefault(key, []).append(float(value))
            if len(step_metrics) % 32 == 31:
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
            batches,
            steps_per_epoch=count_steps(rows, batch),
            verbose=0,
            callbacks=[monitor, Publisher(), StepRecorder()],
        )
    write_run(case, path, step_metrics, observations)


def write_run(
    case: Case, path: Path, step_metrics: Sequence[Mapping[str, float]], observations: Sequence[Mapping[str, object]]
) -> None:
    """Writes the metrics of every step and the observations of the detector."""
    keys = sorted(step_metrics[0])
    np.savez(
        path.with_name(f"{path.name}.npz"),
        keys=np.array(keys),
        values=np.array([[metrics[key] for key in keys] for metrics in step_metrics]),
    )
    path.with_name(f"{path.name}.json").write_text(
        json.dumps({"case": dataclasses.asdict(case), "observations": observations})
    )


def read_step_metrics(path: Path) -> dict[str, np.ndarray]:
    """Reads the metrics of every step, by key."""
    with np.load(path.with_name(f"{path.name}.npz")) as file:
        return dict(zip(file["keys"].tolist(), file["values"].T, strict=True))


def average_over(values: np.ndarray, steps: int) -> np.ndarray:
    """Computes, for each step, the mean over the last steps; NaN if one of them is NaN."""
    padded = np.concatenate([np.full(steps - 1, values[0]), values])
    return np.convolve(padded, np.ones(steps) / steps, mode="valid")


def find_off_steps(run: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> np.ndarray:
    """Returns, for each step, whether the run is off by the rule above."""
    with np.errstate(invalid="ignore", over="ignore"):
        off = ~(average_over(run["loss"], 5) <= 2.0 * average_over(reference["loss"], 5))
    aucs = [key for key in run if key.startswith("auc/")]
    lead, best = (
        average_over(np.nanmean([metrics[key] for key in aucs], axis=0) - 0.5, 32) for metrics in (run, reference)
    )
    # The AUCs are compared only after the reference has learned something.
    return off | ((best > 0.05) & (lead < 0.25 * best))


def label_run(off: np.ndarray) -> tuple[str, int]:
    """Returns ``full``, ``micro`` or ``healthy``, and the step at which it began, counted from 1."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], off, [False]]).astype(int)))
    periods: list[tuple[int, int]] = []
    for first, last in ((int(first), int(last)) for first, last in edges.reshape(-1, 2)):
        if periods and first - periods[-1][1] < 32 and 2 * off[periods[-1][0] : last].sum() >= last - periods[-1][0]:
            first = periods.pop()[0]
        periods.append((first, last))
    for first, last in periods:
        if last - first >= 64 or (last == len(off) and last - first >= 3):
            return "full", first + 1
    micro_starts = [first for first, last in periods if last - first >= 3]
    return ("micro", micro_starts[0] + 1) if micro_starts else ("healthy", 0)


@dataclasses.dataclass(frozen=True)
class Result:
    """The label of a run and the result of the detector.

    Attributes:
      name: Name of the run.
      truth, since: The label, and the step at which it began.
      verdict: The detector's worst verdict at any time.
      full_step: The step at which the detector first reported a full divergence; 0 for never.
      has_shift: Whether features change on the hazard's day.
      shift_steps: The steps at which the detector reported a feature shift.
    """

    name: str
    truth: str
    since: int
    verdict: str
    full_step: int
    has_shift: bool
    shift_steps: tuple[int, ...]


def judge_run(case: Case, work: Path) -> Result:
    """Labels a finished run, and lets the detector judge it."""
    from steadyrank.pipeline.divergence import Detector, WindowStatistics

    detector, full_step = Detector(), 0
    for observation in json.loads((work / f"{case.name}.json").read_text())["observations"]:
        if "metrics" in observation:
            step, new = observation["step"], detector.observe_metrics(observation["step"], observation["metrics"])
        else:
            window = WindowStatistics.from_dict(observation)
            step = observation["before"] + window.steps
            new = detector.observe_window(observation["before"], window)
        if not full_step and any(event.kind == "full_divergence" for event in new):
            full_step = step
    shift_steps = tuple(event.step for event in detector.events if event.kind == "feature_shift")
    has_shift = case.hazard.partition("@")[0] in ("shift", "corruption")
    truth, since = label_run(
        find_off_steps(read_step_metrics(work / case.name), read_step_metrics(work / make_reference(case).name))
    )
    verdict = "full" if full_step else detector.verdict
    return Result(case.name, truth, since, verdict, full_step, has_shift, shift_steps)


def summarize(results: Sequence[Result]) -> str:
    """Summarizes the results of the detector and its false alarms as a list in Markdown."""
    by_truth = {truth: [run for run in results if run.truth == truth] for truth in ("full", "micro", "healthy")}
    delays = sorted(run.full_step - run.since for run in by_truth["full"] if run.full_step)
    false_alarms = [run.name for run in results if run.full_step and run.truth != "full"]
    called_micro = [run for run in results if run.verdict == "micro"]
    with_shift = [run for run in results if run.has_shift]
    without_shift = [run for run in results if not run.has_shift]
    reported = sum(any(0 <= step - FIRST_BAD < 2 * EVERY for step in run.shift_steps) for run in with_shift)
    early = sum(step < FIRST_BAD for run in with_shift for step in run.shift_steps)
    shortest, longest = (delays[0], delays[-1]) if delays else ("-", "-")
    lines = [
        f"Labels of the {len(results)} runs: " + ", ".join(f"{len(runs)} {truth}" for truth, runs in by_truth.items()),
        f"Full: {len(delays)} of {len(by_truth['full'])} found, after {shortest} to {longest} steps; "
        f"{sum(delay <= 50 for delay in delays)} within 50",
        f"False full alarms: {', '.join([str(len(false_alarms)), *false_alarms])}",
        f"Micro: precision {sum(run.truth == 'micro' for run in called_micro)} of {len(called_micro)}, "
        f"recall {sum(run.verdict != 'healthy' for run in by_truth['micro'])} of {len(by_truth['micro'])}",
        f"Healthy: {sum(run.verdict == 'healthy' for run in by_truth['healthy'])} of {len(by_truth['healthy'])} judged healthy",
        f"Feature shifts: reported within {2 * EVERY} steps in {reported} of {len(with_shift)} runs with a shift, {early} times before it; "
        f"{sum(len(run.shift_steps) for run in without_shift)} times in {len(without_shift)} runs without one",
    ]
    return "\n".join(f"- {line}" for line in lines)


def train_missing(cases: Sequence[Case], work: Path) -> None:
    """Trains the runs that ``work`` does not contain yet, ``--jobs`` at a time, each in a separate process."""
    pending = [case for case in cases if not (work / f"{case.name}.json").exists()]
    running: list[subprocess.Popen] = []
    while pending or running:
        running = [process for process in running if process.poll() is None]
        while pending and len(running) < JOBS.value:
            case = pending.pop(0)
            run_json = json.dumps({"case": dataclasses.asdict(case), "path": str(work / case.name)})
            command = [sys.executable, __file__, f"--one={run_json}", f"--tfds_dir={TFDS_DIR.value}"]
            running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            print(f"{len(pending)} left, {case.name}", file=sys.stderr)
        time.sleep(0.2)


def main(argv: list[str]) -> None:
    """Trains and judges all runs, and prints the tables."""
    del argv
    if ONE.value:
        request = json.loads(ONE.value)
        train(Case(**request["case"]), Path(request["path"]))
        return
    work = Path(WORK.value or f"/tmp/steadyrank-detection-{os.getpid()}")
    work.mkdir(parents=True, exist_ok=True)
    cases = list(dict.fromkeys([*(make_reference(case) for case in list_cases()), *list_cases()]))
    train_missing(cases, work)
    results = [judge_run(case, work) for case in cases]
    print("| run | label | off from step | verdict | full found at | after steps |\n|---|---|---|---|---|---|")
    for run in results:
        delay = run.full_step - run.since if run.full_step and run.truth == "full" else ""
        print(f"| {run.name} | {run.truth} | {run.since or ''} | {run.verdict} | {run.full_step or ''} | {delay} |")
    print(f"\n{summarize(results)}")
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}; command: python {' '.join(sys.argv)}"
    )


if __name__ == "__main__":
    app.run(main)
