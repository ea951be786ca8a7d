"""Datasets that TensorFlow Datasets (TFDS) prepared, read as a log of files.

The address of a dataset is ``tfds://NAME[/CONFIG][:VERSION][?split=train+test&data_dir=DIR]``. This package downloads
nothing.

| module | content |
|---|---|
| :mod:`.address` | finds the files of a dataset from its address; start here |
| :mod:`.folder` | the files that TFDS prepared on disk |
| :mod:`.features` | the metadata that TFDS stores for each column |
"""

from .address import SCHEME, PreparedDataset, find_dataset
from .features import ColumnMetadata

__all__ = ["SCHEME", "ColumnMetadata", "PreparedDataset", "find_dataset"]
