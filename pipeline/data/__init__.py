"""Logs of impressions: where they come from, and how they become the batches of a training step.

A :class:`Source` is a sequence of days; a day is a sequence of blocks; a block is a set of columns. :func:`open_source`
opens the source that a configuration names. To train on data that no built-in source reads, subclass :class:`Source`.

| module or package | content |
|---|---|
| :mod:`.source` | the contract of every source |
| :mod:`.columns` | the columns of a block; strings as dictionaries |
| :mod:`.day_names` | the time in the name of a day |
| :mod:`.open` | opens the source of a configuration |
| :mod:`.feature_statistics` | means, standard deviations and vocabularies, computed before training |
| :mod:`.statistics_cache` | stores them on disk for the next run |
| :mod:`.ceiling` | the best metrics that a ranker can reach on a simulated log |
| :mod:`.batching` | shuffle windows, batches, the tf.data service |
| :mod:`.simulated` | the simulated log of a video platform |
| :mod:`.movielens` | MovieLens |
| :mod:`.files` | a user's own log in Parquet or TFRecord files |
| :mod:`.tfds` | finds the files of a dataset that TensorFlow Datasets prepared |
| :mod:`.checks` | checks of a log's days before a run |
| :mod:`.schema_inference` | proposes the schema of a user's own log |
"""

from .columns import Columns, DictionaryColumn, EncodedColumns
from .open import open_source
from .source import RowFaultCounts, RowFaults, Source

__all__ = [
    "Columns",
    "DictionaryColumn",
    "EncodedColumns",
    "RowFaultCounts",
    "RowFaults",
    "Source",
    "open_source",
]
