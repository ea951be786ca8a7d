"""Commands refuse a path before they load TensorFlow or read any data."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyrank.pipeline import convert, describe, evaluate, export, replay, report, train
from steadyrank.pipeline.config import Config, UserError, to_yaml

COMMANDS = (convert, describe, evaluate, export, replay, report, train)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a file, a run's configuration and no way to load TensorFlow."""

    @contextlib.contextmanager
    def refuse():
        raise AssertionError("TensorFlow would be loaded")
        yield

    for module in COMMANDS:
        monkeypatch.setattr(module, "quiet_import", refuse)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(to_yaml(Config()))
    return tmp_path


@pytest.mark.parametrize(
    ("module", "flags", "arguments", "message"),
    [
        (train, {"model_dir": "file", "resume": False}, (Config(),), "--model_dir=file must be a folder, got a file"),
        (train, {"model_dir": "file/x", "resume": False}, (Config(),), "--model_dir=file/x cannot be written, because"),
        (
            train,
            {"model_dir": "~/run", "resume": False},
            (Config(),),
            "run already holds a run; continue it with --resume",
        ),
        (describe, {"out": "file"}, ("log",), "--out=file already exists"),
        (describe, {"out": "~/file"}, ("log",), "--out=~/file already exists"),
        (convert, {}, ("log", "file"), "file already exists"),
        (convert, {}, ("log", "~/run"), "~/run already exists"),
        (export, {"model_dir": "run", "export_dir": "file"}, (), "--export_dir=file must be a folder, got a file"),
        (export, {"model_dir": "new", "export_dir": ""}, (), "--model_dir=new holds no run"),
        (report, {"model_dir": "new"}, (), "--model_dir=new holds no run"),
        (evaluate, {"model_dir": "new"}, (Config(),), "--model_dir=new holds no run"),
        (replay, {"rules": [], "learning_rate_factors": []}, ("new",), "new: there is no such folder"),
    ],
)
def test_a_path_that_cannot_be_used_is_refused_at_once(module: ModuleType, flags, arguments, message):
    with pytest.raises(UserError, match=message):
        module.main(SimpleNamespace(**flags), *arguments)


@pytest.mark.parametrize("module", [train, evaluate])
def test_the_configuration_of_the_run_is_the_default(module, folder):
    flags = SimpleNamespace(model_dir="~/run", resume=True, config="demo")
    assert module.find_config(flags) == str(folder / "run" / "config.yaml")
    with pytest.raises(UserError, match="holds no run"):
        module.find_config(SimpleNamespace(model_dir="new", resume=True, config="demo"))


def test_a_new_run_has_the_default_configuration():
    assert train.find_config(SimpleNamespace(model_dir="~/run", resume=False, config="demo")) == "demo"


def test_describe_names_its_own_flag(folder, monkeypatch):
    monkeypatch.setattr(describe, "quiet_import", contextlib.nullcontext)
    for name in ("country=DE", "country=FR"):
        (folder / "log" / name).mkdir(parents=True)
        pq.write_table(pa.table({"x": [1.5, 2.5], "click": [0, 1]}), folder / "log" / name / "a.parquet")
    flags = {"out": "schema.yaml", "labels": ["click"], "rows": 10}
    with pytest.raises(UserError, match=r"country \(DE, FR\) are not days.* set --day_keys=country\. "):
        describe.main(SimpleNamespace(**flags, day_keys=[]), "log")
    assert describe.main(SimpleNamespace(**flags, day_keys=["country"]), "log") == 0
    assert "# 2 days, country=DE … country=FR; a run holds out the last" in (folder / "schema.yaml").read_text()


def test_the_commands_load_tensorflow_only_when_they_need_it():
    names = ", ".join(module.__name__ for module in COMMANDS)
    code = f"import sys, {names}; print('tensorflow' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.returncode) == ("False\n", 0), ended.stderr
