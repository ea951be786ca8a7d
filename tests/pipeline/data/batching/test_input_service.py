"""Reading through a tf.data service: a dispatcher and workers, each in a separate process."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.config.settings import Data, Files, Simulated
from steadyrank.pipeline.data.batching import (
    InputService,
    extract_user_error,
    make_evaluation_batches,
    make_training_batches,
)
from steadyrank.pipeline.data.open import open_source

SCHEMA = """
features:
- {name: price, kind: numerical}
- {name: user, kind: categorical, hash_buckets: 100}
- {name: country, kind: categorical, dtype: string, hash_buckets: 10}
tasks:
- {name: click, kind: binary}
"""
ROWS, GROUP = 6_000, 100


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts processes of the service and ends them after the tests."""
    running = []

    def start_process(*arguments: str) -> tuple[subprocess.Popen, str]:
        log = tmp_path_factory.mktemp("service") / "out"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "steadyrank.pipeline.input_service", *arguments], stdout=out, stderr=out
            )
        running.append(process)
        for _ in range(600):
            if found := re.search(r"^(?:dispatcher at|worker of) (\S+)$", log.read_text(), re.MULTILINE):
                return process, found[1]
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        raise AssertionError(log.read_text())

    yield start_process
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def address(start):
    """The address of a dispatcher with two workers."""
    _, address = start("dispatcher")
    for _ in range(2):
        start("worker", f"--dispatcher={address}")
    return address


@pytest.fixture
def data(tmp_path, schema_file, address):
    """Settings of a log with many row groups and two faulty rows."""
    n = np.arange(ROWS)
    price = n * 0.5
    price[[333, 4444]] = np.nan
    table = pa.table({"price": price, "user": n, "country": [f"c{i % 7}" for i in n], "click": n % 7 < 3})
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=GROUP)
    files = Files(path=str(tmp_path / "log.parquet"), schema=schema_file, periods=2, on_invalid="skip")
    return Data(source="files", files=files, service=address)


def read_values(dataset) -> list[dict[str, np.ndarray]]:
    return [{name: column.numpy() for name, column in batch.items()} for batch in dataset]


def assert_same(actual, expected):
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        for name, column in other.items():
            np.testing.assert_array_equal(one[name], column, err_msg=name)


@pytest.mark.parametrize("start_at", [0, 13])
def test_the_batches_equal_those_of_this_process(data, start_at):
    for day, options in ((0, {"shuffle_rows": 700}), (1, {})):
        order = {"batch_size": 64, "seed": 3, "start": start_at, **options}
        local = open_source(data)
        local_batches = read_values(make_training_batches(local, day, **order))
        remote = open_source(data)
        service = InputService(data, remote)
        assert_same(read_values(make_training_batches(remote, day, service=service, **order)), local_batches)
        if not start_at:
            # This process counts the rows that the workers skipped.
            assert remote.row_faults.skipped == local.row_faults.skipped == {"price: not finite": 1}


def test_evaluation_and_other_sources_can_be_read_too(address):
    data = Data(simulated=Simulated(days=2, rows_per_day=20_000), service=address)
    source = open_source(data)
    service = InputService(data, source)
    local_batches = read_values(make_evaluation_batches(source, 1, batch_size=512, rows=9_000))
    assert_same(
        read_values(make_evaluation_batches(source, 1, batch_size=512, rows=9_000, service=service)), local_batches
    )


def test_a_worker_that_cannot_read_a_file_ends_the_run_with_its_message(data):
    source = open_source(data)
    service = InputService(data, source)
    path = data.files.path
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(b"\xff" * 200)
    with pytest.raises(Exception, match="cannot read row group 0") as raised:
        read_values(make_training_batches(source, 0, batch_size=64, seed=1, service=service))
    assert extract_user_error(raised.value).startswith(f"{path}: cannot read row group 0")


def test_a_missing_service_is_reported_at_once(data):
    for address in ("localhost:1", "nowhere", "localhost:x"):
        with pytest.raises(UserError, match=r"data\.service must be the host:port of a running dispatcher"):
            InputService(dataclasses.replace(data, service=address), open_source(data))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("worker", "--dispatcher=localhost:1"), "--dispatcher must be the host:port of a running dispatcher"),
        (("worker",), "a worker requires --dispatcher=HOST:PORT"),
        (
            ("dispatcher", "--dispatcher=localhost:1"),
            "--dispatcher is for workers only, but ROLE is dispatcher; omit --dispatcher=localhost:1",
        ),
        (("both",), "ROLE must be dispatcher or worker, got 'both'"),
    ],
)
def test_a_server_that_cannot_start_says_why(arguments, message):
    process = subprocess.run(
        [sys.executable, "-m", "steadyrank.pipeline.input_service", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].startswith(f"error: {message}")


def test_without_workers_this_process_makes_the_windows(data, start):
    _, address = start("dispatcher")
    settings = dataclasses.replace(data, service=address)
    source = open_source(settings)
    local_batches = read_values(make_training_batches(source, 0, batch_size=64, seed=1))
    service = InputService(settings, source, patience=1.0)
    assert_same(read_values(make_training_batches(source, 0, batch_size=64, seed=1, service=service)), local_batches)


def test_no_row_is_lost_when_a_worker_is_killed(data, start):
    _, address = start("dispatcher")
    victim, _ = start("worker", f"--dispatcher={address}")
    start("worker", f"--dispatcher={address}")
    settings = dataclasses.replace(data, service=address)
    source = open_source(settings)
    local_batches = read_values(make_training_batches(source, 0, batch_size=64, seed=1))
    service = InputService(settings, source, patience=2.0)
    batches = []
    for batch in make_training_batches(source, 0, batch_size=64, seed=1, service=service):
        batches.append({name: column.numpy() for name, column in batch.items()})
        if len(batches) == 5:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
    assert_same(batches, local_batches)


def test_a_job_trains_the_same_through_the_service(data, tmp_path):
    """The metrics equal those of a job that reads the log itself."""
    runs = {}
    for name, service in (("local", ""), ("remote", data.service)):
        run = tmp_path / name
        command = [
            *(sys.executable, "-m", "steadyrank.pipeline.train", f"--model_dir={run}", "--config=demo"),
            *("--config.data.source=files", f"--config.data.files.path={data.files.path}"),
            *(f"--config.data.files.schema={data.files.schema}", "--config.data.files.periods=3"),
            *("--config.data.files.on_invalid=skip", "--config.data.batch_size=128"),
            *("--config.model.shared_units=[8]", "--config.model.tower_units=[4]"),
            f"--config.data.service={service}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=dict(os.environ), check=False)
        assert done.returncode == 0, done.stderr
        lines = (run / "metrics" / "eval.jsonl").read_text().splitlines()
        runs[name] = [{k: v for k, v in json.loads(line).items() if k != "time"} for line in lines]
        assert json.loads((run / "status.json").read_text())["skipped"] == {"price: not finite": 2}
    assert runs["local"] == runs["remote"]
