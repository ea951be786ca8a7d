"""Exports the newest checkpoint of a run as a SavedModel, unless the run diverged.

    python -m steadyrank.pipeline.export --model_dir=runs/demo --export_dir=models/feed

Exit codes: 0 exported; 2 an error that the user can fix, printed as one line; 3 the run diverged and nothing was
exported.
"""

from __future__ import annotations

import sys

from absl import flags

from .config import command
from .config.paths import check_folder
from .config.quiet import quiet_import
from .training.run_directory import RunDirectory

EXIT_DIVERGED = 3


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string("model_dir", None, "Folder of the run.", required=True)
    flags.DEFINE_string(
        "export_dir", "", "Folder for the versions of the model. Empty: the folder export in --model_dir."
    )


def main(arguments: flags.FlagValues) -> int:
    """Exports the model and returns the exit code."""
    run = RunDirectory(arguments.model_dir)
    run.read_config()
    export_dir = arguments.export_dir or run.export
    export_dir = check_folder(f"--export_dir={export_dir}", export_dir)
    with quiet_import():
        from .serving import export_ranker, find_export_blockers
        from .training.plain_path import describe_unloadable
        from .training.restore import read_verdict, restore_ranker

    ranker, step = restore_ranker(run)
    reasons = find_export_blockers(ranker, read_verdict(run))
    if reasons:
        print(f"The model was not exported: {'; '.join(reasons)}", file=sys.stderr)
        return EXIT_DIVERGED
    exported = export_ranker(ranker, export_dir)
    print(f"SavedModel of step {step:,}: {exported}")
    note = describe_unloadable(exported)
    if note:
        print(note, file=sys.stderr)
    return 0


if __name__ == "__main__":
    command(main, define_flags)
