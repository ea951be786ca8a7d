"""The main job on a log of one's own: real processes that are killed, an object store, a log that changes, a day that is odd."""

from __future__ import annotations

import functools
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from tests.addresses import free_addresses
from tests.pipeline.commands import run_command
from tests.pipeline.run_files import assert_bitwise_equal, read_repeatable_metrics

SCHEMA = """
features:
- {name: price, kind: numerical}
- {name: user, kind: categorical, vocabulary_size: 50}
- {name: country, kind: categorical, dtype: string, hash_buckets: 16}
- {name: history, kind: bag, width: 3, num_ids: 20}
tasks:
- {name: click, kind: binary}
- {name: minutes, kind: regression}
"""
DAYS, FILES, ROWS = 5, 3, 400
FAULTY = {("day=2026-11-02", 1): 17, ("day=2026-11-04", 0): 333}
SETTINGS = (
    *("--config=demo", "--config.data.source=files", "--config.data.shuffle_rows=300", "--config.data.batch_size=32"),
    *("--config.data.files.on_invalid=skip", "--config.data.files.max_invalid_share=0.01"),
    *("--config.model.shared_units=[8,8]", "--config.model.tower_units=[4,4]", "--config.optimizer.learning_rate=0.1"),
    *("--config.training.steps_per_execution=4", "--config.training.publish_every_steps=8"),
    "--config.training.checkpoint_every_steps=12",
)


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """A folder for each day, several files in each, two faulty rows."""
    root = tmp_path_factory.mktemp("own") / "log"
    rng = np.random.default_rng(0)
    for day in range(DAYS):
        for number in range(FILES):
            name = f"day=2026-11-{day + 1:02}"
            user = rng.integers(0, 60, ROWS)
            price = rng.normal(size=ROWS)
            click = rng.random(ROWS) < 1 / (1 + np.exp(-2 * price))
            minutes = price + rng.normal(size=ROWS)
            if (name, number) in FAULTY:
                price[FAULTY[name, number]] = np.inf
            (root / name).mkdir(parents=True, exist_ok=True)
            columns = {
                "price": price,
                "user": user,
                "country": [f"c{i % 9}" for i in user],
                "history": [[i % 20, (i + 1) % 20][: i % 3] for i in user.tolist()],
                "click": click,
                "minutes": minutes,
            }
            pq.write_table(pa.table(columns), root / name / f"part-{number}.parquet", row_group_size=70)
    (root.parent / "schema.yaml").write_text(SCHEMA)
    return root


def command(log: Path, model_dir: Path, *more: str) -> list[str]:
    files = (f"--config.data.files.path={log}", f"--config.data.files.schema={log.parent / 'schema.yaml'}")
    return ["train", f"--model_dir={model_dir}", *SETTINGS, *files, *more]


@pytest.fixture(scope="module")
def calm(log, tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    model_dir = tmp_path_factory.mktemp("calm") / "run"
    ran = run_command(*command(log, model_dir))
    assert ran.returncode == 0, ran.stderr
    return model_dir


def test_leaves_the_days_and_what_was_skipped(calm):
    days = json.loads((calm / "log.json").read_text())["days"]
    assert [(day["name"], day["rows"], day["files"], day["use"]) for day in days] == [
        (f"day=2026-11-{day + 1:02}", FILES * ROWS, FILES, "holdout" if day == DAYS - 1 else "training")
        for day in range(DAYS)
    ]
    status = json.loads((calm / "status.json").read_text())
    assert (status["skipped"], status["skipped_rows"]) == ({"price: not finite": 2}, 2)
    page = (calm / "report.html").read_text()
    assert "2 rows were skipped" in page
    assert "price: not finite" in page


def test_killed_five_times_it_sees_each_row_once_and_in_the_same_order(calm, log, tmp_path):
    """Weights and metrics, which any other row or order would change, are those of the undisturbed run to the bit."""
    model_dir = tmp_path / "run"
    arguments = command(log, model_dir)
    reached = 0
    for _ in range(5):
        process = started(*arguments)
        arguments = ["train", f"--model_dir={model_dir}", "--resume"]
        reached = wait_for(process, functools.partial(newer_checkpoint, model_dir, reached))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert json.loads((model_dir / "status.json").read_text())["status"] == "running"
    ran = run_command(*arguments)
    assert ran.returncode == 0, ran.stderr
    assert_bitwise_equal(calm, model_dir)
    for name in ("train.jsonl", "eval.jsonl"):
        lines, expected = (read_repeatable_metrics(each / "metrics" / name) for each in (model_dir, calm))
        # What was met is told when it is met, which is when a process reads ahead.
        assert [without(line, "skipped_examples") for line in lines] == [
            without(line, "skipped_examples") for line in expected
        ]
    rows = [json.loads(line) for line in (model_dir / "quarantine.jsonl").read_text().splitlines()]
    places = [(Path(row["file"]).parent.name, int(Path(row["file"]).stem[-1]), row["row"]) for row in rows]
    assert sorted(places) == sorted((*place, row) for place, row in FAULTY.items())
    assert json.loads((model_dir / "status.json").read_text())["skipped_rows"] == 2


def started(command: str, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"steadyrank.pipeline.{command}", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen, ready: Callable[[], int]) -> int:
    """What ``ready`` says as soon as it is not 0."""
    until = time.monotonic() + 120
    while not (found := ready()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until, "it never came that far"
        time.sleep(0.005)
    return found


def newer_checkpoint(model_dir: Path, than: int = 0) -> int:
    """The step of the newest checkpoint; 0 while there is none after ``than``."""
    found = [int(path.stem.partition("-")[2]) for path in (model_dir / "checkpoints").glob("ckpt-*.index")]
    newest = max(found, default=0)
    return newest if newest > than else 0


def without(line: dict, key: str) -> dict:
    return {name: value for name, value in line.items() if name != key}


class TestInAnObjectStore:
    """moto speaks S3 over HTTP, in a process of its own; what reads is Arrow's client, as for any bucket."""

    @pytest.fixture
    def store(self, monkeypatch) -> Iterator[tuple[subprocess.Popen, str]]:
        """The server's process and its address."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        [address] = free_addresses(1)
        host, port = address.split(":")

        def answers() -> bool:
            with socket.socket() as asked:
                return not asked.connect_ex((host, int(port)))

        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", host, "-p", port],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(process, answers)
        yield process, address
        process.kill()
        process.wait()

    @pytest.fixture
    def bucket(self, store, log) -> str:
        """The log's address there."""
        server = fs.S3FileSystem(
            endpoint_override=store[1], scheme="http", region="us-east-1", allow_bucket_creation=True
        )
        server.create_dir("bucket")
        fs.copy_files(str(log), "bucket/own/log", destination_filesystem=server)
        return f"s3://bucket/own/log?endpoint_override={store[1]}&scheme=http&region=us-east-1"

    def test_a_run_is_that_of_a_folder_to_the_bit(self, bucket, log, calm, tmp_path):
        proposed = run_command("describe", bucket)
        assert proposed.returncode == 0, proposed.stderr
        here = run_command("describe", str(log))
        assert proposed.stdout.splitlines()[1:] == here.stdout.splitlines()[1:]
        ran = run_command(*command(log, tmp_path / "run", f"--config.data.files.path={bucket}"))
        assert ran.returncode == 0, ran.stderr
        assert_bitwise_equal(calm, tmp_path / "run")

    def test_a_store_that_is_gone_is_one_line(self, store, bucket, log, tmp_path):
        process, address = store
        arguments = command(log, tmp_path / "run", f"--config.data.files.path={bucket}")
        training = started(*arguments)
        wait_for(training, functools.partial(newer_checkpoint, tmp_path / "run"))
        process.kill()
        told = training.communicate(timeout=120)[1]
        assert training.returncode == 2, told
        assert "Traceback" not in told
        assert told.splitlines()[-1].startswith("error: bucket/own/log/day=2026-11-0")
        assert "connect" in told.splitlines()[-1]
        ran = run_command("describe", bucket)
        assert ran.returncode == 2
        assert ran.stderr.startswith(f"error: {bucket}: cannot be read: ")
        assert address in ran.stderr
        assert "Traceback" not in ran.stderr

    def test_a_bucket_that_is_not_there_is_one_line(self, bucket):
        address = bucket.replace("bucket/own", "bucket/other")
        ran = run_command("describe", address)
        assert (ran.returncode, ran.stderr) == (2, f"error: {address}: no such file or folder\n")


class TestALogThatChanges:
    @pytest.fixture
    def changed(self, log, tmp_path) -> Path:
        shutil.copytree(log.parent, tmp_path / "own")
        return tmp_path / "own" / "log"

    def test_a_run_goes_on_with_a_new_day_and_not_with_another_log(self, changed, tmp_path):
        last = changed / "day=2026-11-05"
        last.rename(tmp_path / last.name)
        model_dir = tmp_path / "run"
        ran = run_command(*command(changed, model_dir))
        assert ran.returncode == 0, ran.stderr
        before = json.loads((model_dir / "status.json").read_text())["step"]
        (tmp_path / last.name).rename(last)
        ran = run_command("train", f"--model_dir={model_dir}", "--resume")
        assert ran.returncode == 0, ran.stderr
        assert json.loads((model_dir / "status.json").read_text())["step"] > before
        uses = [day["use"] for day in json.loads((model_dir / "log.json").read_text())["days"]]
        assert uses == ["training"] * 4 + ["holdout"]
        (changed / "day=2026-11-02" / "part-1.parquet").unlink()
        ran = run_command("train", f"--model_dir={model_dir}", "--resume")
        assert ran.returncode == 2
        assert ran.stderr.startswith("error: day=2026-11-02 has changed since this run started: it had 1,200 rows")
        assert "Traceback" not in ran.stderr

    def test_an_odd_day_is_told_left_out_or_refused(self, changed, tmp_path):
        path = changed / "day=2026-11-04" / "part-2.parquet"
        for number in range(FILES):
            path = path.with_name(f"part-{number}.parquet")
            table = pq.read_table(path)
            place = table.column_names.index("minutes")
            times = pa.array(60 * table["minutes"].to_numpy() + 300)
            pq.write_table(table.set_column(place, "minutes", times), path)
        ran = run_command(*command(changed, tmp_path / "fail", "--config.data.files.on_anomalous_day=fail"))
        assert ran.returncode == 2
        assert "the log has anomalies: day=2026-11-04: the mean of minutes is " in ran.stderr
        assert not (tmp_path / "fail").exists()
        more = ("--config.data.files.on_anomalous_day=skip", "--config.data.files.max_anomalous_share=0.2")
        ran = run_command(*command(changed, tmp_path / "skip", *more))
        assert ran.returncode == 0, ran.stderr
        assert "Skipped day=2026-11-04: the mean of minutes is " in ran.stderr
        told = json.loads((tmp_path / "skip" / "log.json").read_text())["days"]
        assert [day["use"] for day in told] == ["training"] * 3 + ["skipped", "holdout"]
        shown = run_command("evaluate", f"--model_dir={tmp_path / 'skip'}")
        assert shown.returncode == 0, shown.stderr
        assert "day=2026-11-05" in shown.stdout
