"""Writes a log again in the other format: Parquet as TFRecord, or TFRecord as Parquet.

    python -m steadyrank.pipeline.convert SOURCE TARGET

SOURCE is a file, a folder, whose folders, such as ``day=2026-11-01``, are kept, or a dataset that TFDS has prepared
(``tfds://NAME?split=train+test``), of which each of several splits gets a folder; TARGET must not be there. All columns are
written. A tf.Example has whole numbers of 64 bits, numbers of 32 bits and bytes, so in TFRecord truth values become 0 and
1, doubles lose digits, strings become UTF-8 and missing values lists without a value; times, decimals and nested columns
are refused. Back in Parquet the columns are in the order of their names, one without lists longer than one holds single
values, if no dataset knows it as lists, an empty list is missing, and bytes that are UTF-8 are strings. A TARGET that ends in
``.gz`` is compressed.
"""

from __future__ import annotations

import sys

from absl import flags

from .config import command
from .config.quiet import quiet_import


def define_flags() -> None:
    """The command's own flags."""
    flags.DEFINE_enum(
        "format", "", ["", "parquet", "tfrecord"], "Format of TARGET. Empty: the one that SOURCE does not have."
    )
    flags.DEFINE_integer("rows_per_group", 65_536, "Rows of a row group of Parquet.", lower_bound=1)


def main(arguments: flags.FlagValues, source: str, target: str) -> int:
    """Writes the target; returns the exit code."""
    with quiet_import():
        from .data.files.conversion import convert_log
        from .training.progress import ProgressBar

    bar = ProgressBar(sys.stderr)
    try:
        rows, files = convert_log(source, target, arguments.format, arguments.rows_per_group, bar.show)
    finally:
        bar.clear()
    print(f"{rows:,} rows in {files:,} {'file' if files == 1 else 'files'} of {source} -> {target}")
    return 0


if __name__ == "__main__":
    command(main, define_flags, arguments=("SOURCE", "TARGET"))
