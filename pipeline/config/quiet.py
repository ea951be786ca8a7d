"""Keeps TensorFlow's start-up chatter from a command's output."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from absl import flags, logging


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Silences what TensorFlow writes while it is imported inside this context.

    Its libraries write to file descriptor 2 before any setting of theirs is read, so the descriptor itself is held back.
    Should the import fail, all that was held back is written after all.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    if not flags.FLAGS["verbosity"].present:
        # TensorFlow's Python side tells of each checkpoint and export; --verbosity=0 shows it.
        logging.set_verbosity(logging.WARNING)
