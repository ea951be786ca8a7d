"""The README's examples are run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(code: str, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_keras_3_example_learns(backend):
    if backend == "jax":
        pytest.importorskip("jax", reason="JAX is not installed; it is in the extra 'dev'")
    (block,) = (block for block in BLOCKS if "steadyrank.optimizers.keras3" in block)
    loss, skipped = run(block, KERAS_BACKEND=backend).split()
    # The labels' variance is 8.
    assert float(loss) < 1.0
    assert skipped == "0"


def test_the_example_of_groups_makes_an_optimizer():
    (block,) = (block for block in BLOCKS if "groups=" in block)
    assert run(block + "\nprint(type(optimizer).__name__)").strip() == "Adagrad"


def test_every_example_is_python():
    for block in BLOCKS:
        compile(block, "README.md", "exec")
