"""Writes the report of a run again, from the files that the run left.

    python -m steadyrank.pipeline.report --model_dir=runs/demo

Works while the run goes on, too. Exit code: 0 done; 2 a mistake on the command line.
"""

from __future__ import annotations

from absl import flags

from .config import command
from .config.quiet import quiet_import


def define_flags() -> None:
    """The command's own flags."""
    flags.DEFINE_string("model_dir", None, "Folder of the run.", required=True)


def main(arguments: flags.FlagValues) -> int:
    """Writes report.html; returns the exit code."""
    with quiet_import():
        from .training.report import write_report
        from .training.run_directory import RunDirectory

    run = RunDirectory(arguments.model_dir)
    run.read_config()
    write_report(run)
    print(f"report: {run.report_file}")
    return 0


if __name__ == "__main__":
    command(main, define_flags)
