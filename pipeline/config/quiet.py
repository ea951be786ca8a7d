"""Keeps TensorFlow's start-up messages out of a command's output."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from absl import flags, logging


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Suppresses what TensorFlow writes to stderr while it is imported inside this context.

    TensorFlow's libraries write to file descriptor 2 before they read any setting, so this function redirects the
    descriptor itself. If the import fails, it prints the suppressed output.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as suppressed:
        os.dup2(suppressed.fileno(), 2)
        try:
            yield
        except BaseException:
            suppressed.seek(0)
            os.write(stderr, suppressed.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    if not flags.FLAGS["verbosity"].present:
        # TensorFlow's Python code logs each checkpoint and export; --verbosity=0 shows these messages.
        logging.set_verbosity(logging.WARNING)
