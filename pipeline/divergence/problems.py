"""Measurements that cannot be made. Each reason is recorded once, and training continues."""

from __future__ import annotations

import contextlib
import logging
import textwrap
from collections.abc import Iterator

_LOGGER = logging.getLogger(__name__)


class Problems(list[str]):
    """The reasons why something is not measured or saved, one sentence each. Each is logged once, as a warning.

    A monitor only observes, so a measurement that fails must never end a training. Guard each measurement, but not the
    user's own code.

    Example:
    >>> problems = Problems()
    >>> for step in range(2):
    ...     with problems.guard("measure the loss of task 'click'"):
    ...         raise ValueError("shapes differ")
    >>> problems
    ["The monitor cannot measure the loss of task 'click': ValueError: shapes differ"]
    """

    def record(self, reason: str) -> None:
        """Adds a reason and logs it, unless it is known."""
        if reason not in self:
            self.append(reason)
            _LOGGER.warning("%s", reason)

    @contextlib.contextmanager
    def guard(self, action: str) -> Iterator[None]:
        """Records any failure of the statements inside, and continues after them.

        Args:
          action: What the statements do, as in "The monitor cannot measure the loss". Of several failures of the same
            action, only the first is recorded.
        """
        try:
            yield
        except Exception as error:
            prefix = f"The monitor cannot {action}: "
            if not any(reason.startswith(prefix) for reason in self):
                message = " ".join(str(error).split())
                self.record(prefix + textwrap.shorten(f"{type(error).__name__}: {message}", 300, placeholder=" ..."))
