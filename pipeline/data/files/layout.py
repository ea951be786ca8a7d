"""Which files make up a log, and which of them a day: local folders, object stores through Arrow's file systems, and datasets
that TFDS has prepared in either.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Mapping, Sequence

import pyarrow as pa
from pyarrow import fs

from ....foundation.formatting import first_line
from ...config.errors import UserError
from ..tfds import address as tfds_log
from ..tfds.features import ColumnMetadata

_PARTITION = re.compile(r"[^/=]+=[^/]+")
_ENDINGS = {".parquet": "parquet", ".tfrecord": "tfrecord", ".tfrecord.gz": "tfrecord", ".tfrecords": "tfrecord"}
_TFDS_SHARD = re.compile(r"\.tfrecord-\d{5}-of-\d{5}$")


@dataclasses.dataclass(frozen=True)
class LogLayout:
    """The files of a log.

    Attributes:
      filesystem: Where they lie.
      format: ``parquet`` or ``tfrecord``.
      days: For each day its name and its files, both in order; one day without a name where the folders tell of none.
      root: The file or the folder itself.
      infos: Of each file its size and its time, as they were found.
      rows: How many rows a file should have, where that is known.
      column_metadata: What is known of columns beside what the files tell.
    """

    filesystem: fs.FileSystem
    format: str
    days: tuple[tuple[str, tuple[str, ...]], ...]
    root: str
    infos: Mapping[str, fs.FileInfo] = dataclasses.field(default_factory=dict)
    rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    column_metadata: Mapping[str, ColumnMetadata] = dataclasses.field(default_factory=dict)


def find_layout(path: str) -> LogLayout:
    """Looks at a file or a folder.

    A folder whose folders are called ``key=value``, as Spark and BigQuery write them, is one day each, in the order of their
    names; what lies deeper belongs to the day. Hidden files and those that begin with ``_`` are passed over.

    Args:
      path: A path, an address such as ``s3://bucket/log`` or ``gs://bucket/log``, or that of a dataset, see
        :func:`.tfds_log.find_dataset`, of which each split is a day where several are named.

    Raises:
      UserError: When there is nothing, or nothing of a known format.
    """
    if path.startswith(tfds_log.SCHEME):
        return _prepared(path)
    filesystem, root = _open(path)
    [info] = _infos(filesystem, [root], path)
    if info.type == fs.FileType.NotFound:
        raise UserError(f"{path}: there is no such file or folder")
    if info.type == fs.FileType.File:
        return LogLayout(filesystem, _format_of([root], path), (("", (root,)),), root, {root: info})
    found = _infos(filesystem, fs.FileSelector(root, recursive=True), path)
    infos = {each.path: each for each in found if each.type == fs.FileType.File and _is_data(each.path, root)}
    files = sorted(infos)
    folders = {each.path for each in found if each.type == fs.FileType.Directory}
    if not files:
        raise UserError(f"{path}: no Parquet or TFRecord file was found there (names end in {', '.join(_ENDINGS)})")
    by_day: dict[str, list[str]] = {}
    for file in files:
        first = posixpath.relpath(file, root).split("/")[0]
        by_day.setdefault(first if _PARTITION.fullmatch(first) else "", []).append(file)
    # A day without a file is a day: it must not vanish unseen.
    empty = sorted(posixpath.basename(f) for f in folders if posixpath.dirname(f) == root)
    if "" not in by_day:
        for name in empty:
            if _PARTITION.fullmatch(name):
                by_day.setdefault(name, [])
    elif len(by_day) > 1:
        raise UserError(
            f"{path}: files lie beside folders of days ({', '.join(sorted(by_day)[1:3])} …); put them into a day, or name one folder"
        )
    days = tuple((name, tuple(some)) for name, some in sorted(by_day.items()))
    return LogLayout(filesystem, _format_of(files, path), days, root, infos)


def detect_format(path: str) -> str:
    """``parquet`` or ``tfrecord``, as a file's name tells; "" when it tells of neither."""
    if _TFDS_SHARD.search(path):
        return "tfrecord"
    return next((name for ending, name in _ENDINGS.items() if path.endswith(ending)), "")


def _prepared(address: str) -> LogLayout:
    dataset = tfds_log.find_dataset(address)
    filesystem, root = _open(dataset.folder)
    rows: dict[str, int] = {}
    days = []
    for name, shards in dataset.splits:
        # As this file system calls them: without the scheme, which TFDS's have in an object store.
        files = [posixpath.join(root, posixpath.relpath(file, dataset.folder)) for file, _ in shards]
        rows.update(zip(files, (count for _, count in shards), strict=True))
        days.append((name if len(dataset.splits) > 1 else "", tuple(files)))
    infos = {info.path: info for info in _infos(filesystem, list(rows), address)}
    return LogLayout(filesystem, "tfrecord", tuple(days), root, infos, rows, dataset.columns)


def _open(path: str) -> tuple[fs.FileSystem, str]:
    if "://" not in path:
        return fs.LocalFileSystem(), posixpath.abspath(posixpath.expanduser(path)) if path else path
    try:
        return fs.FileSystem.from_uri(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{path}: Arrow knows no such place: {first_line(error)}") from error


def _infos(filesystem: fs.FileSystem, asked: list[str] | fs.FileSelector, shown: str) -> list[fs.FileInfo]:
    try:
        return filesystem.get_file_info(asked)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{shown}: cannot be read: {first_line(error)}") from error


def _is_data(path: str, root: str) -> bool:
    """Whether a file is one of the log's, by its name."""
    return bool(detect_format(path)) and not any(
        part.startswith((".", "_")) for part in posixpath.relpath(path, root).split("/")
    )


def _format_of(files: Sequence[str], shown: str) -> str:
    formats = sorted({detect_format(file) for file in files})
    if len(formats) > 1:
        raise UserError(f"{shown}: files of several formats lie there ({' and '.join(formats)}); name a folder of one")
    if not formats[0]:
        raise UserError(
            f"{shown}: not known as Parquet or TFRecord by its name, which should end in {', '.join(_ENDINGS)}"
        )
    return formats[0]
