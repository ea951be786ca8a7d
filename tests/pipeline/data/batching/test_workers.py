"""Two workers of MultiWorkerMirroredStrategy, each in its own process, share the rows of a day."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.addresses import free_addresses

SCHEMA = """
features:
- {name: user, kind: categorical, hash_buckets: 100}
- {name: country, kind: categorical, dtype: string, hash_buckets: 10}
tasks:
- {name: click, kind: binary}
"""
# Seven files of unequal length: two workers that share them file by file would get unequal numbers of rows.
FILES = (130, 70, 200, 33, 120, 95, 61)
ROWS, BATCH = sum(FILES), 64

WORKER = """
import functools, json, sys
import numpy as np
import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()
from steadyrank.pipeline.config.settings import Files
from steadyrank.pipeline.data.batching.dataset import make_evaluation_batches, make_training_batches
from steadyrank.pipeline.data.files.log import FileLog
from steadyrank.pipeline.training.distribution import distribute_batches

path, schema, start = sys.argv[1:]
source = FileLog(Files(path=path, schema=schema, periods=1))
read = {}
for name, batches in {
    "shuffled": functools.partial(
        make_training_batches, source, 0, batch_size=64, seed=1, shuffle_rows=150, start=int(start)
    ),
    "evaluated": functools.partial(make_evaluation_batches, source, 0, batch_size=64),
}.items():
    read[name] = []
    for batch in distribute_batches(strategy, batches):
        [users] = strategy.experimental_local_results(batch["user"])
        [labels] = strategy.experimental_local_results(batch["click"])
        labeled = ~np.isnan(labels.numpy())
        read[name].append({"shape": users.shape.as_list(), "users": users.numpy()[labeled].tolist()})
print("READ", json.dumps(read))
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    root = tmp_path_factory.mktemp("log")
    first = 0
    for number, rows in enumerate(FILES):
        n = np.arange(first, first + rows)
        table = pa.table({"user": n, "country": [f"c{i % 5}" for i in n], "click": n % 2})
        pq.write_table(table, root / f"part-{number}.parquet", row_group_size=50)
        first += rows
    schema = root.parent / f"{root.name}.yaml"
    schema.write_text(SCHEMA)
    return str(root), str(schema)


@pytest.fixture(scope="module")
def read(log):
    """Returns what each of two workers reads, starting at a given batch."""

    def read_from(start: int) -> list[dict]:
        workers = free_addresses(2)
        running = []
        for index in range(2):
            config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
            running.append(
                subprocess.Popen(
                    [sys.executable, "-c", WORKER, *log, str(start)],
                    env=os.environ | {"TF_CONFIG": json.dumps(config), "TF_CPP_MIN_LOG_LEVEL": "3"},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        results = []
        try:
            for process in running:
                out, errors = process.communicate(timeout=180)
                assert process.returncode == 0, errors[-3000:]
                results.append(json.loads(out.partition("READ ")[2]))
        finally:
            for process in running:
                process.kill()
        return results

    return read_from


def test_workers_read_every_row_once_and_can_start_at_any_batch(read):
    whole, rest = read(0), read(5)
    steps = -(-ROWS // BATCH)
    for name in ("shuffled", "evaluated"):
        assert [len(worker[name]) for worker in whole] == [steps, steps]
        assert {tuple(step["shape"]) for worker in whole for step in worker[name]} == {(BATCH // 2,)}
        users = [[user for step in worker[name] for user in step["users"]] for worker in whole]
        assert sorted(users[0] + users[1]) == list(range(ROWS))
        assert abs(len(users[0]) - len(users[1])) <= 1
    for one, other in zip(whole, rest, strict=True):
        assert other["shuffled"] == one["shuffled"][5:]
