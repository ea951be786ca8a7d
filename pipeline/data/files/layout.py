"""Which files a log consists of and which day each file belongs to.

A log is in a local folder, in an object store that Arrow can read, or in a dataset that TFDS prepared in either.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import pyarrow as pa
from pyarrow import fs

from ....foundation.formatting import first_line
from ...config.errors import UserError
from ..tfds.address import SCHEME as TFDS_SCHEME
from ..tfds.address import find_dataset
from ..tfds.features import ColumnMetadata
from .day_folders import sort_into_days
from .folder_levels import NO_DAY_KEYS
from .local_files import list_tree

FileFormat = Literal["parquet", "tfrecord"]

_SUFFIXES: dict[str, FileFormat] = {
    ".parquet": "parquet",
    ".tfrecord": "tfrecord",
    ".tfrecord.gz": "tfrecord",
    ".tfrecords": "tfrecord",
    ".tfrecords.gz": "tfrecord",
}
# Suffixes of compressed files that no reader of this package opens. Parquet compresses inside of its files.
_COMPRESSED = {
    ".snappy": "snappy",
    ".zlib": "zlib",
    ".deflate": "zlib",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".lz4": "lz4",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".lzo": "lzo",
    ".br": "brotli",
}
# The shards of TFDS, and the files that Hadoop's and Spark's writers of TFRecord name without a suffix.
_TFRECORD_NAME = re.compile(r"\.tfrecords?-\d{5}-of-\d{5}(\.gz)?$|(^|/)part(-[rm])?-\d{5}(-[^/.]+)?(\.gz)?$")


@dataclasses.dataclass(frozen=True)
class LogLayout:
    """The files of a log.

    Attributes:
      filesystem: The file system that holds the files.
      format: The format of all files.
      days: The name and the files of each day, both in order. A log without folders of days is one day with an empty
        name.
      root: The path of the log's file or folder in ``filesystem``.
      infos: Size and modification time of each file, as found.
      folders: Paths of all folders.
      undated: The files whose folder says that their date is missing. They belong to no day.
      partitions: For each file, the values of its folders ``key=value`` that are not part of its day, by key. None is a
        missing value.
      rows: Expected number of rows of each file, where it is known.
      column_metadata: Metadata of the columns that the files do not contain.
    """

    filesystem: fs.FileSystem
    format: FileFormat
    days: tuple[tuple[str, tuple[str, ...]], ...]
    root: str
    infos: Mapping[str, fs.FileInfo] = dataclasses.field(default_factory=dict)
    folders: tuple[str, ...] = ()
    undated: tuple[str, ...] = ()
    partitions: Mapping[str, Mapping[str, str | None]] = dataclasses.field(default_factory=dict)
    rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    column_metadata: Mapping[str, ColumnMetadata] = dataclasses.field(default_factory=dict)

    @property
    def undated_folders(self) -> list[str]:
        """The folders of rows without a date, relative to ``root``."""
        return list(dict.fromkeys(posixpath.dirname(posixpath.relpath(file, self.root)) for file in self.undated))

    @property
    def files(self) -> list[str]:
        """All files, in the order of the days."""
        return [file for _, files in self.days for file in files]


def find_layout(path: str, day_keys: Sequence[str] = ()) -> LogLayout:
    """Finds the files of a log and sorts them into days.

    Folders that name dates or numbered periods are days, in the order of time: ``day=2026-11-01``, ``day=1``,
    ``year=2026/month=11/day=1``, ``2026/11/01`` and similar. See :func:`.day_folders.sort_into_days`. Files and folders
    whose names begin with ``.`` or ``_`` are ignored.

    Args:
      path: A file or folder, an address such as ``s3://bucket/log`` or ``gs://bucket/log``, or the address of a
        dataset; see :func:`.find_dataset`. If the address names several splits, each split is a day.
      day_keys: See the setting ``data.files.day_keys``.

    Raises:
      UserError: If the path does not exist, contains no file of a known format, contains files of both formats, or has
        folders that are not clearly days.
    """
    if path.startswith(TFDS_SCHEME):
        _check_no_day_keys(path, "a dataset", day_keys)
        return _find_dataset_layout(path)
    filesystem, root = _open_filesystem(path)
    [info] = _get_file_infos(filesystem, [root], path)
    if info.type == fs.FileType.NotFound:
        raise UserError(f"{path}: no such file or folder")
    if info.type == fs.FileType.File:
        _check_no_day_keys(path, "a file", day_keys)
        return LogLayout(filesystem, _detect_common_format([root], path), (("", (root,)),), root, {root: info})
    infos, folders = _list_log(filesystem, root, path)
    if not infos:
        raise UserError(
            f"{path}: the folder has no Parquet or TFRecord file (file names must end in {', '.join(_SUFFIXES)})"
        )
    files = {posixpath.relpath(file, root): file for file in infos}
    found = sort_into_days(list(files), [posixpath.relpath(folder, root) for folder in folders], path, day_keys)
    days = tuple((name, tuple(files[file] for file in day_files)) for name, day_files in found.days)
    partitions = {files[file]: values for file, values in found.partitions.items() if values}
    undated = tuple(files[file] for file in found.undated)
    file_format = _detect_common_format(list(infos), path)
    return LogLayout(filesystem, file_format, days, root, infos, tuple(folders), undated, partitions)


def detect_format(path: str) -> FileFormat | None:
    """Returns the format that a file's name indicates, or None if the name has no known suffix.

    Example:
    >>> detect_format("log/day=1/a.tfrecord.gz"), detect_format("part-r-00000"), detect_format("notes.txt")
    ('tfrecord', 'tfrecord', None)
    """
    if _TFRECORD_NAME.search(path):
        return "tfrecord"
    return next((name for suffix, name in _SUFFIXES.items() if path.endswith(suffix)), None)


def _check_no_day_keys(path: str, kind: str, day_keys: Sequence[str]) -> None:
    if day_keys and tuple(day_keys) != (NO_DAY_KEYS,):
        raise UserError(
            f"{path}: data.files.day_keys = {','.join(day_keys)} has no effect, because the log is {kind}; omit it, or name "
            "the folder above as data.files.path"
        )


def _list_log(filesystem: fs.FileSystem, root: str, path: str) -> tuple[dict[str, fs.FileInfo], list[str]]:
    """Returns the files of a log, by path, and its folders. Leaves out hidden ones."""
    if isinstance(filesystem, fs.LocalFileSystem):
        tree = list_tree(root, _is_hidden)
        for link in tree.broken_links:
            if detect_format(link) or not posixpath.splitext(link)[1]:
                raise UserError(f"{link}: the symbolic link points to nothing; restore its target, or remove the link")
        files = _select_readable(tree.files)
        return {info.path: info for info in _get_file_infos(filesystem, files, path)}, tree.folders
    entries = _get_file_infos(filesystem, fs.FileSelector(root, recursive=True), path)
    shown = [e for e in entries if not any(map(_is_hidden, posixpath.relpath(e.path, root).split("/")))]
    by_path = {e.path: e for e in shown if e.type == fs.FileType.File}
    return {file: by_path[file] for file in _select_readable(list(by_path))}, [
        e.path for e in shown if e.type == fs.FileType.Directory
    ]


def _find_dataset_layout(address: str) -> LogLayout:
    dataset = find_dataset(address)
    filesystem, root = _open_filesystem(dataset.folder)
    rows: dict[str, int] = {}
    days = []
    for name, shards in dataset.splits:
        # TFDS's paths have a scheme if they are in an object store; Arrow's have none.
        files = [posixpath.join(root, posixpath.relpath(file, dataset.folder)) for file, _ in shards]
        rows.update(zip(files, (count for _, count in shards), strict=True))
        days.append((name if len(dataset.splits) > 1 else "", tuple(files)))
    infos = {info.path: info for info in _get_file_infos(filesystem, list(rows), address)}
    return LogLayout(filesystem, "tfrecord", tuple(days), root, infos, rows=rows, column_metadata=dataset.columns)


def _open_filesystem(path: str) -> tuple[fs.FileSystem, str]:
    """Returns the file system of a path or address, and the path in it."""
    if "://" not in path:
        return fs.LocalFileSystem(), posixpath.abspath(posixpath.expanduser(path)) if path else path
    try:
        return fs.FileSystem.from_uri(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(
            f"{path}: Arrow cannot open this address: {first_line(error)}; use a path, s3://... or gs://..."
        ) from error


def _get_file_infos(filesystem: fs.FileSystem, query: list[str] | fs.FileSelector, path: str) -> list[fs.FileInfo]:
    try:
        return filesystem.get_file_info(query)
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path}: cannot be read: {first_line(error)}; check the address, the permissions and the network"
        ) from error


def _is_hidden(name: str) -> bool:
    # As Spark does: a folder is a partition if its key begins with an underscore.
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _detect_common_format(files: Sequence[str], path: str) -> FileFormat:
    formats = {detect_format(file) for file in files}
    if len(formats) > 1:
        raise UserError(f"{path}: the folder mixes Parquet and TFRecord files; name a folder of one format")
    [file_format] = formats
    if file_format is None:
        _check_no_compressed_file(files)
        raise UserError(f"{path}: unknown file format; the name must end in {', '.join(_SUFFIXES)}")
    return file_format


def _select_readable(files: Sequence[str]) -> list[str]:
    """Returns the files of a known format. Refuses compressed ones, whose rows would be missing without a sign."""
    readable = [file for file in files if detect_format(file)]
    _check_no_compressed_file([f for f in files if not readable or detect_format(posixpath.splitext(f)[0])])
    return readable


def _check_no_compressed_file(files: Sequence[str]) -> None:
    """Raises the error that names the first file whose suffix is a compression that cannot be read."""
    for file in files:
        stem, suffix = posixpath.splitext(file)
        if suffix == ".gz" and detect_format(stem) == "parquet":
            raise UserError(f"{file}: a Parquet file must not be compressed as a whole; decompress it: gunzip")
        if suffix in _COMPRESSED:
            raise UserError(
                f"{file}: files compressed with {_COMPRESSED[suffix]} cannot be read; decompress the file so that its name "
                "ends in .parquet or .tfrecord, or write TFRecord again with gzip (.tfrecord.gz)"
            )
