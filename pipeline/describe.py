r"""Proposes a schema for a log, as a YAML file to correct.

    python -m steadyrank.pipeline.describe DATA --out=schema.yaml

DATA is a file, a folder, or a dataset that TFDS has prepared (tfds://NAME?split=train+test).
The file has a comment on each column. It describes the column's values and, for a column that is left out, the reason.
A column becomes a task only if its name can only be a label, such as click, or if --labels names it. Columns that may be
labels, and features that alone predict a label, are left out.
Correct the file, then train:

    python -m steadyrank.pipeline.train --config.data.source=files --config.data.files.path=DATA \
        --config.data.files.schema=schema.yaml --model_dir=DIR

Exit codes: 0 done; 2 an error that the user can fix, printed as one line.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from absl import flags

from ..foundation.atomic_files import write_text
from .config import UserError, command
from .config.paths import check_new_path
from .config.quiet import quiet_import


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string("out", "", "File to write the proposal to; it must not exist yet. Empty: print the proposal.")
    flags.DEFINE_list(
        "labels",
        [],
        "Columns to predict. Empty: the columns whose names can only be labels, such as click, with values 0 and 1.",
    )
    flags.DEFINE_list("day_keys", [], "Keys of the folders of days; see the setting data.files.day_keys.")
    flags.DEFINE_integer("rows", 200_000, "Approximate number of rows to read.", lower_bound=1)


def main(arguments: flags.FlagValues, path: str) -> int:
    """Writes or prints the proposal and returns the exit code."""
    # Refuse the file before the seconds that TensorFlow takes to load.
    out = check_new_path(f"--out={arguments.out}", arguments.out) if arguments.out else None
    with quiet_import():
        from .data.schema_inference import format_proposal, format_summary, propose_schema

    try:
        proposal = propose_schema(path, arguments.labels, arguments.rows, arguments.day_keys)
    except UserError as error:
        # This command has no configuration, but a flag with the same meaning.
        raise UserError(str(error).replace("--config.data.files.day_keys", "--day_keys")) from error
    text = format_proposal(proposal, path)
    summary = "\n".join(format_summary(proposal))
    if out is None:
        # The summary goes to stderr, so that the output is a YAML file.
        print(text, end="")
        print(summary, file=sys.stderr)
    else:
        print(summary)
    if not proposal.tasks:
        raise UserError(_ask_for_labels(path, arguments, [column.name for column in proposal.candidates]))
    if not proposal.features:
        raise UserError("no column can be a feature, for the reasons above; add columns to the log")
    if out is None:
        return 0
    try:
        write_text(out, text)
    except OSError as error:
        raise UserError(f"--out={out} cannot be written: {error.strerror}") from error
    tasks = ", ".join(column.task.name for column in proposal.tasks if column.task)
    command_line = _format_command(
        "train",
        "--model_dir=runs/first",
        "--config.data.source=files",
        f"--config.data.files.path={path}",
        f"--config.data.files.schema={out}",
        *([f"--config.data.files.day_keys={','.join(arguments.day_keys)}"] if arguments.day_keys else []),
    )
    print(
        f"\nWrote a schema for {len(proposal.columns)} columns of {path} to {out}. Tasks: {tasks}\n"
        f"Read and correct it, then train:\n  {command_line}"
    )
    return 0


def _ask_for_labels(path: str, arguments: flags.FlagValues, candidates: Sequence[str]) -> str:
    """Returns the error for a log without an unmistakable label, with the command to run next."""
    # A name with a comma is one entry of the list only in quotes.
    names = [f'"{name}"' if "," in name else name for name in candidates]
    labels = f"--labels={','.join(names) or 'COLUMN'}"
    given = [f"--out={arguments.out}"] if arguments.out else []
    given += [f"--day_keys={','.join(arguments.day_keys)}"] if arguments.day_keys else []
    command_line = _format_command("describe", path, *given, labels)
    found = "choose among the columns that may be labels" if candidates else "name the columns to predict"
    return f"no column is certainly a label, so no schema was written; {found}: {command_line}"


def _format_command(name: str, *words: str) -> str:
    return " ".join([f"python -m steadyrank.pipeline.{name}", *map(shlex.quote, words)])


if __name__ == "__main__":
    command(main, define_flags, argument="DATA")
