"""The commands that work on a finished run, run as processes."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from steadyrank.pipeline import export
from steadyrank.pipeline.reporting import read_lines
from tests.pipeline.commands import run_command


def test_report_writes_the_same_page_again(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / finished.name)
    (copy / "report.html").unlink()
    ran = run_command("report", f"--model_dir={copy}")
    assert ran.returncode == 0, ran.stderr
    assert (copy / "report.html").read_text() == (finished / "report.html").read_text()


def test_export_writes_the_model_that_the_run_exported(finished, tmp_path):
    ran = run_command("export", f"--model_dir={finished}", f"--export_dir={tmp_path}")
    assert ran.returncode == 0, ran.stderr
    [version] = tmp_path.iterdir()
    [original] = (finished / "export").iterdir()
    ours, theirs = (load_signature(path) for path in (version, original))
    rows = {name: make_zeros(spec) for name, spec in ours.structured_input_signature[1].items()}
    for task, prediction in ours(**rows).items():
        assert prediction.numpy().tolist() == theirs(**rows)[task].numpy().tolist()


def load_signature(path: Path):
    return tf.saved_model.load(str(path)).signatures["serving_default"]


def make_zeros(spec: tf.TensorSpec) -> tf.Tensor:
    """Makes three rows of zeros or empty strings; a bag has two values."""
    row_shape = [2 if size is None else size for size in spec.shape[1:]]
    return tf.fill([3, *row_shape], "") if spec.dtype == tf.string else tf.zeros([3, *row_shape], spec.dtype)


def test_export_refuses_a_run_that_diverged(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "run")
    (copy / "divergence.json").write_text('{"verdict": "full", "events": []}')
    ran = run_command("export", f"--model_dir={copy}", f"--export_dir={tmp_path / 'out'}")
    assert ran.returncode == 3
    assert ran.stderr.startswith("The model was not exported: ")
    assert "diverged" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_export_refuses_a_run_that_was_killed_before_it_was_judged(finished, tmp_path, capsys):
    copy = shutil.copytree(finished, tmp_path / "run")
    (copy / "status.json").write_text('{"status": "running", "step": 0, "total_steps": 64}')
    (copy / "divergence.json").unlink()
    flags = SimpleNamespace(model_dir=str(copy), export_dir=str(tmp_path / "out"))
    assert export.main(flags) == 4
    [line] = capsys.readouterr().err.splitlines()
    assert "its health is not known: the run ended before the model was judged on the held-out days" in line
    assert f"--model_dir={copy} --resume" in line
    assert not (tmp_path / "out").exists()


def test_evaluate_prints_the_runs_own_metrics(finished):
    ran = run_command("evaluate", f"--model_dir={finished}")
    assert ran.returncode == 0, ran.stderr
    [holdout] = [line for line in read_lines(finished / "metrics" / "eval.jsonl") if line["kind"] == "holdout"]
    header, *lines = (line.split() for line in ran.stdout.splitlines())
    assert header[:6] == ["day", "task", "metric", "value", "constant", "ceiling"]
    rows = {line[1]: line for line in lines}
    assert float(rows["click"][3]) == pytest.approx(holdout["auc/click"], abs=6e-5)
    assert float(rows["click"][4]) == 0.5
    assert float(rows["click"][5]) == pytest.approx(holdout["ceiling/auc/click"], abs=6e-5)
    assert float(rows["watch_time"][3]) == pytest.approx(holdout["rmse/watch_time"], abs=6e-5)
    assert float(rows["watch_time"][4]) == pytest.approx(holdout["rmse_of_mean/watch_time"], abs=6e-5)


def test_evaluate_refuses_an_unknown_day(finished):
    ran = run_command("evaluate", f"--model_dir={finished}", "--days=day_999")
    assert ran.returncode == 2
    assert "no day 'day_999'; it has day_000 to day_002" in ran.stderr


@pytest.mark.parametrize("command", ["report", "export", "evaluate"])
def test_a_folder_without_a_run_is_refused_in_one_line(command, tmp_path):
    ran = run_command(command, f"--model_dir={tmp_path / 'none'}")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (2, 1), ran.stderr
    assert "holds no run" in ran.stderr


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--rules=clip", "--rules: unknown rule 'clip'; expected any of "),
        ("--learning_rate_factors=half", "--learning_rate_factors must be numbers, got half"),
        ("--rules=clippy", "nowhere"),
    ],
)
def test_replay_refuses_what_it_cannot_repeat(flag, message, tmp_path):
    ran = run_command("replay", str(tmp_path / "nowhere"), flag)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (2, 1), ran.stderr
    assert message in ran.stderr
