"""Evaluates the newest checkpoint of a run on days of a log and prints a table.

    python -m steadyrank.pipeline.evaluate --model_dir=runs/demo --days=day_014
    python -m steadyrank.pipeline.evaluate --model_dir=runs/demo --config.data.simulated.seed=1

Without --config, the command starts from the run's configuration and reads the run's log. A log that settings name
instead must have the same schema. For each day and
task, the table shows the AUC (binary task) or RMSE (regression), its value for a constant prediction and, for a
simulated log, the ceiling: the best value that any ranker can reach.

Exit codes: 0 done; 2 an error that the user can fix, printed as one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from absl import flags

from .config import Config, UserError, command
from .config.quiet import quiet_import
from .training.run_directory import RunDirectory

if TYPE_CHECKING:
    from ..models.schema import Task
    from .data.source import Source


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string("model_dir", None, "Folder of the run.", required=True)
    flags.DEFINE_list("days", [], "Names of the days. Empty: the held-out days of the run.")


def find_config(arguments: flags.FlagValues) -> str:
    """Returns the configuration of a command line without ``--config``."""
    return str(RunDirectory(arguments.model_dir).find_config())


def main(arguments: flags.FlagValues, config: Config) -> int:
    """Evaluates the checkpoint, prints the table and returns the exit code."""
    run = RunDirectory(arguments.model_dir)
    run_config = run.read_config()
    with quiet_import():
        from .data import open_source
        from .training.evaluation import evaluate_day
        from .training.restore import restore_ranker
        from .training.schedule import TrainingSchedule

    # Exclude the days that the run skipped.
    is_own_log = config.data.files == run_config.data.files
    excluded_days = [day.name for day in run.read_log() if day.skipped] if is_own_log else []
    source = open_source(config.data, excluded_days=excluded_days)
    days = _find_days(source, arguments.days)
    ranker, step = restore_ranker(run)
    if ranker.schema.columns != source.schema.columns:
        raise UserError(f"the log's schema differs from {run.schema_file}; evaluate on a log with the same columns")
    print(f"{'day':<26} {'task':<16} {'metric':<6} {'value':>9} {'constant':>9} {'ceiling':>9}   (step {step:,})")
    for day in days or TrainingSchedule(config, source).holdout_days:
        metrics = evaluate_day(config, source, ranker, day)
        for task in source.schema.tasks:
            print(f"{source.days[day]:<26} {_format_row(task, metrics)}")
    return 0


def _find_days(source: Source, names: Sequence[str]) -> list[int]:
    """Returns the positions of days by their names."""
    known = list(source.days)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"--days: the log has no day '{unknown[0]}'; it has {known[0]} to {known[-1]}")
    return [known.index(name) for name in names]


def _format_row(task: Task, metrics: Mapping[str, float]) -> str:
    metric = "auc" if task.kind == "binary" else "rmse"
    constant = 0.5 if metric == "auc" else metrics.get(f"rmse_of_mean/{task.name}")
    values = (metrics.get(f"{metric}/{task.name}"), constant, metrics.get(f"ceiling/{metric}/{task.name}"))
    numbers = " ".join(f"{'-':>9}" if value is None else f"{value:9.4f}" for value in values)
    return f"{task.name:<16} {metric.upper():<6} {numbers}"


if __name__ == "__main__":
    command(main, define_flags, default_config="demo", find_config=find_config)
