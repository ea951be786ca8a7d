"""The training command as a user runs it: real processes and real files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from steadyrank.pipeline.reporting import read_lines
from tests.pipeline.commands import run_command
from tests.pipeline.run_files import assert_bitwise_equal, read_repeatable_metrics

HAZARD = ("--config.data.simulated.hazards=shift@1", "--config.optimizer.learning_rate=1.0")


class TestFinishedRun:
    def test_writes_every_file_of_the_contract(self, finished):
        status = json.loads((finished / "status.json").read_text())
        assert (status["status"], status["step"]) == ("done", 64)
        assert json.loads((finished / "divergence.json").read_text()) == {"verdict": "healthy", "events": []}
        assert (finished / status["export"] / "saved_model.pb").is_file()
        assert [entry.name for entry in (finished / "export").iterdir()] == [Path(status["export"]).name]
        assert Path(status["export"]).name.isdigit()
        assert list((finished / "tensorboard" / "train").glob("events.out.tfevents.*"))
        assert not [entry for entry in finished.rglob(".*") if entry.is_file()], "a temporary file was left behind"

    def test_stores_the_whole_configuration(self, finished):
        stored = yaml.safe_load((finished / "config.yaml").read_text())
        assert stored["data"]["batch_size"] == 256
        assert stored["optimizer"]["rule"] == "clippy"
        assert stored["optimizer"]["rule_options"] == {}

    def test_publishes_metrics_at_fixed_steps(self, finished):
        lines = read_lines(finished / "metrics" / "train.jsonl")
        assert [line["step"] for line in lines] == [8, 16, 24, 32, 40, 48, 56, 64]
        for line in lines:
            for key in (
                "loss",
                "loss/click",
                "auc/click",
                "rmse/watch_time",
                "prediction_mean/like",
                "label_mean/like",
            ):
                assert np.isfinite(line[key])
            assert 0 < line["clipping_factor/shared/layer_0"] <= 1
            assert 0 <= line["clipped_steps/tower_click/output"] <= 8
            assert line["learning_rate"] > 0
            assert line["examples_per_second"] > 0
            assert 0 <= line["input_wait_fraction"] <= 1

    def test_evaluates_each_day_before_training_on_it(self, finished):
        lines = read_lines(finished / "metrics" / "eval.jsonl")
        assert [(line["step"], line["day"], line["kind"], line["rows"]) for line in lines] == [
            (0, "day_000", "progressive", 8192),
            (32, "day_001", "progressive", 8192),
            (64, "day_002", "holdout", 8192),
        ]
        first, last = lines[0], lines[-1]
        assert last["auc/click"] > 0.6 > first["auc/click"]
        assert last["auc/click"] < last["ceiling/auc/click"]
        assert last["loss"] < first["loss"]

    def test_stamps_checkpoints_with_their_health(self, finished):
        health = json.loads((finished / "checkpoints" / "health.json").read_text())
        stamp = {"verdict": "healthy", "health": "healthy"}
        assert health == {f"ckpt-{step}": {"step": step} | stamp for step in (8, 48, 56, 64)}

    def test_reports_every_task(self, finished):
        report = (finished / "report.html").read_text()
        for task in ("click", "like", "share", "long_watch", "watch_time", "satisfaction"):
            assert task in report

    def test_can_be_repeated_bit_by_bit_from_its_configuration(self, finished, train, tmp_path):
        result = train(tmp_path / "again", small=(f"--config={finished / 'config.yaml'}",))
        assert result.returncode == 0, result.stderr
        assert_bitwise_equal(finished, tmp_path / "again")
        for name in ("train.jsonl", "eval.jsonl"):
            assert read_repeatable_metrics(finished / "metrics" / name) == read_repeatable_metrics(
                tmp_path / "again" / "metrics" / name
            )


class TestDivergence:
    def test_a_run_that_diverges_exits_with_3_and_exports_nothing(self, train, tmp_path):
        result = train(tmp_path / "run", "--config.optimizer.rule=none", *HAZARD)
        assert result.returncode == 3, result.stderr
        divergence = json.loads((tmp_path / "run" / "divergence.json").read_text())
        assert divergence["verdict"] == "full"
        assert {"step", "kind", "task", "layer", "feature", "evidence", "values"} == set(divergence["events"][0])
        status = json.loads((tmp_path / "run" / "status.json").read_text())
        assert status["status"] == "diverged"
        assert "diverged" in status["message"]
        assert not (tmp_path / "run" / "export").exists()
        assert "Traceback" not in result.stderr
        # The first bad step was saved and can be repeated.
        first, *_ = sorted((tmp_path / "run" / "bundles").iterdir())
        again = run_command("replay", str(first), "--rules=clippy", "--learning_rate_factors=0.1")
        assert again.returncode == 0, again.stderr + again.stdout
        lines = again.stdout.splitlines()
        assert lines[0].startswith(f"step {int(first.name.removeprefix('step-'))}; alarms: ")
        assert lines[1] == "repeated bit for bit"
        assert [line.split()[:2] for line in lines[4:]] == [["none", "1"], ["clippy", "1"], ["none", "0.1"]]
        after = [float(line.split()[5]) for line in lines[4:]]
        assert after[1] < after[0]
        assert not again.stderr

    def test_a_run_that_rolls_back_ends_healthy_and_is_exported(self, train, tmp_path):
        result = train(
            tmp_path / "run",
            "--config.optimizer.rule=none",
            *HAZARD,
            "--config.data.simulated.days=6",
            "--config.training.on_divergence=rollback",
            "--config.training.rollback_learning_rate_factor=0.2",
            "--config.training.rollback_warmup_steps=20",
        )
        assert result.returncode == 0, result.stderr
        divergence = json.loads((tmp_path / "run" / "divergence.json").read_text())
        assert divergence["verdict"] == "micro"
        rollbacks = [event for event in divergence["events"] if event["kind"] == "rollback"]
        assert rollbacks
        assert rollbacks[0]["evidence"].startswith("restored the weights of step ")
        assert rollbacks[0]["values"].keys() >= {"restored_step", "learning_rate_factor", "count"}
        rates = [
            (line["step"], line["learning_rate"]) for line in read_lines(tmp_path / "run" / "metrics" / "train.jsonl")
        ]
        assert rates[-1][1] == pytest.approx(0.2 ** len(rollbacks))
        assert [step for step, _ in rates] == sorted(step for step, _ in rates)
        holdout = read_lines(tmp_path / "run" / "metrics" / "eval.jsonl")[-1]
        assert holdout["auc/click"] > 0.6

        assert (tmp_path / "run" / "report.html").is_file()

    def test_gradients_that_stay_non_finite_end_the_run_as_diverged(self, train, tmp_path):
        result = train(
            tmp_path / "run",
            "--config.optimizer.rule=none",
            "--config.optimizer.learning_rate=1e6",
            "--config.optimizer.max_skipped_steps=5",
            "--config.training.on_divergence=observe",
        )
        assert result.returncode == 3, result.stderr
        assert "Traceback" not in result.stderr
        divergence = json.loads((tmp_path / "run" / "divergence.json").read_text())
        assert divergence["verdict"] == "full"
        last = divergence["events"][-1]
        assert last["kind"] == "nonfinite"
        assert "the gradient of 'ranker/" in last["evidence"]
        assert not (tmp_path / "run" / "export").exists()

    def test_the_same_run_with_clippy_is_healthy_and_exported(self, train, tmp_path):
        result = train(tmp_path / "run", "--config.optimizer.rule=clippy", *HAZARD)
        assert result.returncode == 0, result.stderr
        assert json.loads((tmp_path / "run" / "divergence.json").read_text())["verdict"] == "healthy"
        assert list((tmp_path / "run" / "export").iterdir())


class TestInterruption:
    def wait_for(self, process, condition) -> None:
        until = time.monotonic() + 120
        while not condition():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < until, "the run did not get there within 120 s"
            time.sleep(0.02)

    def test_a_killed_run_resumes_to_the_result_of_an_undisturbed_run(self, finished, train, start, tmp_path):
        run = tmp_path / "run"
        # The killed run resumes from a checkpoint between two publications.
        process = start(run, "--config.training.checkpoint_every_steps=12")
        self.wait_for(process, lambda: (run / "checkpoints" / "ckpt-44.index").exists())
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert json.loads((run / "status.json").read_text())["status"] == "running"
        resumed = train(run, "--resume", small=())
        assert resumed.returncode == 0, resumed.stderr
        assert_bitwise_equal(finished, run)
        for name in ("train.jsonl", "eval.jsonl"):
            assert read_repeatable_metrics(finished / "metrics" / name) == read_repeatable_metrics(
                run / "metrics" / name
            )

    def test_sigterm_saves_the_run_and_exits_with_143(self, finished, train, start, tmp_path):
        run = tmp_path / "run"
        process = start(run)
        self.wait_for(process, lambda: (run / "checkpoints" / "ckpt-8.index").exists())
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate()
        assert process.returncode == 143, stderr
        assert "Traceback" not in stderr
        status = json.loads((run / "status.json").read_text())
        assert status["status"] == "preempted"
        assert (run / "checkpoints" / f"ckpt-{status['step']}.index").exists()
        resumed = train(run, "--resume", small=())
        assert resumed.returncode == 0, resumed.stderr
        assert_bitwise_equal(finished, run)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB, which two checkpoints fill up."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small file system here: " + mounted.stderr.decode().strip())
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


class TestFullDisk:
    def test_is_reported_in_one_line_and_the_run_resumes_once_there_is_space(self, train, small_disk):
        run = small_disk / "run"
        # Larger checkpoints than those of the small run, so that the disk fills up.
        wide = ("--config.data.simulated.users=5000", "--config.data.simulated.videos=2000")
        result = train(run, *wide)
        assert result.returncode == 2, result.stderr
        assert result.stderr.splitlines()[-1] == (
            f"error: --model_dir={run} cannot be written: No space left on device; free some space and continue with --resume"
        )
        assert "Traceback" not in result.stderr
        assert json.loads((run / "status.json").read_text())["status"] in ("failed", "running")
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        resumed = train(run, "--resume", small=())
        assert resumed.returncode == 0, resumed.stderr


class TestUserErrors:
    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (("--config.optimizer.learning_ratee=1",), "did you mean 'learning_rate'?"),
            (("--config.data.batch_size=many",), "data.batch_size must be an integer, got 'many'"),
            (("--config.training.publish_every_steps=6",), "multiple of training.steps_per_execution = 4, got 6"),
            (("--modeldir=x",), "unknown flag --modeldir"),
            (("--config.data.simulated.hazards=shft@1",), "shift"),
            (("--config.data.simulated.hazards=shift@9",), "shift@9"),
            (("--resume",), "holds no run"),
            (
                ("--config.training.strategy=mirrored", "--config.data.batch_size=255"),
                "multiple of the 2 replicas, got 255",
            ),
        ],
    )
    def test_prints_one_line_exits_with_2_and_writes_nothing(self, train, tmp_path, flags, message):
        result = train(tmp_path / "run", *flags)
        assert result.returncode == 2, result.stderr
        assert result.stderr.startswith("error: ")
        assert len(result.stderr.splitlines()) == 1
        assert message in result.stderr
        assert not (tmp_path / "run").exists()

    def test_leaves_a_folder_with_another_run_unchanged(self, finished, train):
        before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
        result = train(finished, "--config.training.seed=5")
        assert result.returncode == 2
        assert result.stderr == (
            f"error: --model_dir={finished} already holds a run (done at step 64); continue it with --resume, or choose "
            "another folder\n"
        )
        other = train(finished, "--config.training.seed=5", "--resume")
        assert other.returncode == 2
        assert "training.seed must be 0, as in" in other.stderr
        assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before

    def test_refuses_a_folder_with_other_files(self, train, tmp_path):
        (tmp_path / "thesis.txt").write_text("do not lose")
        result = train(tmp_path)
        assert result.returncode == 2
        assert "must be a new or empty folder" in result.stderr
        assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]

    def test_refuses_a_folder_that_cannot_be_created(self, train, tmp_path):
        (tmp_path / "file").write_text("")
        result = train(tmp_path / "file" / "run")
        assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)
        assert "cannot be written" in result.stderr or "Not a directory" in result.stderr


def test_a_resumed_run_keeps_its_events(train, tmp_path):
    hazard = ("--config.optimizer.rule=none", *HAZARD, "--config.training.on_divergence=observe")
    whole = train(tmp_path / "run", *hazard)
    assert whole.returncode == 3, whole.stderr
    before = json.loads((tmp_path / "run" / "divergence.json").read_text())
    resumed = train(tmp_path / "run", "--resume", small=())
    assert resumed.returncode == 3, resumed.stderr
    assert json.loads((tmp_path / "run" / "divergence.json").read_text()) == before


def test_publishes_sharpness_and_task_conflict_if_configured(train, tmp_path):
    result = train(tmp_path / "run", "--config.training.sharpness_every_steps=32", "--config.data.simulated.days=2")
    assert result.returncode == 0, result.stderr
    lines = read_lines(tmp_path / "run" / "metrics" / "train.jsonl")
    [line] = [line for line in lines if "sharpness" in line]
    assert line["step"] == 32
    assert line["sharpness"] > 0
    assert line["sharpness_preconditioned"] > 0
    shares = {key: value for key, value in line.items() if key.startswith("task_share/")}
    assert len(shares) == 6
    assert sum(shares.values()) == pytest.approx(1.0)
    assert all(-1 <= value <= 1 for key, value in line.items() if key.startswith("task_cosine/"))


def test_trains_and_exports_on_two_logical_devices(train, finished, tmp_path):
    result = train(tmp_path / "run", "--config.training.strategy=mirrored")
    assert result.returncode == 0, result.stderr
    assert "2 replicas" in result.stderr
    one, two = (read_lines(path / "metrics" / "eval.jsonl")[-1] for path in (finished, tmp_path / "run"))
    # Replicas add up in another order; the rounding differences grow over 64 steps.
    for key in ("loss", "auc/click", "auc/long_watch", "rmse/watch_time"):
        assert two[key] == pytest.approx(one[key], rel=1e-3), key


def test_prints_nothing_of_tensorflow(train, tmp_path):
    result = train(tmp_path / "run", "--config.data.simulated.days=2")
    assert result.returncode == 0
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == ["SavedModel", "Report"]
    foreign = [
        line
        for line in result.stderr.splitlines()
        if not line.startswith(("Log: 2 days (1 held out)", "Days: ", "Ranker: ", "step "))
    ]
    assert not foreign
    assert os.path.isdir(result.stdout.splitlines()[0].partition(": ")[2])
