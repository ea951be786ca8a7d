"""How fast a log is read and how much memory that takes: ours beside tf.data's, TFDS's and PyTorch's ways, and the floor.

    python benchmarks/input_pipeline.py

One invented table of about 40 columns (floats, ids, strings, a list, labels) is written as Parquet and, its first row groups, as
TFRecord and by TFDS. Each contender reads it in a process of its own, one after the other: shuffled batches of 1,024 rows, from
making the reader to the last batch, which a dataset hands on within TensorFlow as a training loop takes them; the floor is what pyarrow alone needs to read the row groups, nothing converted, shuffled
or batched. The files are in the page cache, and the fast contenders have read a first batch before, so that TensorFlow's threads
are there. Several rounds; medians are printed as a table in Markdown. Memory is the peak of what is resident minus what was before
reading, over all processes of a contender. The slow ones read the first rows only, through a buffer smaller than our window, so that
their time is not that of filling it. PyTorch is left out when it is not installed.
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
# Neither is needed here, and both take a while to say that there is none.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TFDS_DISABLE_PROGRESS_BAR", "1")

from steadyrank.models.schema import Feature, Schema, Task

ROWS = flags.DEFINE_integer("rows", 1_000_000, "Rows of the table.", lower_bound=1)
ROW_GROUP = flags.DEFINE_integer(
    "row_group", 65_536, "Rows of a row group, in a folder without the table.", lower_bound=1
)
SLOW_GROUPS = flags.DEFINE_integer("slow_groups", 2, "Row groups that the slow contenders read.", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 3, "How often each contender reads.", lower_bound=1)
ONLY = flags.DEFINE_list("only", [], "Contenders to run; empty: all.")
FOLDER = flags.DEFINE_string("folder", "", "Where the files are, or will be, written; empty: a temporary folder.")
CONTENDER = flags.DEFINE_string("contender", "", "For the processes that this one starts.")

BATCH, WINDOW, BUFFER = 1_024, 131_072, 32_768
OURS, SINGLE, BATCHED, FLOOR = (
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
    """Prints the table, or reads for one contender."""
    del argv
    if CONTENDER.value:
        print(json.dumps(CONTENDERS[CONTENDER.value](Path(FOLDER.value))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        _compare(Path(FOLDER.value or temporary))


def _compare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(folder)
    names = [name for name in CONTENDERS if not ONLY.value or name in ONLY.value]
    told: dict[str, list[dict]] = {}
    # They take turns, so that what slows the machine for a while slows all.
    for _ in range(ROUNDS.value):
        for name in names:
            result = _in_a_process(name, folder)
            if "left_out" in result:
                print(f"{name} is left out: {result['left_out']}", flush=True)
                names = [other for other in names if other != name]
            else:
                told.setdefault(name, []).append(result)
    print("\n| reader | rows read | rows a second | most | peak memory, MiB |\n|---|---|---|---|---|")
    speeds = {name: [one["rows"] / one["seconds"] for one in results] for name, results in told.items()}
    for name, results in told.items():
        memory = np.median([one["bytes"] for one in results]) / 2**20
        print(
            f"| {name} | {results[0]['rows']:,} | {np.median(speeds[name]):,.0f} | {max(speeds[name]):,.0f} | {memory:,.0f} |"
        )
    print("\n| ratio | median | of each round | wanted |\n|---|---|---|---|")
    for other, wanted in ((BATCHED, 4), (SINGLE, 20), (FLOOR, 0.5)):
        if OURS in speeds and other in speeds:
            ratios = [ours / theirs for ours, theirs in zip(speeds[OURS], speeds[other], strict=True)]
            print(
                f"| ours / {other} | {np.median(ratios):.2f} | {', '.join(f'{ratio:.2f}' for ratio in ratios)} | {wanted} |"
            )
    versions = [f"{name} {_version(name)}" for name in ("tensorflow", "pyarrow", "tensorflow_datasets", "torch")]
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {_processor()}, load {os.getloadavg()[0]:.1f} at the end, "
        f"Python {platform.python_version()}, {', '.join(versions)}; command: python {' '.join(sys.argv)}"
    )


def _in_a_process(name: str, folder: Path) -> dict:
    done = subprocess.run(
        [
            sys.executable,
            __file__,
            f"--contender={name}",
            f"--folder={folder}",
            f"--rows={ROWS.value}",
            f"--slow_groups={SLOW_GROUPS.value}",
            f"--row_group={ROW_GROUP.value}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"left_out": (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def write_parquet(folder: Path) -> None:
    """The table, by pyarrow's defaults."""
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


def _slow_rows() -> int:
    return min(ROWS.value, SLOW_GROUPS.value * ROW_GROUP.value)


def _first_rows(folder: Path) -> Iterator[dict]:
    """The rows that the slow contenders read, as plain values."""
    file = pq.ParquetFile(folder / "table.parquet")
    for batch in file.iter_batches(4096, row_groups=list(range(min(SLOW_GROUPS.value, file.num_row_groups)))):
        yield from batch.to_pylist()


def write_records(folder: Path) -> Path:
    """The first rows as serialized examples."""
    import tensorflow as tf

    path = folder / f"table-{SLOW_GROUPS.value}.tfrecord"
    if path.exists():
        return path
    part = path.with_suffix(".part")
    with tf.io.TFRecordWriter(str(part)) as writer:
        for row in _first_rows(folder):
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


def _parsing() -> dict:
    import tensorflow as tf

    kinds = dict.fromkeys((*FLOATS, *LABELS), tf.float32) | dict.fromkeys(IDS, tf.int64)
    kinds |= dict.fromkeys(STRINGS, tf.string)
    return {name: tf.io.FixedLenFeature([], kind) for name, kind in kinds.items()} | {
        LIST: tf.io.VarLenFeature(tf.int64)
    }


def ours(folder: Path) -> dict:
    """Training batches of a log of one's own."""
    import tensorflow as tf

    from steadyrank.pipeline.config.settings import Files
    from steadyrank.pipeline.data.batching.dataset import make_training_batches
    from steadyrank.pipeline.data.files.log import FileLog

    def read() -> tf.data.Dataset:
        log = FileLog(Files(path=str(folder / "table.parquet"), schema=str(folder / "schema.yaml"), periods=1))
        return make_training_batches(log, 0, batch_size=BATCH, seed=1, shuffle_rows=WINDOW)

    return measure(read, ROWS.value, warm=True)


def single(folder: Path) -> dict:
    """What most pipelines are: each record is parsed by itself."""
    import tensorflow as tf

    path, features = write_records(folder), _parsing()

    def read() -> tf.data.Dataset:
        dataset = tf.data.TFRecordDataset(str(path))
        dataset = dataset.map(lambda one: tf.io.parse_single_example(one, features), tf.data.AUTOTUNE)
        return dataset.shuffle(BUFFER, seed=1).batch(BATCH).prefetch(tf.data.AUTOTUNE)

    return measure(read, _slow_rows())


def batched(folder: Path) -> dict:
    """The better way: serialized records are shuffled and batched, then parsed together. Reads the first rows several times."""
    import tensorflow as tf

    path, features = write_records(folder), _parsing()
    times = max(ROWS.value // _slow_rows(), 1)

    def read() -> tf.data.Dataset:
        dataset = tf.data.TFRecordDataset([str(path)] * times).shuffle(WINDOW, seed=1).batch(BATCH)
        dataset = dataset.map(lambda some: tf.io.parse_example(some, features), tf.data.AUTOTUNE)
        return dataset.prefetch(tf.data.AUTOTUNE)

    return measure(read, times * _slow_rows(), warm=True)


def tfds(folder: Path) -> dict:
    """A dataset that TFDS wrote, read as its guide says."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = dict.fromkeys((*FLOATS, *LABELS), tf.float32) | dict.fromkeys(IDS, tf.int64)
    features |= {name: tfds.features.Text() for name in STRINGS}
    features |= {LIST: tfds.features.Sequence(tf.int64)}
    where = folder / f"tfds-{SLOW_GROUPS.value}"
    if not where.exists():
        part = where.with_suffix(".part")
        tfds.dataset_builders.store_as_tfds_dataset(
            name="table",
            version="1.0.0",
            data_dir=str(part),
            features=tfds.features.FeaturesDict(features),
            split_datasets={"train": enumerate(_first_rows(folder))},
        )
        part.rename(where)
    builder = tfds.builder_from_directory(str(where / "table" / "1.0.0"))

    def read() -> tf.data.Dataset:
        dataset = builder.as_dataset(split="train", shuffle_files=True)
        return dataset.shuffle(BUFFER, seed=1).ragged_batch(BATCH).prefetch(tf.data.AUTOTUNE)

    return measure(read, _slow_rows())


def in_torch(folder: Path) -> dict:
    """Two workers, each with its row groups and a buffer from which rows are drawn; lists stay lists."""
    if not importlib.util.find_spec("torch"):
        return {"left_out": "PyTorch is not installed"}
    import random

    import torch
    from torch.utils.data import DataLoader, IterableDataset, default_collate, get_worker_info

    class Rows(IterableDataset):
        def __iter__(self) -> Iterator[dict]:
            before, info, draw = _resident("VmRSS"), get_worker_info(), random.Random(1)
            file = pq.ParquetFile(folder / "table.parquet")
            groups = range(min(SLOW_GROUPS.value, file.num_row_groups))[info.id :: info.num_workers]
            buffer: list[dict] = []
            for group in groups:
                for row in file.read_row_group(group).to_pylist():
                    if len(buffer) < BUFFER:
                        buffer.append(row)
                        continue
                    place = draw.randrange(BUFFER)
                    yield buffer[place]
                    buffer[place] = row
            draw.shuffle(buffer)
            yield from buffer
            (folder / f"worker-{info.id}").write_text(str(_resident("VmHWM") - before))

    def together(rows: list[dict]) -> dict:
        lists = [torch.tensor(row.pop(LIST)) for row in rows]
        return default_collate(rows) | {LIST: torch.nn.utils.rnn.pad_sequence(lists, True, -1)}

    told = measure(lambda: iter(DataLoader(Rows(), BATCH, num_workers=2, collate_fn=together)), _slow_rows())
    for file in folder.glob("worker-*"):
        told["bytes"] += int(file.read_text())
        file.unlink()
    return told


def arrow(folder: Path) -> dict:
    """The floor: row group by row group, nothing made of it."""

    def read() -> Iterator[object]:
        file = pq.ParquetFile(folder / "table.parquet")
        return (file.read_row_group(group) for group in range(file.num_row_groups))

    return measure(read, ROWS.value, warm=True)


CONTENDERS: dict[str, Callable[[Path], dict]] = {
    OURS: ours,
    BATCHED: batched,
    FLOOR: arrow,
    SINGLE: single,
    TFDS: tfds,
    TORCH: in_torch,
}


def measure(read: Callable[[], Any], rows: int, warm: bool = False) -> dict:
    """Seconds and peak bytes of one reading; with ``warm`` a first element is read before, from a reader of its own.

    What ``read`` returns is gone through: a dataset within TensorFlow, as a training loop does, anything else in Python.
    """
    before = _resident("VmRSS")
    # Sets the peak to what is resident now.
    Path("/proc/self/clear_refs").write_text("5")
    if warm:
        next(iter(read()))
    began = time.perf_counter()
    given = read()
    if hasattr(given, "reduce"):
        given.reduce(np.int64(0), lambda count, _: count + 1)
    else:
        for _ in given:
            pass
    seconds = time.perf_counter() - began
    return {"rows": rows, "seconds": seconds, "bytes": max(0, _resident("VmHWM") - before)}


def _resident(which: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(which)).split()[1]) * 1024


def _version(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    app.run(main)
