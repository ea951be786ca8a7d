"""The commands that look at a run which is there: as processes, on a real run."""

from __future__ import annotations

import shutil

import pytest
import tensorflow as tf

from steadyrank.pipeline.reporting import read_lines
from tests.pipeline.commands import run_command


def test_report_writes_the_same_page_again(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / finished.name)
    (copy / "report.html").unlink()
    ran = run_command("report", f"--model_dir={copy}")
    assert ran.returncode == 0, ran.stderr
    assert (copy / "report.html").read_text() == (finished / "report.html").read_text()


def test_export_gives_the_model_that_the_run_exported(finished, tmp_path):
    ran = run_command("export", f"--model_dir={finished}", f"--export_dir={tmp_path}")
    assert ran.returncode == 0, ran.stderr
    [version] = tmp_path.iterdir()
    [original] = (finished / "export").iterdir()
    ours, theirs = (tf.saved_model.load(str(path)).signatures["serving_default"] for path in (version, original))
    rows = {
        name: tf.zeros([3, *spec.shape[1:].as_list()] if None not in spec.shape[1:] else [3, 2], spec.dtype)
        if spec.dtype != tf.string
        else tf.fill([3] if spec.shape.rank == 1 else [3, 2], "")
        for name, spec in ours.structured_input_signature[1].items()
    }
    for task, prediction in ours(**rows).items():
        assert prediction.numpy().tolist() == theirs(**rows)[task].numpy().tolist()


def test_export_refuses_a_run_that_diverged(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "run")
    (copy / "divergence.json").write_text('{"verdict": "full", "events": []}')
    ran = run_command("export", f"--model_dir={copy}", f"--export_dir={tmp_path / 'out'}")
    assert (ran.returncode, ran.stderr) == (3, "not exported: the training fully diverged\n")
    assert not (tmp_path / "out").exists()


def test_evaluate_repeats_the_runs_own_figures(finished):
    ran = run_command("evaluate", f"--model_dir={finished}")
    assert ran.returncode == 0, ran.stderr
    [held_out] = [line for line in read_lines(finished / "metrics" / "eval.jsonl") if line["kind"] == "holdout"]
    rows = {line.split()[1]: line.split() for line in ran.stdout.splitlines()[1:]}
    assert float(rows["click"][3]) == pytest.approx(held_out["auc/click"], abs=6e-5)
    assert float(rows["watch_time"][3]) == pytest.approx(held_out["rmse/watch_time"], abs=6e-5)
    assert float(rows["click"][5]) == pytest.approx(held_out["ceiling/auc/click"], abs=6e-5)


@pytest.mark.parametrize("command", ["report", "export", "evaluate"])
def test_a_folder_without_a_run_is_one_line(command, tmp_path):
    ran = run_command(command, f"--model_dir={tmp_path / 'none'}")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (2, 1), ran.stderr
    assert "holds no run" in ran.stderr


def test_evaluate_names_a_day_that_is_not_there(finished):
    ran = run_command("evaluate", f"--model_dir={finished}", "--days=day_999")
    assert ran.returncode == 2
    assert "no day 'day_999'; it has day_000 to day_002" in ran.stderr
