"""The wheel: builds it and installs it in another folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def succeeds(*command: str, **arguments) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, **arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Builds from a copy, because a build leaves folders behind.
    copy = tmp_path_factory.mktemp("source") / "any-name"
    tracked = succeeds("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in tracked:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    out = tmp_path_factory.mktemp("wheel")
    pip = (
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(out),
    )
    succeeds(*pip, str(copy))
    [built] = out.glob("steadyrank-*.whl")
    return built


def test_holds_the_packages_modules_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    packages = ("pipeline", "models", "optimizers", "foundation")
    modules = {
        f"steadyrank/{path.relative_to(ROOT)}" for package in packages for path in (ROOT / package).rglob("*.py")
    }
    assert names == modules | {"steadyrank/__init__.py", "steadyrank/py.typed"}


def test_works_where_it_is_installed(wheel, tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    succeeds(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel))
    environment = os.environ | {"PYTHONPATH": str(site)}
    code = (
        "import importlib.util, steadyrank, steadyrank.pipeline.config\n"
        "print(steadyrank.__file__, steadyrank.pipeline.config.__file__)\n"
        "assert not [n for n in ('pipeline', 'models', 'optimizers', 'foundation', 'tests') if importlib.util.find_spec(n)]\n"
    )
    found = succeeds(sys.executable, "-c", code, cwd=elsewhere, env=environment).split()
    assert [Path(path).is_relative_to(site) for path in found] == [True, True]
    said = succeeds(sys.executable, "-m", "steadyrank.pipeline.train", "--help", cwd=elsewhere, env=environment)
    assert "--model_dir" in said
    assert "optimizer.learning_rate" in said


def test_importing_the_package_loads_no_tensorflow():
    code = "import sys, steadyrank; print(steadyrank.__version__, 'tensorflow' in sys.modules)"
    version, loaded = succeeds(sys.executable, "-c", code).split()
    assert version.count(".") == 2
    assert loaded == "False"
