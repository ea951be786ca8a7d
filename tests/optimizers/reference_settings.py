"""Rules and arguments under which the optimizers are compared with the NumPy reference."""

from __future__ import annotations

from tests.optimizers.reference import CASES, WEIGHTS, Reference

CLIPPY = {"rule": "clippy", "relative": 0.5, "absolute": 1e-2, "accumulator_relative": 0.0, "granularity": "variable"}
GC = {"rule": "gc", "threshold": 1.0, "granularity": "variable", "order": "before"}
AGC = {"rule": "agc", "threshold": 0.05, "granularity": "variable", "order": "before"}
ADAGC = {"rule": "adagc", "relative": 1.05, "absolute": 1.0, "beta": 0.9, "start": 3, "order": "before"}

DELAYED = {"use_standard_accumulator_update": False}
DELAYED_AND_CLIPPED = {**DELAYED, "clip_accumulator_update": True}

# By name, the rule and the other arguments.
SETTINGS = {
    "none": ({"rule": "none"}, {"learning_rate": 0.1}),
    "none, delayed, decay": ({"rule": "none"}, {"learning_rate": 0.1, "weight_decay": 0.3, **DELAYED}),
    "gc": (GC, {"learning_rate": 0.1}),
    "gc after": ({**GC, "order": "after"}, {"learning_rate": 0.1, "epsilon": 1e-2}),
    "gc global": (
        {**GC, "granularity": "global", "threshold": 3.0},
        {"learning_rate": 0.1, "initial_accumulator_value": 1.0},
    ),
    "gc after, delayed and clipped": ({**GC, "order": "after"}, {"learning_rate": 0.1, **DELAYED_AND_CLIPPED}),
    "agc": (AGC, {"learning_rate": 0.5}),
    "agc after": ({**AGC, "order": "after"}, {"learning_rate": 0.5}),
    "agc unit": ({**AGC, "granularity": "unit"}, {"learning_rate": 0.5}),
    "agc unit after": ({**AGC, "granularity": "unit", "order": "after"}, {"learning_rate": 0.5, "weight_decay": 0.1}),
    "lamb": ({"rule": "lamb"}, {"learning_rate": 0.1}),
    "lamb, delayed, decay": ({"rule": "lamb"}, {"learning_rate": 0.1, "weight_decay": 0.3, **DELAYED}),
    "clippy": (CLIPPY, {"learning_rate": 0.5}),
    "clippy row": ({**CLIPPY, "granularity": "row"}, {"learning_rate": 0.5}),
    "clippy, decay": (CLIPPY, {"learning_rate": 1.0, "weight_decay": 2.0}),
    "clippy, delayed": ({**CLIPPY, "accumulator_relative": 0.1}, {"learning_rate": 1.0, **DELAYED}),
    "clippy row, delayed and clipped": (
        {**CLIPPY, "granularity": "row"},
        {"learning_rate": 1.0, **DELAYED_AND_CLIPPED},
    ),
    "adagc": (ADAGC, {"learning_rate": 0.1}),
    "adagc after": ({**ADAGC, "order": "after"}, {"learning_rate": 0.1}),
}

# All cases in one sequence, for steps that must be traced or compiled first. A step without the gradient of a variable would need a trace
# of its own.
EVERYTHING = [
    (f"step {n} of '{case}'", step)
    for case, steps in CASES.items()
    for n, step in enumerate(steps)
    if all(gradient is not None for gradient in step)
]


def make_reference(name):
    rule, options = SETTINGS[name]
    options = dict(options)
    delayed = not options.pop("use_standard_accumulator_update", True)
    clipped = options.pop("clip_accumulator_update", False)
    return Reference(rule, weights=WEIGHTS, delayed=delayed, clip_accumulator=clipped, **options)
