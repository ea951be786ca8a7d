"""Adding one file adds a rule: the optimizers, the table of rules and the contract tests find it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run_with_new_rule(*arguments):
    """Runs pytest in a process that has the rule of new_rule.py, and returns the number of tests that passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.optimizers.new_rule"]
    process = subprocess.run(
        [*command, *arguments], cwd=HERE.parents[1], env=os.environ.copy(), capture_output=True, text=True, timeout=500
    )
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-2000:]
    return int(re.search(r"(\d+) passed", process.stdout)[1])


def test_it_trains_in_keras_2_and_keras_3_like_numpy():
    assert run_with_new_rule(str(HERE / "new_rule_cases.py")) >= 15


@pytest.mark.parametrize(
    ("file", "tests"),
    [("test_contract.py", 15), ("test_contract_saving.py", 8), ("test_rule_options.py", 2), ("test_safety.py", 12)],
)
def test_the_tests_of_all_rules_cover_it(file, tests):
    assert run_with_new_rule(str(HERE / file), "-k", "new_mean or NewMeanClipping") >= tests
