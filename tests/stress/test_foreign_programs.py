"""The monitor and the optimizers in programs that others wrote: ``make stress``."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.stress.checks import MONITORS, check_damage, check_optimizer, check_unchanged
from tests.stress.kit import PROGRAMS

pytestmark = [pytest.mark.stress, pytest.mark.filterwarnings("ignore")]

for module in sorted(Path(__file__).with_name("programs").glob("*.py")):
    importlib.import_module(f"tests.stress.programs.{module.stem}")

CASES = [
    pytest.param(name, version, id=f"{name}-{version}")
    for name, program in PROGRAMS.items()
    for version in program.versions
]
OURS = [case for case in CASES if not PROGRAMS[case.values[0]].has_own_optimizer]


@pytest.mark.parametrize("monitor", MONITORS)
@pytest.mark.parametrize(("name", "version"), CASES)
def test_the_monitor_changes_no_number_and_raises_no_alarm(name, version, monitor):
    assert check_unchanged(name, version, monitor) == []


@pytest.mark.parametrize("optimizer", ["ClippyAdagrad", "Adagrad"])
@pytest.mark.parametrize(("name", "version"), OURS)
def test_our_optimizers_train(name, version, optimizer):
    assert check_optimizer(name, version, optimizer) == []


@pytest.mark.parametrize(
    ("damage", "on_full"), [("nan_early", None), ("nan_late", "raise"), ("nan_early", "rollback"), ("explode", "stop")]
)
@pytest.mark.parametrize(("name", "version"), OURS)
def test_the_monitor_sees_what_breaks(name, version, damage, on_full):
    assert check_damage(name, version, damage, on_full) == []
