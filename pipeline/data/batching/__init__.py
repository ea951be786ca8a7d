"""Turns the blocks of a log into the batches of a training step.

1. :class:`BatchOrder` says which rows of a day are read, and in which order.
2. :class:`ShuffleWindows` groups the blocks of the day into windows and makes any of them.
3. :func:`make_training_batches` and :func:`make_evaluation_batches` build the ``tf.data`` dataset. This process makes
   the windows, or the workers of an :class:`InputService` do.
4. :class:`WaitClock` measures how long training waits for the dataset.

Start reading in :mod:`.dataset`.
"""

from .dataset import make_batches, make_evaluation_batches, make_training_batches
from .input_service import InputService
from .user_errors import extract_user_error
from .wait_clock import WaitClock
from .windows import BatchOrder, ShuffleWindows, WindowService, count_steps

__all__ = [
    "BatchOrder",
    "InputService",
    "ShuffleWindows",
    "WaitClock",
    "WindowService",
    "count_steps",
    "extract_user_error",
    "make_batches",
    "make_evaluation_batches",
    "make_training_batches",
]
