"""The code in README.md and docs/ runs as printed, its command lines are valid, links lead somewhere, and every page is on the site."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# The definitions that the README's examples assume: a Keras model and its data.
README_SETUP = """
import numpy as np, tensorflow as tf, tf_keras
model = tf_keras.Sequential([tf_keras.layers.Dense(1, activation="sigmoid")])
x = np.random.default_rng(0).normal(size=(256, 4)).astype("float32")
dataset = tf.data.Dataset.from_tensor_slices((x, (x[:, :1] > 0).astype("float32"))).batch(32)
"""
SMALL_RUN = (
    "--config=demo",
    "--config.data.simulated.days=2",
    "--config.data.simulated.rows_per_day=4096",
    "--config.model.shared_units=16",
    "--config.model.tower_units=8",
)


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(code: str, cwd: Path, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="session")
def folder_with_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``runs/demo`` is a small finished run."""
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "steadyrank.pipeline.train", "--model_dir=runs/demo", *SMALL_RUN]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return folder


README_BLOCKS = python_blocks(ROOT / "README.md")


@pytest.mark.parametrize("number", range(len(README_BLOCKS)))
def test_readme_example_runs(number, folder_with_run):
    code = README_BLOCKS[number]
    setup = README_SETUP if "model.compile" in code else README_SETUP + "model.compile('sgd', 'binary_crossentropy')\n"
    run(setup + code, folder_with_run, TF_USE_LEGACY_KERAS="1")


@pytest.mark.parametrize(
    ("page", "number"),
    [(page.relative_to(ROOT), i) for page in PAGES[1:] for i in range(len(python_blocks(page)))],
    ids=str,
)
def test_page_example_runs(page, number, tmp_path):
    run(python_blocks(ROOT / page)[number], tmp_path)


@pytest.mark.parametrize("backend", ["jax"])
def test_keras3_example_runs_on_another_backend(backend, tmp_path):
    pytest.importorskip(backend, reason=f"{backend} is not installed; it is in the extra 'dev'")
    blocks = [
        block for block in python_blocks(ROOT / "docs" / "optimizers.md") if "steadyrank.optimizers.keras3" in block
    ]
    assert blocks
    for block in blocks:
        run(block, tmp_path, KERAS_BACKEND=backend)


PARSE = """
import importlib, sys
from absl import flags
from steadyrank.pipeline.config import PRESETS, flags as command_line
name, *arguments = sys.argv[1:]
importlib.import_module(f"steadyrank.pipeline.{name}").define_flags()
if name in ("train", "evaluate"):
    command_line.define_config(flags.FLAGS, "demo")
flags.FLAGS.set_gnu_getopt(True)
_, overrides = command_line.parse([name, *arguments])
if "config" in flags.FLAGS:
    command_line.resolve(flags.FLAGS.config if flags.FLAGS.config in PRESETS else "demo", overrides)
"""


def command_lines() -> list[str]:
    """The distinct command lines of the documentation, without their program."""
    blocks = [
        block
        for page in PAGES
        for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    ]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = (re.match(r"\s*python -m steadyrank\.pipeline\.(.*)", line) for line in lines)
    return sorted({" ".join(match[1].replace(" ... ", " ").split()) for match in found if match})


@pytest.mark.parametrize("line", command_lines())
def test_command_line_is_valid(line, tmp_path):
    command = [sys.executable, "-c", PARSE, *shlex.split(line, comments=True)]
    # A page may leave out what another example on it shows.
    if line.startswith("train") and "--model_dir" not in line:
        command.append("--model_dir=runs/demo")
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_exist(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:|#", target):
            path, _, anchor = target.partition("#")
            linked = (page.parent / path).resolve()
            assert linked.exists(), f"{page.name} links to {target}"
            if anchor:
                assert anchor in anchors(linked), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_page_is_on_the_site():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = re.findall(r"[\w/]+\.md", str(config["nav"]))
    assert sorted(listed) == sorted(
        str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")
    )


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 180
