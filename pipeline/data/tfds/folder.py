"""What TFDS has prepared on disk: where it looks, what it wrote there, and how to have it prepared.

TFDS can look a dataset up in a bucket when its builder is made, with minutes of retries where there is no network. It does
not when the builder is made from a folder, as here. TFDS is imported where it is used: most runs do not need it, and the
import takes its time.
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

_NODE = re.compile(r"\{\{.*?\}\}|\[Op:.*?\]( name:)?")


def resolve_data_dir(data_dir: str) -> tfds.core.Path:
    """The folder that holds TFDS's datasets. Empty: TFDS's own default."""
    import tensorflow_datasets as tfds

    return tfds.core.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()


def load_builder(folder: tfds.core.Path) -> tfds.core.DatasetBuilder:
    """The builder of a prepared version, which reads its description; raises whatever TFDS raises where there is none."""
    import tensorflow_datasets as tfds

    with silence_tfds():
        return tfds.builder_from_directory(folder)


def list_shards(builder: tfds.core.DatasetBuilder, split: str) -> list[tuple[str, int]]:
    """The files of a split in their order, each with the number of rows that TFDS wrote.

    Raises:
      ValueError: When they are not TFRecord.
    """
    if builder.info.file_format.value != "tfrecord":
        raise ValueError(f"expected the file format tfrecord, got {builder.info.file_format.value}")
    found = builder.info.splits[split]
    return [(os.fspath(path), rows) for path, rows in zip(found.filepaths, found.shard_lengths, strict=True)]


def format_prepare_command(name: str, data_dir: str) -> str:
    """The command that downloads and prepares a dataset; TFDS's own, ``tfds build``, needs Apache Beam to start."""
    return (
        f"python -c \"import tensorflow_datasets as tfds; tfds.builder('{name}', data_dir='{data_dir}')"
        '.download_and_prepare()"'
    )


@contextlib.contextmanager
def silence_tfds() -> Iterator[None]:
    """Without TFDS's log lines below errors and without what it prints; exceptions come through."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)


def summarize_error(error: Exception) -> str:
    """The kind of an error and the first line of its text, without TensorFlow's notes on nodes, cut to a readable length."""
    first = _NODE.sub("", str(error)).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first[:160]}" if first else type(error).__name__
