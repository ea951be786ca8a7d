"""Converts a log between Parquet and TFRecord.

    python -m steadyrank.pipeline.convert SOURCE TARGET

SOURCE is a file, a folder, or a dataset that TFDS has prepared (tfds://NAME?split=train+test). TARGET is a local path
that must not exist yet. Folders of days, such as day=2026-11-01, keep their names. If SOURCE names several splits, each
gets a folder. The command writes all columns. If TARGET ends in .gz, it compresses TFRecord files.

A tf.Example holds 64-bit integers, 32-bit floats and bytes. From Parquet to TFRecord:

    booleans          become 0 and 1
    doubles           become 32-bit floats and lose digits
    strings           become UTF-8 bytes
    missing values    become empty lists
    other types       cause an error: times, decimals, nested columns

From TFRecord to Parquet:

    columns           are sorted by name
    lists             become single values if no row has more than one, unless TFDS says that the column holds lists
    empty lists       become missing values
    bytes             become strings if all of them are UTF-8
"""

from __future__ import annotations

import sys

from absl import flags

from ..foundation.formatting import pluralize
from .config import command
from .config.paths import check_new_path
from .config.quiet import quiet_import


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_enum(
        "format", "", ["", "parquet", "tfrecord"], "Format of TARGET. Empty: the opposite of the format of SOURCE."
    )
    flags.DEFINE_integer("rows_per_group", 65_536, "Rows of a Parquet row group.", lower_bound=1)


def main(arguments: flags.FlagValues, source: str, target: str) -> int:
    """Converts the log and returns the exit code."""
    # Refuse the target before the seconds that TensorFlow takes to load.
    if "://" not in target:
        check_new_path(target, target)
    with quiet_import():
        from .data.files.conversion import convert_log
        from .training.progress import ProgressBar

    rows_per_group = arguments.rows_per_group if arguments["rows_per_group"].present else None
    bar = ProgressBar(sys.stderr)
    try:
        rows, files = convert_log(source, target, arguments.format or None, rows_per_group, bar.show)
    finally:
        bar.clear()
    print(f"{pluralize(rows, 'row')} in {pluralize(files, 'file')} of {source} -> {target}")
    return 0


if __name__ == "__main__":
    command(main, define_flags, arguments=("SOURCE", "TARGET"))
