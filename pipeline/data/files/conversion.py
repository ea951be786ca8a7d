"""Converts a log between Parquet and TFRecord."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from ....foundation.atomic_files import new_file, new_folder
from ....foundation.formatting import first_line
from ...config.errors import UserError
from .folder_levels import NO_DAY_KEYS
from .layout import FileFormat, LogLayout, detect_format, find_layout
from .parquet_writer import write_parquet
from .tfrecord_writer import write_tfrecord

_SUFFIX = re.compile(r"(\.parquet|\.tfrecords?)(\.gz)?(-\d{5}-of-\d{5})?$")
_ROWS_PER_GROUP = 65_536
_FORMAT_NAMES: dict[FileFormat, str] = {"parquet": "Parquet", "tfrecord": "TFRecord"}


def convert_log(
    source: str,
    target: str,
    target_format: FileFormat | None = None,
    rows_per_group: int | None = None,
    report_progress: Callable[[int, int], None] = lambda finished, total: None,
) -> tuple[int, int]:
    """Writes all columns of a log in another format. :mod:`steadyrank.pipeline.convert` describes how types change.

    The target appears under its name only when it is complete.

    Args:
      source: See :func:`.layout.find_layout`. If it names several splits of a dataset, each gets a folder such as
        ``split=0-train``.
      target: A local file or folder that does not exist yet.
      target_format: The format to write. None: the format other than the source's.
      rows_per_group: Rows of a Parquet row group; 65,536 by default.
      report_progress: Called repeatedly with the finished and the total amount of work.

    Returns:
      The number of rows and the number of files.

    Raises:
      UserError: If the source does not exist or cannot be read, a column has no counterpart in the target's format, or
        the target exists or cannot be written, or ``rows_per_group`` is set for TFRecord files, which have no groups.
    """
    # Any folders are converted, also those that a run would not train on.
    layout = find_layout(source, (NO_DAY_KEYS,))
    target_format = target_format or ("tfrecord" if layout.format == "parquet" else "parquet")
    is_single_file = layout.files == [layout.root]
    if target_format == "tfrecord" and rows_per_group is not None:
        raise UserError("--rows_per_group has no effect on TFRecord files, which have no groups of rows; omit it")
    final = _check_target(source, target, target_format, layout, is_single_file)
    names = [Path()] if is_single_file else _list_target_names(source, layout, target_format)
    try:
        with new_file(final) if is_single_file else _new_log_folder(final, layout) as temporary:
            paths = [temporary / name for name in names]
            for path in paths:
                path.parent.mkdir(parents=True, exist_ok=True)
            if target_format == "tfrecord":
                rows = write_tfrecord(layout, paths, final.name.endswith(".gz"), report_progress)
            else:
                rows = write_parquet(layout, paths, rows_per_group or _ROWS_PER_GROUP, report_progress)
            # Checked again at the end, because another process may have created the target during a long conversion.
            if os.path.lexists(final):
                raise UserError(
                    f"{target}: another process created the target during the conversion; name another target"
                )
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror or error}") from error
    except tf.errors.OpError as error:
        raise UserError(f"{target}: cannot be written: {first_line(Exception(error.message))}") from error
    return rows, len(names)


def _check_target(source: str, target: str, target_format: FileFormat, layout: LogLayout, is_single_file: bool) -> Path:
    """Returns the absolute path of the target."""
    if target_format == layout.format:
        raise UserError(f"{source}: the log is already in {_FORMAT_NAMES[layout.format]}; choose the other format")
    if "://" in target:
        raise UserError(f"{target}: the target must be a local path; convert to a local folder, then copy it")
    final = Path(os.path.abspath(os.path.expanduser(target)))
    if os.path.lexists(final):
        raise UserError(f"{target}: the target already exists; remove it, or name another target")
    if is_single_file and detect_format(final.name) != target_format:
        raise UserError(f"{target}: the name of a {_FORMAT_NAMES[target_format]} file must end in .{target_format}")
    if not is_single_file and Path(layout.root) in final.parents:
        raise UserError(f"{target}: the target is inside {source}; name a target outside it")
    return final


@contextlib.contextmanager
def _new_log_folder(final: Path, layout: LogLayout) -> Iterator[Path]:
    """Like :func:`.new_folder`, with all folders of the log, so that the target keeps days without files."""
    with new_folder(final, f".{final.name}.{os.getpid()}") as temporary:
        for folder in layout.folders:
            (temporary / posixpath.relpath(folder, layout.root)).mkdir(parents=True, exist_ok=True)
        yield temporary


def _list_split_folders(layout: LogLayout) -> list[str]:
    """Returns the folder of each split of a dataset in the target. Splits are numbered, so that they keep their order."""
    digits = len(str(len(layout.days) - 1))
    return [f"split={i:0{digits}}-{name}" if name else "" for i, (name, _) in enumerate(layout.days)]


def _list_target_names(source: str, layout: LogLayout, target_format: FileFormat) -> Sequence[Path]:
    """Returns the path of each file relative to the target."""
    names = []
    for folder, (_, files) in zip(_list_split_folders(layout), layout.days, strict=True):
        names += [Path(folder, _replace_suffix(posixpath.relpath(file, layout.root), target_format)) for file in files]
    duplicate = next((name for name, count in Counter(names).items() if count > 1), None)
    if duplicate:
        raise UserError(f"{source}: two files would be written to {duplicate}; rename one of them")
    return names


def _replace_suffix(name: str, target_format: FileFormat) -> str:
    """Returns a file's name with the suffix of a format. The name may have no known suffix, because TFDS datasets choose their file names.

    Example:
    >>> _replace_suffix("shop-train.tfrecord-00000-of-00003", "parquet")
    'shop-train-00000-of-00003.parquet'
    """
    match = _SUFFIX.search(name)
    return f"{name[: match.start()]}{match[3] or ''}.{target_format}" if match else f"{name}.{target_format}"
