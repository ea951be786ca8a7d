"""Rewrites the report of a run from the files in the run's folder.

    python -m steadyrank.pipeline.report --model_dir=runs/demo

The command also works during training.

Exit codes: 0 done; 2 an error that the user can fix, printed as one line.
"""

from __future__ import annotations

from absl import flags

from .config import command
from .config.quiet import quiet_import
from .training.run_directory import RunDirectory


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string("model_dir", None, "Folder of the run.", required=True)


def main(arguments: flags.FlagValues) -> int:
    """Writes ``report.html`` and returns the exit code."""
    run = RunDirectory(arguments.model_dir)
    # Fails if the folder holds no run.
    run.read_config()
    with quiet_import():
        from .training.report import write_report

    write_report(run)
    print(f"Report: {run.report_file}")
    return 0


if __name__ == "__main__":
    command(main, define_flags)
