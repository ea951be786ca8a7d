"""Compares the speed and the memory of reading a log with steadyrank, tf.data, TFDS, PyTorch and pyarrow alone.

    python benchmarks/input_pipeline.py

The benchmark writes one synthetic table of about 40 columns (floats, ids, strings, a list, labels) as Parquet. It also
writes the first row groups as TFRecord and through TFDS. Each reader runs in a separate process, one at a time, and
delivers shuffled batches of 1,024 rows. The measured time starts when the reader opens and ends at the last batch. TensorFlow
datasets are consumed inside TensorFlow, as in a training loop.

- **pyarrow alone** reads the row groups without conversion, shuffling or batching. It is the upper limit.
- The files are in the page cache. The fast readers read one batch before the measurement, so that TensorFlow's
  threads exist.
- The readers run in turn for several rounds. The table in Markdown shows medians.
- Memory is the peak resident size minus the resident size before reading, summed over all processes of a reader.
- The slow readers read only the first rows, through a smaller shuffle buffer, so that filling the buffer does not
  dominate their time.
- PyTorch is skipped if it is not installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from absl import app, flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_USE_LEGACY_KERAS"] = "1"
# The benchmark needs neither a GPU nor progress bars, and looking for them takes time.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TFDS_DISABLE_PROGRESS_BAR", "1")

from steadyrank.models.schema import Feature, Schema, Task

ROWS = flags.DEFINE_integer("rows", 1_000_000, "Number of rows of the table.", lower_bound=1)
ROW_GROUP = flags.DEFINE_integer(
    "row_group", 65_536, "Number of rows of a row group. Ignored if the folder already has the table.", lower_bound=1
)
SLOW_GROUPS = flags.DEFINE_integer("slow_groups", 2, "Number of row groups that the slow readers read.", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 3, "Number of rounds.", lower_bound=1)
ONLY = flags.DEFINE_list("only", [], "Readers to run. Empty: all.")
FOLDER = flags.DEFINE_string(
    "folder", "", "Folder for the files, which are written if they are missing. Empty: a temporary folder."
)
READER = flags.DEFINE_string("reader", "", "Internal: the reader that this process runs.")

BATCH, WINDOW, BUFFER = 1_024, 131_072, 32_768
STEADYRANK, PARSE_SINGLE, PARSE_BATCH, PYARROW = (
    "steadyrank",
    "tf.data parse_single_example",
    "tf.data parse_example",
    "pyarrow alone",
)
TORCH, TFDS = "PyTorch DataLoader", "TFDS"
FLOATS = [f"f{i}" for i in range(20)]
IDS = [f"id{i}" for i in range(8)]
STRINGS = [f"s{i}" for i in range(6)]
LABELS = [f"label{i}" for i in range(4)]
LIST, LIST_WIDTH = "history", 20
SCHEMA = Schema(
    (
        *(Feature(name, "numerical") for name in FLOATS),
        *(Feature(name, "categorical", hash_buckets=1 << 17) for name in IDS),
        *(Feature(name, "categorical", dtype="string", hash_buckets=1 << 14) for name in STRINGS),
        Feature(LIST, "bag", width=LIST_WIDTH, hash_buckets=1 << 17),
    ),
    tuple(Task(name, "binary") for name in LABELS),
)


def main(argv: list[str]) -> None:
    """Prints the tables, or runs one reader."""
    del argv
    if READER.value:
        print(json.dumps(READERS[READER.value](Path(FOLDER.value))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        compare_readers(Path(FOLDER.value or temporary))


def compare_readers(folder: Path) -> None:
    """Runs all readers and prints the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(folder)
    names = [name for name in READERS if not ONLY.value or name in ONLY.value]
    results: dict[str, list[dict]] = {}
    # In turn, so that a slow phase of the machine affects all readers.
    for _ in range(ROUNDS.value):
        for name in names:
            result = run_in_process(name, folder)
            if "skipped" in result:
                print(f"{name} is skipped: {result['skipped']}", flush=True)
                names = [other for other in names if other != name]
            else:
                results.setdefault(name, []).append(result)
    print("\n| reader | rows read | rows/s, median | rows/s, best | peak memory, MiB |\n|---|---|---|---|---|")
    speeds = {name: [run["rows"] / run["seconds"] for run in runs] for name, runs in results.items()}
    for name, runs in results.items():
        memory = np.median([run["bytes"] for run in runs]) / 2**20
        print(
            f"| {name} | {runs[0]['rows']:,} | {np.median(speeds[name]):,.0f} | {max(speeds[name]):,.0f} | {memory:,.0f} |"
        )
    print("\n| ratio | median | each round | target |\n|---|---|---|---|")
    for other, target in ((PARSE_BATCH, 4), (PARSE_SINGLE, 20), (PYARROW, 0.5)):
        if STEADYRANK in speeds and other in speeds:
            ratios = [speed / other_speed for speed, other_speed in zip(speeds[STEADYRANK], speeds[other], strict=True)]
            print(
                f"| steadyrank / {other} | {np.median(ratios):.2f} | {', '.join(f'{ratio:.2f}' for ratio in ratios)} | {target} |"
            )
    versions = [f"{name} {get_version(name)}" for name in ("tensorflow", "pyarrow", "tensorflow_datasets", "torch")]
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {get_processor()}, load at the end {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, {', '.join(versions)}; command: python {' '.join(sys.argv)}"
    )


def run_in_process(name: str, folder: Path) -> dict:
    """Runs one reader in a new process and returns its measurements, or why it was skipped."""
    flag_values = {"reader": name, "folder": folder}
    flag_values |= {flag.name: flag.value for flag in (ROWS, SLOW_GROUPS, ROW_GROUP)}
    command = [sys.executable, __file__, *(f"--{flag}={value}" for flag, value in flag_values.items())]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        return {"skipped": (process.stderr.strip().splitlines() or ["the process failed without a message"])[-1]}
    return json.loads(process.stdout.splitlines()[-1])


def write_parquet(folder: Path) -> None:
    """Writes the table with pyarrow's defaults."""
    path = folder / "table.parquet"
    if path.exists():
        return
    rng = np.random.default_rng(0)

    words = pa.array([f"value_{i}" for i in range(5000)])
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part:
        writer = None
        for first in range(0, ROWS.value, ROW_GROUP.value):
            rows = min(ROW_GROUP.value, ROWS.value - first)
            lengths = rng.integers(0, LIST_WIDTH, rows)
            ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            columns = {name: pa.array(rng.standard_normal(rows, np.float32)) for name in FLOATS}
            columns |= {name: pa.array(rng.zipf(1.3, rows) % 100_000) for name in IDS}
            columns |= {name: words.take(pa.array(rng.zipf(1.4, rows) % 5000)) for name in STRINGS}
            columns[LIST] = pa.ListArray.from_arrays(pa.array(ends), pa.array(rng.integers(0, 100_000, ends[-1])))
            columns |= {name: pa.array((rng.random(rows) < 0.2).astype(np.float32)) for name in LABELS}
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(part.name, table.schema)
            writer.write_table(table, row_group_size=ROW_GROUP.value)
        assert writer is not None
        writer.close()
    Path(part.name).rename(path)
    (folder / "schema.yaml").write_text(yaml.safe_dump(SCHEMA.to_dict(), sort_keys=False))


def count_slow_rows() -> int:
    """Returns the number of rows that the slow readers read."""
    return min(ROWS.value, SLOW_GROUPS.value * ROW_GROUP.value)


def read_first_rows(folder: Path) -> Iterator[dict]:
    """Yields the rows that the slow readers read, as plain values."""
    file = pq.ParquetFile(folder / "table.parquet")
    for batch in file.iter_batches(4096, row_groups=list(range(min(SLOW_GROUPS.value, file.num_row_groups)))):
        yield from batch.to_pylist()


def write_records(folder: Path) -> Path:
    """Writes the first rows as serialized examples."""
    import tensorflow as tf

    path = folder / f"table-{SLOW_GROUPS.value}.tfrecord"
    if path.exists():
        return path
    part = path.with_suffix(".part")
    with tf.io.TFRecordWriter(str(part)) as writer:
        for row in read_first_rows(folder):
            example = tf.train.Example()
            feature = example.features.feature
            for name in (*FLOATS, *LABELS):
                feature[name].float_list.value.append(row[name])
            for name in IDS:
                feature[name].int64_list.value.append(row[name])
            for name in STRINGS:
                feature[name].bytes_list.value.append(row[name].encode())
            feature[LIST].int64_list.value.extend(row[LIST])
            writer.write(example.SerializeToString())
    part.rename(path)
    return path


def make_features() -> dict:
    """Returns what TensorFlow needs to parse an example."""
    import tensorflow as tf

    kinds = dict.fromkeys((*FLOATS, *LABELS), tf.float32) | dict.fromkeys(IDS, tf.int64)
    kinds |= dict.fromkeys(STRINGS, tf.string)
    return {name: tf.io.FixedLenFeature([], kind) for name, kind in kinds.items()} | {
        LIST: tf.io.VarLenFeature(tf.int64)
    }


def read_with_steadyrank(folder: Path) -> dict:
    """Reads the training batches of a log of files."""
    import tensorflow as tf

    from steadyrank.pipeline.config.settings import Files
    from steadyrank.pipeline.data.batching import make_training_batches
    from steadyrank.pipeline.data.files.log import FileLog

    def read() -> tf.data.Dataset:
        log = FileLog(Files(path=str(folder / "table.parquet"), schema=str(folder / "schema.yaml"), periods=1))
        return make_training_batches(log, 0, batch_size=BATCH, seed=1, shuffle_rows=WINDOW)

    return measure(read, ROWS.value, warm=True)


def read_with_parse_single(folder: Path) -> dict:
    """Parses each record by itself, as most pipelines do."""
    import tensorflow as tf

    path, features = write_records(folder), make_features()

    def read() -> tf.data.Dataset:
        dataset = tf.data.TFRecordDataset(str(path))
        dataset = dataset.map(lambda record: tf.io.parse_single_example(record, features), tf.data.AUTOTUNE)
        return dataset.shuffle(BUFFER, seed=1).batch(BATCH).prefetch(tf.data.AUTOTUNE)

    return measure(read, count_slow_rows())


def read_with_parse_batch(folder: Path) -> dict:
    """Shuffles and batches serialized records, then parses each batch, which is faster. Reads the first rows several times."""
    import tensorflow as tf

    path, features = write_records(folder), make_features()
    repeats = max(ROWS.value // count_slow_rows(), 1)

    def read() -> tf.data.Dataset:
        dataset = tf.data.TFRecordDataset([str(path)] * repeats).shuffle(WINDOW, seed=1).batch(BATCH)
        dataset = dataset.map(lambda records: tf.io.parse_example(records, features), tf.data.AUTOTUNE)
        return dataset.prefetch(tf.data.AUTOTUNE)

    return measure(read, repeats * count_slow_rows(), warm=True)


def read_with_tfds(folder: Path) -> dict:
    """Reads a dataset that TFDS wrote, as the TFDS guide recommends."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = dict.fromkeys((*FLOATS, *LABELS), tf.float32) | dict.fromkeys(IDS, tf.int64)
    features |= {name: tfds.features.Text() for name in STRINGS}
    features |= {LIST: tfds.features.Sequence(tf.int64)}
    target = folder / f"tfds-{SLOW_GROUPS.value}"
    if not target.exists():
        part = target.with_suffix(".part")
        tfds.dataset_builders.store_as_tfds_dataset(
            name="table",
            version="1.0.0",
            data_dir=str(part),
            features=tfds.features.FeaturesDict(features),
            split_datasets={"train": enumerate(read_first_rows(folder))},
        )
        part.rename(target)
    builder = tfds.builder_from_directory(str(target / "table" / "1.0.0"))

    def read() -> tf.data.Dataset:
        dataset = builder.as_dataset(split="train", shuffle_files=True)
        return dataset.shuffle(BUFFER, seed=1).ragged_batch(BATCH).prefetch(tf.data.AUTOTUNE)

    return measure(read, count_slow_rows())


def read_with_torch(folder: Path) -> dict:
    """Reads with two workers, each with its own row groups and a buffer from which it draws rows; lists are padded per batch."""
    if not importlib.util.find_spec("torch"):
        return {"skipped": "PyTorch is not installed"}
    import random

    import torch
    from torch.utils.data import DataLoader, IterableDataset, default_collate, get_worker_info

    class Rows(IterableDataset):
        def __iter__(self) -> Iterator[dict]:
            before, info, rng = read_resident_bytes("VmRSS"), get_worker_info(), random.Random(1)
            file = pq.ParquetFile(folder / "table.parquet")
            groups = range(min(SLOW_GROUPS.value, file.num_row_groups))[info.id :: info.num_workers]
            buffer: list[dict] = []
            for group in groups:
                for row in file.read_row_group(group).to_pylist():
                    if len(buffer) < BUFFER:
                        buffer.append(row)
                        continue
                    index = rng.randrange(BUFFER)
                    yield buffer[index]
                    buffer[index] = row
            rng.shuffle(buffer)
            yield from buffer
            (folder / f"worker-{info.id}").write_text(str(read_resident_bytes("VmHWM") - before))

    def collate(rows: list[dict]) -> dict:
        lists = [torch.tensor(row.pop(LIST)) for row in rows]
        return default_collate(rows) | {LIST: torch.nn.utils.rnn.pad_sequence(lists, True, -1)}

    result = measure(lambda: iter(DataLoader(Rows(), BATCH, num_workers=2, collate_fn=collate)), count_slow_rows())
    for file in folder.glob("worker-*"):
        result["bytes"] += int(file.read_text())
        file.unlink()
    return result


def read_with_pyarrow(folder: Path) -> dict:
    """Reads one row group after the other and discards it."""

    def read() -> Iterator[object]:
        file = pq.ParquetFile(folder / "table.parquet")
        return (file.read_row_group(group) for group in range(file.num_row_groups))

    return measure(read, ROWS.value, warm=True)


READERS: dict[str, Callable[[Path], dict]] = {
    STEADYRANK: read_with_steadyrank,
    PARSE_BATCH: read_with_parse_batch,
    PYARROW: read_with_pyarrow,
    PARSE_SINGLE: read_with_parse_single,
    TFDS: read_with_tfds,
    TORCH: read_with_torch,
}


def measure(read: Callable[[], Any], rows: int, warm: bool = False) -> dict:
    """Measures the seconds and the peak memory of reading everything once.

    Args:
      read: Opens a reader. A dataset is consumed within TensorFlow, as a training loop does; other readers in Python.
      rows: Number of rows that are read.
      warm: Whether to read one batch from another reader first.
    """
    before = read_resident_bytes("VmRSS")
    # Resets the peak to the current resident size.
    Path("/proc/self/clear_refs").write_text("5")
    if warm:
        next(iter(read()))
    start = time.perf_counter()
    reader = read()
    if hasattr(reader, "reduce"):
        reader.reduce(np.int64(0), lambda count, _: count + 1)
    else:
        for _ in reader:
            pass
    seconds = time.perf_counter() - start
    return {"rows": rows, "seconds": seconds, "bytes": max(0, read_resident_bytes("VmHWM") - before)}


def read_resident_bytes(field: str) -> int:
    """Reads a size of this process: ``VmRSS`` is the resident size, ``VmHWM`` its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def get_version(name: str) -> str:
    """Returns the version of an installed package."""
    from importlib import metadata

    try:
        return metadata.version(name.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return "not installed"


def get_processor() -> str:
    """Returns the name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    app.run(main)
