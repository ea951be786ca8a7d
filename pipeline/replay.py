"""Takes a bad step of a run again, exactly, and shows what other rules and rates would have done to it.

    python -m steadyrank.pipeline.replay runs/shift/bundles/step-000513
    python -m steadyrank.pipeline.replay runs/shift/bundles/step-000513 --rules=clippy,gc --shares=0.5,0.1

A run leaves a bundle of its first bad steps: the batch, the weights and the accumulators before the step. Exit code: 0 the step
was repeated to the bit; 1 it was repeated, but came out otherwise; 2 a mistake on the command line.
"""

from __future__ import annotations

from absl import flags

from .config import UserError, command
from .config.quiet import quiet_import
from .config.settings import RULES


def define_flags() -> None:
    """The command's own flags."""
    flags.DEFINE_list("rules", list(RULES), f"Other rules to try: some of {', '.join(RULES)}.")
    flags.DEFINE_list("shares", ["0.5", "0.1"], "Other rates to try, in units of the step's.")


def main(arguments: flags.FlagValues, bundle: str) -> int:
    """Replays and prints; returns the exit code."""
    unknown = [rule for rule in arguments.rules if rule not in RULES]
    if unknown:
        raise UserError(f"--rules: there is no rule '{unknown[0]}'; expected some of {', '.join(RULES)}")
    try:
        shares = [float(share) for share in arguments.shares]
    except ValueError as error:
        raise UserError(f"--shares must be numbers, got {','.join(arguments.shares)}") from error
    with quiet_import():
        from .training.replay import replay

    done = replay(bundle, arguments.rules, shares)
    saved = done.bundle
    print(f"step {saved.step:,}, alarm of {', '.join(saved.alarms)}")
    print(
        "repeated to the bit"
        if done.exact
        else "repeated, but its losses came out otherwise: another machine or version"
    )
    print(
        f"\n{'rule':<8} {'rate':>9} {'factor':>9} {'update':>9} {'loss before':>12} {'after':>10}  {'worst task after':<28} bound by"
    )
    for outcome in (done.repeated, *done.others):
        tasks = {name: outcome.after[name] / max(outcome.before[name], 1e-12) for name in outcome.after if name}
        worst = max(tasks, key=lambda name: tasks[name] if tasks[name] == tasks[name] else float("inf"))
        told = f"{worst}: {outcome.before[worst]:.4g} -> {outcome.after[worst]:.4g}"
        bound = "the step is left out" if outcome.skipped else outcome.layer
        print(
            f"{outcome.rule:<8} {outcome.rate:>9.4g} {outcome.factor:>9.3g} {outcome.update:>9.3g} "
            f"{outcome.before['']:>12.4g} {outcome.after['']:>10.4g}  {told:<28} {bound}"
        )
    return 0 if done.exact else 1


if __name__ == "__main__":
    command(main, define_flags, argument="BUNDLE")
