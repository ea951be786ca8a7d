"""Bundles: recordings of bad steps, with everything that is required to repeat them.

When a signal of a step leaves its usual range, the training step saves the batch, all weights and all optimizer
variables to a folder, before the optimizer changes them. Other steps copy nothing. Even if the process is killed, a
bundle is complete or absent.

| file | content |
|---|---|
| ``step-000812/bundle.json`` | the step, the signals that raised the alarm, all signals, and the structure of the batch |
| ``step-000812/arrays.npz`` | the batch, the weights and the optimizer's variables |

For embedding tables with sparse gradients, and for optimizer variables of the same shape, a bundle holds only the rows
that the step touches. The step reads and writes no other rows. Random numbers, such as dropout masks, repeat in Keras
3, where their state is a variable, but not in Keras 2.

:class:`.store.Bundles` saves bundles. :class:`.bundle.Bundle` reads a bundle and repeats its step.
"""

from .bundle import Bundle
from .store import Bundles

__all__ = ["Bundle", "Bundles"]
