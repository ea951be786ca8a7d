"""Exports the newest checkpoint of a run as a SavedModel, if the run's files show that it is healthy.

    python -m steadyrank.pipeline.export --model_dir=runs/demo --export_dir=models/feed

Exit codes: 0 exported; 2 an error that the user can fix, printed as one line; 3 the run diverged and nothing was
exported; 4 the health of the checkpoint is not known, for example because the run was killed before it was judged, and
nothing was exported.
"""

from __future__ import annotations

import sys

from absl import flags

from .config import command
from .config.paths import check_folder
from .config.quiet import quiet_import
from .training.run_directory import RunDirectory

EXIT_DIVERGED, EXIT_UNKNOWN_HEALTH = 3, 4


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
        from .training.health_evidence import read_health_evidence
        from .training.plain_path import describe_unloadable
        from .training.restore import restore_ranker

    ranker, step = restore_ranker(run)
    evidence = read_health_evidence(run, step)
    reasons = find_export_blockers(ranker, evidence.verdict)
    if reasons:
        print(f"The model was not exported: {'; '.join(reasons)}", file=sys.stderr)
        return EXIT_DIVERGED
    if evidence.doubts:
        print(
            f"The model was not exported, because its health is not known: {'; '.join(evidence.doubts)}. Continue the run "
            f"with --resume; it exports the model if it is healthy: python -m steadyrank.pipeline.train "
            f"--model_dir={arguments.model_dir} --resume",
            file=sys.stderr,
        )
        return EXIT_UNKNOWN_HEALTH
    exported = export_ranker(ranker, export_dir)
    print(f"SavedModel of step {step:,}: {exported}")
    note = describe_unloadable(exported)
    if note:
        print(note, file=sys.stderr)
    return 0


if __name__ == "__main__":
    command(main, define_flags)
