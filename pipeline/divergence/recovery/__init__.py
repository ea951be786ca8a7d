"""The way back after a full divergence: healthy weights, and a smaller learning rate.

A rollback restores the weights and the optimizer's variables from before the divergence, and goes on with the next batch. The
batches in between are skipped, bad ones among them; steps are counted on. The learning rate becomes smaller, and rises to its new
value during a warm-up. The number of rollbacks is limited, and saved with the monitor's state.

Start at :class:`.rollback.Rollback`. :mod:`.snapshots` keeps healthy weights, :mod:`.budget` counts rollbacks, and
:mod:`.learning_rate` scales the rate.
"""

from .budget import RollbackBudget
from .rollback import Rollback
from .snapshots import MemorySnapshots, SnapshotStore

__all__ = ["MemorySnapshots", "Rollback", "RollbackBudget", "SnapshotStore"]
