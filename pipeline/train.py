"""Trains a multitask ranker on a log, day by day, and publishes it if it did not diverge.

    python -m steadyrank.pipeline.train --config=demo --model_dir=runs/demo

Exit code: 0 done and published; 2 a mistake on the command line; 3 the run diverged and was not published; 143 preempted
by SIGTERM after saving, to be continued with --resume.
"""

from __future__ import annotations

from absl import flags

from .config import Config, command
from .config.flags import is_configured
from .config.quiet import quiet_import


def define_flags() -> None:
    """The command's own flags."""
    flags.DEFINE_string(
        "model_dir", None, "Folder of the run, new or empty; everything it leaves lies there.", required=True
    )
    flags.DEFINE_bool("resume", False, "Go on with the run in model_dir, with the configuration that lies there.")


def main(arguments: flags.FlagValues, config: Config) -> int:
    """Runs the job; returns the exit code."""
    # TensorFlow is loaded here and not above, so that a wrong flag is answered at once.
    with quiet_import():
        from .training.job import run_job

    return run_job(
        config if is_configured(arguments) or not arguments.resume else None, arguments.model_dir, arguments.resume
    )


if __name__ == "__main__":
    command(main, define_flags, default_config="demo")
