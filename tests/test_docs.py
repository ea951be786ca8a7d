"""The code in README.md and docs/ runs as it stands, links lead somewhere, and every page is on the site."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What the README's one-line examples assume: a Keras model, its data, and an export.
README_SETUP = """
import os
import numpy as np, tensorflow as tf, tf_keras
model = tf_keras.Sequential([tf_keras.layers.Dense(1, activation="sigmoid")])
x = np.random.default_rng(0).normal(size=(256, 4)).astype("float32")
dataset = tf.data.Dataset.from_tensor_slices((x, (x[:, :1] > 0).astype("float32"))).batch(32)
newest_export = os.environ.get("NEWEST_EXPORT", "")
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
def newest_export(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The SavedModel of a small run."""
    model_dir = tmp_path_factory.mktemp("docs") / "demo"
    command = [sys.executable, "-m", "steadyrank.pipeline.train", f"--model_dir={model_dir}", *SMALL_RUN]
    subprocess.run(command, check=True, capture_output=True)
    [version] = (model_dir / "export").iterdir()
    return str(version)


README_BLOCKS = python_blocks(ROOT / "README.md")


@pytest.mark.parametrize("number", range(len(README_BLOCKS)))
def test_readme_example_runs(number, newest_export, tmp_path):
    code = README_BLOCKS[number]
    setup = README_SETUP if number == 0 else README_SETUP + "model.compile('sgd', 'binary_crossentropy')\n"
    run(setup + code, tmp_path, NEWEST_EXPORT=newest_export, TF_USE_LEGACY_KERAS="1")


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
