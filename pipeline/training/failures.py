"""Records the failure of a run, and turns errors that the user can fix into one line."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

import tensorflow as tf

from ...foundation.formatting import first_line
from ..config.errors import UserError
from ..data.batching import extract_user_error
from .run_directory import RunDirectory
from .run_state import RunState

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def record_failure(run: RunDirectory, state: RunState) -> Iterator[None]:
    """Writes the status ``failed``, the step and the reason to ``status.json`` if the block raises an error.

    Args:
      run: The run's folder.
      state: The run's position.

    Raises:
      UserError: If the log cannot be read or the disk is full. All other errors pass through unchanged.
    """
    try:
        yield
    except BaseException as error:
        full_disk = describe_full_disk(error)
        unreadable_log = extract_user_error(error) if isinstance(error, tf.errors.OpError) else ""
        message = full_disk or unreadable_log or f"{type(error).__name__}: {first_line(error)}"
        # On a full disk, writing the status may fail as well. Report only the first error.
        with contextlib.suppress(OSError):
            run.write_status("failed", state.step, total_steps=state.total_steps, message=message)
        if unreadable_log:
            raise UserError(unreadable_log) from error
        if full_disk:
            raise UserError(
                f"--model_dir={run.path} cannot be written: {full_disk}; free some space and continue with --resume"
            ) from error
        raise


def describe_full_disk(error: BaseException) -> str:
    """Returns the operating system's message if the error means that the disk is full, else "".

    Example:
    >>> describe_full_disk(OSError(errno.ENOSPC, "")), describe_full_disk(ValueError("no"))
    ('No space left on device', '')
    """
    if isinstance(error, OSError) and error.errno in _FULL_DISK:
        return os.strerror(error.errno)
    # TensorFlow writes checkpoints and events itself. Its errors have no errno, but their text includes the system's
    # message.
    no_space = os.strerror(errno.ENOSPC)
    return no_space if isinstance(error, tf.errors.OpError) and no_space in str(error) else ""
