"""One run, from a configuration to a published model. :func:`run_job` reads from top to bottom."""

from __future__ import annotations

import dataclasses
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from ..config.settings import Config, Training
from ..data import Source, open_source
from ..data.batching import InputService, WaitClock
from ..data.checks.leaks import LeakReport
from ..data.feature_statistics import compute_statistics
from ..data.leak_check import check_leaks
from ..divergence import Bundles, DivergenceMonitor, Event
from ..serving import export_ranker, find_export_blockers
from .build import make_ranker
from .checkpoints import Checkpoints
from .distribution import check_batch_size, make_strategy
from .event_printer import EventPrinter
from .failures import record_failure
from .headline import format_anomalies, format_headline
from .holdout_labels import drop_tasks, find_unjudged_tasks, format_unjudged_tasks
from .loop import TrainingLoop
from .plain_path import describe_unloadable
from .preemption import Preempted
from .progress import ScanProgress, TrainingProgress
from .publisher import Publisher
from .report import write_report
from .run_directory import RunDirectory
from .run_state import RunState
from .schedule import TrainingSchedule

EXIT_DONE, EXIT_DIVERGED, EXIT_PREEMPTED = 0, 3, 143


def run_job(config: Config, model_dir: str, resume: bool = False) -> int:
    """Trains a ranker, judges it, publishes it if it did not diverge, and writes the report.

    Args:
      config: The resolved configuration.
      model_dir: Folder of the run; see :class:`.run_directory.RunDirectory`.
      resume: Whether to continue the run in ``model_dir`` from its newest checkpoint.

    Returns:
      The exit code of the process: 0 if the model was published, 3 if the run diverged, 143 if it was preempted and
        saved.

    Raises:
      UserError: If a setting, the log or the folder is unusable. If this happens before section 3, nothing is written.
    """
    start_time = time.monotonic()

    # 1. Open the run. Write nothing before section 3, so that a mistake leaves no trace.
    run = RunDirectory(model_dir)
    run.check(config, resume)
    strategy = make_strategy(config.training)
    check_batch_size(config.data.batch_size, strategy)
    tf_keras.utils.set_random_seed(config.training.seed)

    # 2. Open the log and check its days.
    source = open_source(config.data)
    show_days = ScanProgress(sys.stderr, "checking the log", "days").show
    days = source.check_days(run.read_log() if resume else (), show_days)
    excluded_days = {day.name for day in days if day.skipped}
    source.exclude_days(excluded_days)
    service = InputService(config.data, source, excluded_days) if config.data.service else None
    schedule = TrainingSchedule(config, source)
    schedule.check_train_days()

    # 3. Claim the folder. From now on, status.json records the state of the run, even if the run fails.
    run.claim(config, source.schema)
    state = RunState(run.read_status().get("step", 0), schedule.total_steps)
    with record_failure(run, state):
        run.write_status("running", state.step, total_steps=state.total_steps)
        source.open_quarantine(run.quarantine)
        state.published_skipped_rows = source.row_faults.skipped_rows
        progress = TrainingProgress(schedule.total_steps, config.data.batch_size, sys.stderr)
        if days:
            run.write_log(config.data.files.path, days, [source.days[day] for day in schedule.holdout_days])
            progress.print_lines(format_anomalies(days))

        # 4. Build the ranker. Its input layers store the feature statistics as weights, so compute these first.
        show_rows = ScanProgress(sys.stderr, "computing statistics", "rows").show
        computed = compute_statistics(source, config.data.statistics_rows, schedule.train_days, show_rows)
        progress.print_lines(computed.remarks)
        with strategy.scope():
            schema = run.settle_schema(computed.schema)
            ranker = make_ranker(config, schema, computed.statistics, schedule.total_steps)
        leaks = check_leaks(source, schedule.train_days, config.data.leak_check_rows)
        progress.print_lines(leaks.to_lines())

        # 5. Watch for divergence, and restore the newest checkpoint.
        checkpoints = Checkpoints(run.checkpoints, ranker)
        events = EventPrinter(progress.print_line)
        monitor = make_monitor(config.training, run, checkpoints, events.add)
        checkpoints.attach_monitor(monitor)
        state.step = checkpoints.resume(progress.print_line) if resume else 0
        progress.print_lines(format_headline(config, source, ranker, schedule, state.step))

        # 6. Train, day by day. SIGTERM ends the run after it is saved.
        clock = WaitClock()
        try:
            with run.open_writers(state.step) as (train_writer, evaluation_writer):
                publisher = Publisher(config, source, state, monitor, clock, train_writer, progress)
                loop = TrainingLoop(
                    config, source, ranker, state, monitor, checkpoints, clock, evaluation_writer, service
                )
                holdout_metrics = loop.run(callbacks=[publisher, events])
        except Preempted:
            run.write_divergence(monitor.to_dict())
            message = "saved after SIGTERM; continue with --resume"
            run.write_status("preempted", state.step, total_steps=state.total_steps, message=message)
            progress.print_line(f"Preempted at step {state.step:,}. The run is saved; continue it with --resume.")
            return EXIT_PREEMPTED
        finally:
            events.flush()
            progress.close()

        # 7. Judge the final model on the held-out days.
        remark = ""
        if holdout_metrics:
            unjudged = find_unjudged_tasks(schema.tasks, holdout_metrics)
            remark = format_unjudged_tasks(unjudged, schema.tasks, [source.days[day] for day in schedule.holdout_days])
            monitor.judge_final_metrics(state.step, drop_tasks(holdout_metrics, unjudged))
            events.flush()
            progress.print_lines(filter(None, [remark]))
        run.write_divergence(monitor.to_dict())

        # 8. Publish the model, or record why it is not published. Write the report in both cases.
        reasons = find_export_blockers(ranker, monitor.verdict)
        details = summarize_run(source, state, clock, time.monotonic() - start_time, leaks)
        if reasons:
            run.write_status("diverged", state.step, message="; ".join(reasons), **details)
        else:
            exported = export_ranker(ranker, run.export)
            details |= {"message": remark} if remark else {}
            run.write_status("done", state.step, export=str(exported.relative_to(run.path)), **details)
        write_report(run)

    # 9. Print where the model and the report are.
    if reasons:
        progress.print_line(f"The model was not exported: {'; '.join(reasons)}.")
    else:
        print(f"SavedModel: {exported}")
        progress.print_lines(filter(None, [describe_unloadable(exported)]))
    print(f"Report: {run.report_file}")
    return EXIT_DIVERGED if reasons else EXIT_DONE


def make_monitor(
    settings: Training, run: RunDirectory, checkpoints: Checkpoints, on_event: Callable[[Event], None]
) -> DivergenceMonitor:
    """Makes the monitor that ``training.on_divergence`` describes.

    Args:
      settings: The settings of the training.
      run: Receives the bundles of bad steps.
      checkpoints: What a rollback restores.
      on_event: Called with each event.
    """
    return DivergenceMonitor(
        on_full=None if settings.on_divergence == "observe" else settings.on_divergence,
        on_event=on_event,
        max_rollbacks=settings.max_rollbacks,
        learning_rate_factor=settings.rollback_learning_rate_factor,
        warmup_steps=settings.rollback_warmup_steps,
        snapshots=checkpoints,
        bundles=Bundles(run.bundles, files=(run.config_file, run.schema_file)),
    )


def summarize_run(
    source: Source, state: RunState, clock: WaitClock, seconds: float, leaks: LeakReport
) -> dict[str, Any]:
    """Returns the details of a finished run for ``status.json``.

    Args:
      source: The log. Its counts of faulty rows are included unless they are 0.
      state: The run's position.
      clock: Measured how long training waited for its input.
      seconds: Duration of this process in seconds.
      leaks: The features that alone predict a task.
    """
    findings: dict[str, Any] = {name: n for name, n in dataclasses.asdict(source.row_faults).items() if n}
    if leaks.leaks:
        findings["leaks"] = [str(leak) for leak in leaks.leaks]
    return {
        "seconds": round(seconds, 1),
        "training_seconds": round(state.training_seconds, 1),
        "input_wait_fraction": round(clock.seconds / max(state.training_seconds, 1e-9), 4),
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "tf_keras": tf_keras.__version__,
        },
    } | findings
