"""Trains a multitask ranker on a log, day by day, and exports it if it did not diverge.

    python -m steadyrank.pipeline.train --config=demo --model_dir=runs/demo
    python -m steadyrank.pipeline.train --model_dir=runs/demo --resume

Exit codes: 0 the model was exported; 2 an error that the user can fix, printed as one line; 3 the run diverged and
nothing was exported; 143 SIGTERM stopped the run after saving it, so --resume can continue it.
"""

from __future__ import annotations

from absl import flags

from .config import Config, command
from .config.quiet import quiet_import
from .training.run_directory import RunDirectory


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string(
        "model_dir",
        None,
        "Folder for all files of the run. Must be new or empty, unless --resume is set.",
        required=True,
    )
    flags.DEFINE_bool("resume", False, "Continue the run in --model_dir with the configuration stored there.")


def find_config(arguments: flags.FlagValues) -> str:
    """Returns the configuration of a command line without ``--config``."""
    return str(RunDirectory(arguments.model_dir).find_config()) if arguments.resume else arguments.config


def main(arguments: flags.FlagValues, config: Config) -> int:
    """Runs the job and returns the exit code."""
    # Loading TensorFlow takes seconds, and a wrong flag should be reported before that.
    RunDirectory(arguments.model_dir).check(config, arguments.resume)
    with quiet_import():
        from .training.job import run_job

    return run_job(config, arguments.model_dir, arguments.resume)


if __name__ == "__main__":
    command(main, define_flags, default_config="demo", find_config=find_config)
