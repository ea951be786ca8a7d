"""One run from a configuration to a published model: reads from top to bottom."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import platform
import sys
import time
from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from ...foundation.atomic_files import write_json
from ...models.ranker import MultitaskRanker
from ..config.errors import UserError
from ..config.settings import Config
from ..data.batching import InputService, WaitClock, extract_user_error
from ..data.checks import CheckedDay
from ..data.feature_statistics import compute_statistics
from ..data.open import open_source
from ..data.source import Source
from ..divergence import Bundles, DivergenceMonitor
from ..serving import export_ranker, reasons_not_to_publish
from .build import make_ranker
from .checkpoints import Checkpoints
from .distribution import check_divides, make_strategy
from .loop import Preempted, train
from .progress import Look, Progress
from .publisher import Publisher
from .report import write_report
from .run_directory import RunDirectory
from .schedule import TrainingSchedule

# Lines about the log before the first step.
_SHOWN = 10
EXIT_DONE, EXIT_DIVERGED, EXIT_PREEMPTED = 0, 3, 143


def run_job(config: Config | None, model_dir: str, resume: bool = False) -> int:
    """Trains, judges, publishes and reports.

    Args:
      config: The resolved configuration; None: that of the run in ``model_dir``, to resume it.
      model_dir: Folder of the run; see :class:`.run_directory.RunDirectory`.
      resume: Go on from the newest checkpoint of the run that is in ``model_dir``.

    Returns:
      The process's exit code: 0 done and published, 3 diverged and not published, 143 preempted after saving.

    Raises:
      UserError: When something that the user named does not fit; before the run starts nothing is touched then.
    """
    began = time.monotonic()
    run = RunDirectory(model_dir)
    config = config or run.read_config()
    # The folder, the devices and the log: what is wrong with them is said before the folder is claimed.
    run.check(config, resume)
    strategy = make_strategy(config.training)
    tf_keras.utils.set_random_seed(config.training.seed)
    check_divides(config.data.batch_size, strategy)
    source = open_source(config.data)
    days = source.check_days(run.read_log() if resume else (), Look(sys.stderr, "days").show)
    excluded_days = {day.name for day in days if day.skipped}
    source.exclude_days(excluded_days)
    service = InputService(config.data, source, excluded_days) if config.data.service else None
    run.claim(config, source.schema)
    source.open_quarantine(run.quarantine)
    skipped_before = source.row_faults.skipped_rows

    step = run.read_status().get("step", 0)
    try:
        run.write_status("running", step)
        schedule = TrainingSchedule(config, source)
        progress = Progress(schedule.total_steps, config.data.batch_size, sys.stderr)
        if days:
            run.write_log(config.data.files.path, days, [source.days[day] for day in schedule.holdout_days])
            for line in _odd(days):
                progress.note(line)
        learned = compute_statistics(
            source, config.data.statistics_rows, schedule.train_days, Look(sys.stderr, "rows").show
        )
        with strategy.scope():
            ranker = make_ranker(config, run.settled_schema(learned.schema), learned.statistics, schedule.total_steps)
        checkpoints = Checkpoints(run.checkpoints, ranker)
        monitor = DivergenceMonitor(
            on_full=None if config.training.on_divergence == "observe" else config.training.on_divergence,
            on_event=lambda event: progress.note(str(event)),
            max_rollbacks=config.training.max_rollbacks,
            learning_rate_factor=config.training.rollback_learning_rate_factor,
            warmup_steps=config.training.rollback_warmup_steps,
            snapshots=checkpoints,
            bundles=Bundles(run.bundles, files=(run.config_file, run.schema_file)),
        )
        checkpoints.watch(monitor)
        step = checkpoints.resume(progress.note) if resume else 0

        clock = WaitClock()
        progress.note(_headline(config, source, ranker, strategy, step))
        with run.open_writers(step) as (train_writer, evaluation_writer):
            publisher = Publisher(
                every=config.training.publish_every_steps,
                batch_size=config.data.batch_size,
                writer=train_writer,
                monitor=monitor,
                clock=clock,
                progress=progress,
                step=step,
                skipped=(lambda: source.row_faults.skipped_rows - skipped_before) if source.validates_rows else None,
            )
            try:
                held_out = train(
                    config,
                    source,
                    ranker,
                    checkpoints=checkpoints,
                    publisher=publisher,
                    monitor=monitor,
                    clock=clock,
                    evaluation_writer=evaluation_writer,
                    service=service,
                )
            finally:
                step = publisher.step

        if held_out:
            monitor.judge_final_metrics(step, held_out)
        write_json(run.divergence_file, monitor.to_dict())
        reasons = reasons_not_to_publish(ranker, monitor.verdict)
        details = _details(began, publisher.seconds, clock)
        details |= {name: counts for name, counts in dataclasses.asdict(source.row_faults).items() if counts}
        if reasons:
            run.write_status("diverged", step, message="; ".join(reasons), **details)
        else:
            exported = export_ranker(ranker, run.export)
            run.write_status("done", step, export=str(exported.relative_to(run.path)), **details)
        write_report(run)
    except Preempted:
        write_json(run.divergence_file, monitor.to_dict())
        run.write_status("preempted", step, message="SIGTERM came; everything is saved, --resume goes on")
        progress.note(f"preempted at step {step:,}; everything is saved, --resume goes on")
        return EXIT_PREEMPTED
    except BaseException as error:
        full = _says_full(error)
        unread = extract_user_error(error) if isinstance(error, tf.errors.OpError) else ""
        # On a full disk this may fail as well, and must not hide why.
        with contextlib.suppress(OSError):
            run.write_status(
                "failed", step, message=full or unread or f"{type(error).__name__}: {error}".splitlines()[0]
            )
        if unread:
            raise UserError(unread) from error
        if full:
            raise UserError(f"--model_dir={model_dir}: {full}; make room and go on with --resume") from error
        raise

    if reasons:
        progress.note(f"diverged: {'; '.join(reasons)}; nothing was exported")
        print(f"report: {run.report_file}")
        return EXIT_DIVERGED
    print(f"SavedModel: {exported}\nreport: {run.report_file}")
    return EXIT_DONE


def _says_full(error: BaseException) -> str:
    """The system's words when it would not take what was written; "" for any other error."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return os.strerror(error.errno)
    # TensorFlow writes checkpoints and events itself and has the words only in its message.
    full = os.strerror(errno.ENOSPC)
    return full if isinstance(error, tf.errors.OpError) and full in str(error) else ""


def _odd(days: Sequence[CheckedDay]) -> list[str]:
    """What is odd about the days, as lines."""
    found = [line for day in days for line in day.anomaly_lines()]
    more = [f"{len(found) - _SHOWN:,} more anomalies are listed in log.json"] if len(found) > _SHOWN else []
    return found[:_SHOWN] + more


def _headline(
    config: Config, source: Source, ranker: MultitaskRanker, strategy: tf.distribute.Strategy, step: int
) -> str:
    trained = {False: 0, True: 0}
    for variable in ranker.trainable_variables:
        trained["embeddings" in variable.name] += int(tf.size(variable))
    start = f", from step {step:,} on" if step else ""
    return (
        f"{len(source.days)} days, {len(source.schema.features)} features, {len(source.schema.tasks)} tasks; "
        f"{trained[False]:,} weights and {trained[True]:,} in embeddings; "
        f"rule {config.optimizer.rule}, learning rate {config.optimizer.learning_rate:g}, "
        f"{strategy.num_replicas_in_sync} replica(s){start}"
    )


def _details(began: float, training_seconds: float, clock: WaitClock) -> dict:
    return {
        "seconds": round(time.monotonic() - began, 1),
        "training_seconds": round(training_seconds, 1),
        "input_wait_fraction": round(clock.seconds / max(training_seconds, 1e-9), 4),
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "tf_keras": tf_keras.__version__,
        },
    }
