"""Evaluates the newest checkpoint of a run on days of a log, as a table.

    python -m steadyrank.pipeline.evaluate --model_dir=runs/demo --days=day_014
    python -m steadyrank.pipeline.evaluate --model_dir=runs/demo --config=runs/demo/config.yaml --config.data.simulated.seed=1

The log is that of the run, or that of --config, which must have the same schema. Exit code: 0 done; 2 a mistake on the
command line.
"""

from __future__ import annotations

from absl import flags

from .config import Config, UserError, command
from .config.flags import is_configured
from .config.quiet import quiet_import


def define_flags() -> None:
    """The command's own flags."""
    flags.DEFINE_string("model_dir", None, "Folder of the run.", required=True)
    flags.DEFINE_list("days", [], "Names of the days. Empty: those that the run held out.")


def main(arguments: flags.FlagValues, config: Config) -> int:
    """Evaluates and prints; returns the exit code."""
    with quiet_import():
        from .data import open_source
        from .training.evaluation import evaluate_day
        from .training.restore import restore_ranker
        from .training.run_directory import RunDirectory
        from .training.schedule import TrainingSchedule

    run = RunDirectory(arguments.model_dir)
    config = config if is_configured(arguments) else run.read_config()
    # Of the run's own log without the days that the run left out.
    excluded_days = () if is_configured(arguments) else [day.name for day in run.read_log() if day.skipped]
    source = open_source(config.data, excluded_days=excluded_days)
    unknown = [name for name in arguments.days if name not in source.days]
    if unknown:
        raise UserError(f"--days: the log has no day '{unknown[0]}'; it has {source.days[0]} to {source.days[-1]}")
    ranker, step = restore_ranker(run)
    if ranker.schema.columns != source.schema.columns:
        raise UserError(f"the log's schema is not that of {run.schema_file}; evaluate on a log with the same columns")
    days = [source.days.index(name) for name in arguments.days] or TrainingSchedule(config, source).holdout_days
    print(f"{'day':<26} {'task':<16} {'metric':<6} {'reached':>9} {'chance':>9} {'ceiling':>9}   (step {step:,})")
    for day in days:
        metrics = evaluate_day(config, source, ranker, day)
        for task in source.schema.tasks:
            kind, chance = ("auc", 0.5) if task.kind == "binary" else ("rmse", metrics.get(f"rmse_of_mean/{task.name}"))
            row = (metrics.get(f"{kind}/{task.name}"), chance, metrics.get(f"ceiling/{kind}/{task.name}"))
            numbers = " ".join(f"{value:9.4f}" if value is not None else f"{'-':>9}" for value in row)
            print(f"{source.days[day]:<26} {task.name:<16} {kind.upper():<6} {numbers}")
    return 0


if __name__ == "__main__":
    command(main, define_flags, default_config="demo")
