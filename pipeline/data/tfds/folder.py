"""The datasets that TFDS prepared on disk: their folder, their files, and the command that prepares a dataset.

This module always creates a builder from a folder. A builder from a name may look up the dataset in a bucket, and
retries for minutes if there is no network.

TFDS is imported inside the functions: most runs do not need it, and the import takes seconds.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from absl import logging

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_MAX_ERROR_LENGTH = 160
# Notes on graph nodes that TensorFlow adds to its messages.
_NODE_NOTE = re.compile(r"\{\{.*?\}\}|\[Op:.*?\]( name:)?")


def resolve_data_dir(data_dir: str) -> tfds.core.Path:
    """Returns the folder that holds TFDS's datasets.

    Args:
      data_dir: A path. Empty: TFDS's default, ``~/tensorflow_datasets`` or ``$TFDS_DATA_DIR``.
    """
    import tensorflow_datasets as tfds

    return tfds.core.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()


def load_builder(folder: tfds.core.Path) -> tfds.core.DatasetBuilder:
    """Reads the description of a prepared version.

    Raises:
      Exception: Whatever TFDS raises if the folder holds no readable description.
    """
    import tensorflow_datasets as tfds

    with silence_tfds():
        return tfds.builder_from_directory(folder)


def list_shards(builder: tfds.core.DatasetBuilder, split: str) -> list[tuple[str, int]]:
    """Returns the files of a split in order, each with the number of rows that TFDS wrote to it.

    Raises:
      ValueError: If the files are not TFRecord.
    """
    if builder.info.file_format.value != "tfrecord":
        raise ValueError(f"expected the file format tfrecord, got {builder.info.file_format.value}")
    info = builder.info.splits[split]
    return [(os.fspath(path), rows) for path, rows in zip(info.filepaths, info.shard_lengths, strict=True)]


def format_prepare_command(name: str, data_dir: str) -> str:
    """Returns the shell command that downloads and prepares a dataset.

    TFDS's own command, ``tfds build``, does not start without Apache Beam.
    """
    return (
        f"python -c \"import tensorflow_datasets as tfds; tfds.builder('{name}', data_dir='{data_dir}')"
        '.download_and_prepare()"'
    )


@contextlib.contextmanager
def silence_tfds() -> Iterator[None]:
    """Suppresses TFDS's output to stdout and its log messages below the level ERROR. Exceptions pass through."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)


def summarize_error(error: Exception) -> str:
    """Returns an error's type and the first line of its message, shortened and without TensorFlow's notes on graph nodes.

    Example:
    >>> summarize_error(ValueError("{{node Read}} no such shard [Op:Read]"))
    'ValueError: no such shard'
    """
    first = _NODE_NOTE.sub("", str(error)).strip().partition("\n")[0].strip()
    return f"{type(error).__name__}: {first[:_MAX_ERROR_LENGTH]}" if first else type(error).__name__
