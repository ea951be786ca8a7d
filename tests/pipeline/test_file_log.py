"""The main job on a log of files: killed processes, an object store, a log that changes, an anomalous day."""

from __future__ import annotations

import functools
import json
import re
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
    """Writes a log: a folder for each day, several files in each, two faulty rows in all."""
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


def train_arguments(log: Path, model_dir: Path, *more: str) -> list[str]:
    files = (f"--config.data.files.path={log}", f"--config.data.files.schema={log.parent / 'schema.yaml'}")
    return ["train", f"--model_dir={model_dir}", *SETTINGS, *files, *more]


@pytest.fixture(scope="module")
def undisturbed(log, tmp_path_factory) -> Path:
    """The folder of a run that nothing disturbed."""
    model_dir = tmp_path_factory.mktemp("calm") / "run"
    result = run_command(*train_arguments(log, model_dir))
    assert result.returncode == 0, result.stderr
    return model_dir


def test_a_run_records_its_days_and_its_skipped_rows(undisturbed):
    days = json.loads((undisturbed / "log.json").read_text())["days"]
    assert [(day["name"], day["rows"], day["files"], day["use"]) for day in days] == [
        (f"day=2026-11-{day + 1:02}", FILES * ROWS, FILES, "holdout" if day == DAYS - 1 else "training")
        for day in range(DAYS)
    ]
    status = json.loads((undisturbed / "status.json").read_text())
    assert (status["skipped"], status["skipped_rows"]) == ({"price: not finite": 2}, 2)
    page = (undisturbed / "report.html").read_text()
    assert re.search(r"\b2 rows( \([^)]*\))? were skipped\.", page)
    assert "price: not finite" in page


def test_a_run_killed_five_times_trains_on_each_row_once_and_in_the_same_order(undisturbed, log, tmp_path):
    """The weights and metrics equal those of the undisturbed run bit by bit; any other row or order would change them."""
    model_dir = tmp_path / "run"
    arguments = train_arguments(log, model_dir)
    reached = 0
    for _ in range(5):
        process = start_command(*arguments)
        arguments = ["train", f"--model_dir={model_dir}", "--resume"]
        reached = wait_until_positive(process, functools.partial(find_newer_checkpoint, model_dir, reached))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert json.loads((model_dir / "status.json").read_text())["status"] == "running"
    result = run_command(*arguments)
    assert result.returncode == 0, result.stderr
    assert_bitwise_equal(undisturbed, model_dir)
    for name in ("train.jsonl", "eval.jsonl"):
        lines, expected = (read_repeatable_metrics(each / "metrics" / name) for each in (model_dir, undisturbed))
        # Skipped rows are counted when they are read, which is ahead of training and depends on when the process was killed.
        assert [drop_key(line, "skipped_examples") for line in lines] == [
            drop_key(line, "skipped_examples") for line in expected
        ]
    rows = [json.loads(line) for line in (model_dir / "quarantine.jsonl").read_text().splitlines()]
    places = [(Path(row["file"]).parent.name, int(Path(row["file"]).stem[-1]), row["row"]) for row in rows]
    assert sorted(places) == sorted((*place, row) for place, row in FAULTY.items())
    assert json.loads((model_dir / "status.json").read_text())["skipped_rows"] == 2


def start_command(command: str, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"steadyrank.pipeline.{command}", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_positive(process: subprocess.Popen, ready: Callable[[], int]) -> int:
    """Returns the first positive result of ``ready``. Fails if the process ends before that."""
    until = time.monotonic() + 120
    while not (found := ready()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until, "timeout"
        time.sleep(0.005)
    return found


def find_newer_checkpoint(model_dir: Path, than: int = 0) -> int:
    """Returns the step of the newest checkpoint; 0 while there is none after step ``than``."""
    found = [int(path.stem.partition("-")[2]) for path in (model_dir / "checkpoints").glob("ckpt-*.index")]
    newest = max(found, default=0)
    return newest if newest > than else 0


def drop_key(line: dict, key: str) -> dict:
    return {name: value for name, value in line.items() if name != key}


class TestInAnObjectStore:
    """The server is moto, which speaks S3 over HTTP, in a process of its own. Arrow's client reads it as it reads any bucket."""

    @pytest.fixture
    def store(self, monkeypatch) -> Iterator[tuple[subprocess.Popen, str]]:
        """Starts the server; gives its process and its address."""
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
        wait_until_positive(process, answers)
        yield process, address
        process.kill()
        process.wait()

    @pytest.fixture
    def bucket(self, store, log) -> str:
        """Copies the log to a bucket; gives its address."""
        server = fs.S3FileSystem(
            endpoint_override=store[1], scheme="http", region="us-east-1", allow_bucket_creation=True
        )
        server.create_dir("bucket")
        fs.copy_files(str(log), "bucket/own/log", destination_filesystem=server)
        return f"s3://bucket/own/log?endpoint_override={store[1]}&scheme=http&region=us-east-1"

    def test_a_run_equals_one_on_a_local_folder_bit_by_bit(self, bucket, log, undisturbed, tmp_path):
        proposed = run_command("describe", bucket)
        assert proposed.returncode == 0, proposed.stderr
        here = run_command("describe", str(log))
        assert proposed.stdout.splitlines()[1:] == here.stdout.splitlines()[1:]
        result = run_command(*train_arguments(log, tmp_path / "run", f"--config.data.files.path={bucket}"))
        assert result.returncode == 0, result.stderr
        assert_bitwise_equal(undisturbed, tmp_path / "run")

    def test_a_store_that_disappears_is_reported_in_one_line(self, store, bucket, log, tmp_path):
        process, address = store
        arguments = train_arguments(log, tmp_path / "run", f"--config.data.files.path={bucket}")
        training = start_command(*arguments)
        wait_until_positive(training, functools.partial(find_newer_checkpoint, tmp_path / "run"))
        process.kill()
        message = training.communicate(timeout=120)[1]
        assert training.returncode == 2, message
        assert "Traceback" not in message
        assert message.splitlines()[-1].startswith("error: bucket/own/log/day=2026-11-0")
        assert "connect" in message.splitlines()[-1]
        result = run_command("describe", bucket)
        assert result.returncode == 2
        assert result.stderr.startswith(f"error: {bucket}: cannot be read: ")
        assert address in result.stderr
        assert "Traceback" not in result.stderr

    def test_a_missing_bucket_is_reported_in_one_line(self, bucket):
        address = bucket.replace("bucket/own", "bucket/other")
        result = run_command("describe", address)
        assert (result.returncode, result.stderr) == (2, f"error: {address}: no such file or folder\n")


class TestALogThatChanges:
    @pytest.fixture
    def changing_log(self, log, tmp_path) -> Path:
        shutil.copytree(log.parent, tmp_path / "own")
        return tmp_path / "own" / "log"

    def test_resume_trains_on_a_new_day_and_refuses_a_changed_day(self, changing_log, tmp_path):
        last = changing_log / "day=2026-11-05"
        last.rename(tmp_path / last.name)
        model_dir = tmp_path / "run"
        result = run_command(*train_arguments(changing_log, model_dir))
        assert result.returncode == 0, result.stderr
        before = json.loads((model_dir / "status.json").read_text())["step"]
        (tmp_path / last.name).rename(last)
        result = run_command("train", f"--model_dir={model_dir}", "--resume")
        assert result.returncode == 0, result.stderr
        assert json.loads((model_dir / "status.json").read_text())["step"] > before
        uses = [day["use"] for day in json.loads((model_dir / "log.json").read_text())["days"]]
        assert uses == ["training"] * 4 + ["holdout"]
        (changing_log / "day=2026-11-02" / "part-1.parquet").unlink()
        result = run_command("train", f"--model_dir={model_dir}", "--resume")
        assert result.returncode == 2
        assert result.stderr.startswith("error: day=2026-11-02 has changed since this run started: it had 1,200 rows")
        assert "Traceback" not in result.stderr

    def test_an_anomalous_day_is_skipped_or_refused(self, changing_log, tmp_path):
        path = changing_log / "day=2026-11-04" / "part-2.parquet"
        for number in range(FILES):
            path = path.with_name(f"part-{number}.parquet")
            table = pq.read_table(path)
            place = table.column_names.index("minutes")
            times = pa.array(60 * table["minutes"].to_numpy() + 300)
            pq.write_table(table.set_column(place, "minutes", times), path)
        result = run_command(
            *train_arguments(changing_log, tmp_path / "fail", "--config.data.files.on_anomalous_day=fail")
        )
        assert result.returncode == 2
        assert "the log has anomalies: day=2026-11-04: the mean of minutes is " in result.stderr
        assert not (tmp_path / "fail").exists()
        more = ("--config.data.files.on_anomalous_day=skip", "--config.data.files.max_anomalous_share=0.2")
        result = run_command(*train_arguments(changing_log, tmp_path / "skip", *more))
        assert result.returncode == 0, result.stderr
        assert "Skipped day=2026-11-04: the mean of minutes is " in result.stderr
        days = json.loads((tmp_path / "skip" / "log.json").read_text())["days"]
        assert [day["use"] for day in days] == ["training"] * 3 + ["skipped", "holdout"]
        shown = run_command("evaluate", f"--model_dir={tmp_path / 'skip'}")
        assert shown.returncode == 0, shown.stderr
        assert "day=2026-11-05" in shown.stdout
