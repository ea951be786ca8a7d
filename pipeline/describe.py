r"""Proposes a schema for a log, as a YAML file to correct.

    python -m steadyrank.pipeline.describe DATA --out=schema.yaml

DATA is a file, a folder, or a dataset that TFDS has prepared (tfds://NAME?split=train+test).
The file has a comment on each column. It describes the column's values and, for a column without a feature, the reason.
Correct the file, then train:

    python -m steadyrank.pipeline.train --config.data.source=files --config.data.files.path=DATA \
        --config.data.files.schema=schema.yaml --model_dir=DIR

Exit codes: 0 done; 2 an error that the user can fix, printed as one line.
"""

from __future__ import annotations

from absl import flags

from ..foundation.atomic_files import write_text
from .config import UserError, command
from .config.paths import check_new_path
from .config.quiet import quiet_import


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string("out", "", "File to write the proposal to; it must not exist yet. Empty: print the proposal.")
    flags.DEFINE_list("labels", [], "Columns to predict. Empty: all columns whose name and values suggest a label.")
    flags.DEFINE_list("day_keys", [], "Keys of the folders of days; see the setting data.files.day_keys.")
    flags.DEFINE_integer("rows", 200_000, "Approximate number of rows to read.", lower_bound=1)


def main(arguments: flags.FlagValues, path: str) -> int:
    """Writes or prints the proposal and returns the exit code."""
    # Refuse the file before the seconds that TensorFlow takes to load.
    out = check_new_path(f"--out={arguments.out}", arguments.out) if arguments.out else None
    with quiet_import():
        from .data.schema_inference import format_proposal, propose_schema

    proposal = propose_schema(path, arguments.labels, arguments.rows, arguments.day_keys)
    columns = [column.name for column in proposal.columns]
    unknown = [label for label in arguments.labels if label not in columns]
    if unknown:
        raise UserError(f"--labels: the log has no column '{unknown[0]}'; it has {', '.join(columns)}")
    text = format_proposal(proposal, path)
    if out is None:
        print(text, end="")
        return 0
    try:
        write_text(out, text)
    except OSError as error:
        raise UserError(f"--out={out} cannot be written: {error.strerror}") from error
    tasks = ", ".join(column.task.name for column in proposal.columns if column.task)
    print(f"Wrote a schema for {len(columns)} columns of {path} to {out}. Tasks: {tasks or 'none; see --labels'}")
    return 0


if __name__ == "__main__":
    command(main, define_flags, argument="DATA")
