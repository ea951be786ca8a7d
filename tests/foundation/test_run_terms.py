"""The terms that a run writes to its files."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from steadyrank.foundation import run_terms


@pytest.mark.parametrize("name", ["Verdict", "Health", "RunStatus", "DayUse", "EventKind"])
def test_each_set_has_distinct_terms(name):
    words = get_args(getattr(run_terms, name))
    assert words
    assert len(set(words)) == len(words)
    assert all(word.replace("_", "").isalpha() and word.islower() for word in words)


def test_the_terms_that_checks_rely_on_exist():
    assert set(get_args(run_terms.Verdict)) == {"healthy", "micro", "full"}
    assert {"running", "done", "diverged", "refused", "preempted", "interrupted", "failed"} == set(
        get_args(run_terms.RunStatus)
    )


def test_the_foundation_imports_no_tensorflow():
    modules = "atomic_files auc constant_baseline formatting json_values metric_key moments run_terms signed_log"
    imports = "; ".join(f"import steadyrank.foundation.{module}" for module in modules.split())
    code = f"import sys; {imports}; print(sorted({{'tensorflow', 'keras', 'tf_keras'}} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr
