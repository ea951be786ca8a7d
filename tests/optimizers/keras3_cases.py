"""The properties of the Keras 3 optimizers on every backend: one function each, in ``CHECKS``.

test_keras3.py calls them on TensorFlow, and runs this file as a process with ``KERAS_BACKEND=jax`` and ``=torch``. As a process, it
prints the failure of each check as JSON, "" for none. A process chooses its backend once, before it imports Keras.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import traceback
from pathlib import Path

import keras

from tests.optimizers import keras3_argument_cases, keras3_reference_cases, keras3_safety_cases, keras3_training_cases  # noqa: F401
from tests.optimizers.keras3_checks import CHECKS, ON_JAX, ON_TENSORFLOW
from tests.optimizers.keras3_reference_cases import ONLY_JAX

NOT_ON_TORCH = [name for name in CHECKS if "several steps at once" in name]


def main() -> None:
    """Prints the failure of each check, as the last line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checks", nargs="*", help="names of checks; default all")
    checks = CHECKS | (ONLY_JAX if ON_JAX else {})
    if not (ON_JAX or ON_TENSORFLOW):
        checks = {name: each for name, each in checks.items() if name not in NOT_ON_TORCH}
    found = {}
    for name in parser.parse_args().checks or checks:
        try:
            with tempfile.TemporaryDirectory() as folder:
                checks[name](Path(folder))
            found[name] = ""
        except BaseException:  # pytest.fail is no Exception
            found[name] = traceback.format_exc()
    print(json.dumps({"backend": keras.backend.backend(), "wrong": found}))


if __name__ == "__main__":
    main()
