r"""Repeats a bad step of a run exactly, and shows what other rules and learning rates would have done.

    python -m steadyrank.pipeline.replay runs/shift/bundles/step-000513
    python -m steadyrank.pipeline.replay runs/shift/bundles/step-000513 --rules=clippy,gc \
        --learning_rate_factors=0.5,0.1

BUNDLE is a folder that a run saved for one of its first bad steps. It holds the step's batch, and the weights and
accumulators before the step.

Exit codes: 0 the repetition is equal bit by bit; 1 its losses differ; 2 an error that the user can fix, printed as one
line.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from absl import flags

from ..optimizers.rules import RULES
from .config import UserError, command
from .config.paths import expand_home
from .config.quiet import quiet_import

if TYPE_CHECKING:
    from .training.replay import Outcome

EXIT_DIFFERS = 1


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_list("rules", list(RULES), f"Rules to try, one or more of: {', '.join(RULES)}.")
    flags.DEFINE_list(
        "learning_rate_factors",
        ["0.5", "0.1"],
        "Learning rates to try with the run's rule, as multiples of the step's learning rate.",
    )


def main(arguments: flags.FlagValues, bundle: str) -> int:
    """Repeats the step, prints the table and returns the exit code."""
    unknown = [rule for rule in arguments.rules if rule not in RULES]
    if unknown:
        raise UserError(f"--rules: unknown rule '{unknown[0]}'; expected any of {', '.join(RULES)}")
    try:
        factors = [float(factor) for factor in arguments.learning_rate_factors]
    except ValueError as error:
        received = ",".join(arguments.learning_rate_factors)
        raise UserError(f"--learning_rate_factors must be numbers, got {received}") from error
    folder = expand_home(bundle)
    if not folder.is_dir():
        raise UserError(f"{bundle}: there is no such folder; name a folder MODEL_DIR/bundles/step-NUMBER of a run")
    with quiet_import():
        from .training.replay import replay

    result = replay(folder, arguments.rules, factors)
    print(f"step {result.bundle.step:,}; alarms: {', '.join(result.bundle.alarms)}")
    print(
        "repeated bit for bit"
        if result.is_exact
        else "repeated with different losses: the machine or TensorFlow version differs"
    )
    print()
    print(
        f"{'rule':<8} {'rate':>9} {'factor':>9} {'update':>9} {'loss before':>12} {'after':>10}  "
        f"{'worst task':<28} most clipped"
    )
    for outcome in (result.repetition, *result.alternatives):
        print(_format_row(outcome).rstrip())
    return 0 if result.is_exact else EXIT_DIFFERS


def _format_row(outcome: Outcome) -> str:
    growth = {
        task: after / max(outcome.losses_before[task], 1e-12) for task, after in outcome.losses_after.items() if task
    }
    worst = max(growth, key=lambda task: math.inf if math.isnan(growth[task]) else growth[task])
    change = f"{worst}: {outcome.losses_before[worst]:.4g} -> {outcome.losses_after[worst]:.4g}"
    layer = "(step skipped: gradient not finite)" if outcome.is_skipped else outcome.clipped_variable
    return (
        f"{outcome.rule:<8} {outcome.learning_rate:>9.4g} {outcome.clipping_factor:>9.3g} {outcome.update_norm:>9.3g} "
        f"{outcome.losses_before['']:>12.4g} {outcome.losses_after['']:>10.4g}  {change:<28} {layer}"
    )


if __name__ == "__main__":
    command(main, define_flags, argument="BUNDLE")
