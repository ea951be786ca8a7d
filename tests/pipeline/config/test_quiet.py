"""Suppression of what TensorFlow writes while it is imported."""

from __future__ import annotations

import subprocess
import sys
import textwrap

CODE = """
    import os, sys
    from absl import flags
    from steadyrank.pipeline.config.quiet import quiet_import

    flags.FLAGS(["program"])
    os.write(2, b"before,")
    try:
        with quiet_import():
            os.write(2, b"inside,")
            if sys.argv[1] == "fail":
                raise ImportError
    except ImportError:
        pass
    os.write(2, b"after")
"""


def run(argument: str) -> str:
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(CODE), argument], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_output_of_an_import_is_suppressed_at_the_file_descriptor():
    assert run("succeed") == "before,after"


def test_output_of_a_failed_import_is_printed():
    assert run("fail") == "before,inside,after"
