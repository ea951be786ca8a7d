"""A user's own log in Parquet or TFRecord files, as a source of training data.

Start with :class:`.log.FileLog`, the source. It combines the parts below, from the files up:

| module | content |
|---|---|
| :mod:`.layout` | the files of a log, and the day of each file |
| :mod:`.day_folders`, :mod:`.folder_levels`, :mod:`.splits` | what the names of folders mean: days, columns, or a mistake |
| :mod:`.local_files` | the files of a local folder, through symbolic links |
| :mod:`.partition_columns` | columns whose values are in the names of folders |
| :mod:`.readers` | the contract of a file reader; :mod:`.parquet` and :mod:`.tfrecord` are the two readers |
| :mod:`.row_group_cursor` | reads a large Parquet row group in parts |
| :mod:`.tfrecord_framing`, :mod:`.crc32c` | where records begin, and their checksums |
| :mod:`.tf_examples` | conversion of tf.Examples to Arrow columns |
| :mod:`.arrow_columns`, :mod:`.arrow_arrays` | conversion of Arrow columns to the schema's columns; detection of faulty rows |
| :mod:`.blocks` | division of row groups into days and blocks |
| :mod:`.log` | the source |
| :mod:`.quarantine` | the record of faulty rows |
| :mod:`.sample` | a sample of rows with all columns, for schema inference |
| :mod:`.conversion`, :mod:`.tfrecord_writer`, :mod:`.parquet_writer` | conversion between the formats |
"""

from .conversion import convert_log
from .layout import LogLayout, find_layout
from .log import FileLog
from .quarantine import Quarantine
from .sample import read_sample

__all__ = ["FileLog", "LogLayout", "Quarantine", "convert_log", "find_layout", "read_sample"]
