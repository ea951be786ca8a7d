"""Looks at a log and proposes its schema, as a YAML file to be corrected.

    python -m steadyrank.pipeline.describe DATA --out=schema.yaml

DATA is a file, a folder, or a dataset that TFDS has prepared (``tfds://NAME?split=train+test``); see ``data.files.path``.
Then: ``python -m steadyrank.pipeline.train --config.data.source=files --config.data.files.path=DATA
--config.data.files.schema=schema.yaml --model_dir=DIR``.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from .config import UserError, command
from .config.quiet import quiet_import


def define_flags() -> None:
    """The command's own flags."""
    flags.DEFINE_string("out", "", "File for the proposal; it must not exist. Empty: it is printed.")
    flags.DEFINE_list("labels", [], "Columns that are to be predicted. Empty: those that look like it.")
    flags.DEFINE_integer("rows", 200_000, "About how many rows are looked at.", lower_bound=1)


def main(arguments: flags.FlagValues, path: str) -> int:
    """Writes the proposal; returns the exit code."""
    with quiet_import():
        from .data.schema_inference import format_proposal, propose_schema

    out = Path(arguments.out) if arguments.out else None
    if out is not None and out.exists():
        raise UserError(f"--out={out} is there already; remove it, or name another file")
    proposal = propose_schema(path, arguments.labels, arguments.rows)
    unknown = [label for label in arguments.labels if label not in {column.name for column in proposal.columns}]
    if unknown:
        raise UserError(f"--labels: the log has no column '{unknown[0]}'")
    text = format_proposal(proposal, path)
    if out is None:
        print(text, end="")
        return 0
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--out={out} cannot be written: {error.strerror}") from error
    tasks = [column.task.name for column in proposal.columns if column.task]
    print(
        f"{len(proposal.columns)} columns of {path} -> {out}; tasks: {', '.join(tasks) or 'none, name some by --labels'}"
    )
    return 0


if __name__ == "__main__":
    command(main, define_flags, argument="DATA")
