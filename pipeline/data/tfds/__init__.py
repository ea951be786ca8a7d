"""Datasets that TensorFlow Datasets (TFDS) prepared, read as a log of files.

A dataset is addressed as ``tfds://NAME[/CONFIG][:VERSION][?split=train+test&data_dir=DIR]``. Nothing here downloads anything.

| module | what it holds |
|---|---|
| :mod:`.address` | from an address to the dataset's files; start here |
| :mod:`.folder` | what TFDS prepared on disk |
| :mod:`.features` | what TFDS knows about each column |
"""

from .address import SCHEME, PreparedDataset, find_dataset
from .features import ColumnMetadata

__all__ = ["SCHEME", "ColumnMetadata", "PreparedDataset", "find_dataset"]
