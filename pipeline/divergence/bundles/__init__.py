"""Bundles: everything that is needed to repeat a bad step, saved while the step happens.

When a signal of a step leaves its usual range, and before the optimizer writes, the batch, all weights and all variables of the
optimizer are saved to a folder. No other step copies anything. A bundle is complete or absent, whenever the process ends.

| file | content |
|---|---|
| ``step-000812/bundle.json`` | the step, the signals that raised the alarm, every signal of the step, and the structure of the batch |
| ``step-000812/arrays.npz`` | the batch, the weights and the optimizer's variables |

For embedding tables with sparse gradients, and for what the optimizer keeps in their shape, only the rows that the step touches are
saved: the step reads and writes no other. Random numbers, such as those of dropout, repeat in Keras 3, where their state is a
variable; in Keras 2 they do not.

Start at :class:`.store.Bundles` to save bundles, and at :class:`.bundle.Bundle` to read one and repeat its step.
"""

from .bundle import Bundle
from .store import Bundles

__all__ = ["Bundle", "Bundles"]
