"""Recovery from a full divergence: restores healthy weights and reduces the learning rate.

A rollback restores the weights and the optimizer's variables from before the divergence. Training continues with the
next batch and does not repeat the batches since the snapshot. The step counter keeps counting. The learning rate is
reduced, and rises to its new value during a warm-up. The number of rollbacks is limited, and saved with the monitor's
state.

Start with :class:`.rollback.Rollback`. :mod:`.snapshots` stores healthy weights, :mod:`.budget` counts rollbacks, and
:mod:`.learning_rate` scales the learning rate.
"""

from .budget import RollbackBudget
from .rollback import Rollback
from .snapshots import MemorySnapshots, SnapshotStore

__all__ = ["MemorySnapshots", "Rollback", "RollbackBudget", "SnapshotStore"]
