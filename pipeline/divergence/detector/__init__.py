"""The detector: turns measurements into events and a verdict, without a framework.

Start with :class:`~.detector.Detector`, which combines the other modules:

| module | question |
|---|---|
| :mod:`.loss_checks` | which tasks have a loss in these steps, and which leave their range? |
| :mod:`.step_losses` | is a task out of range in these steps? |
| :mod:`.loss_progress` | does the loss of a task still fall? |
| :mod:`.weight_state` | are the weights finite? |
| :mod:`.publication_checks` | is a task out of range in these metrics? |
| :mod:`.task_range` | when did a task leave its range, and did it return? |
| :mod:`.spikes` | is the loss of a single step unusual? |
| :mod:`.layer_checks` | is a layer dead, not finite or over-clipped? |
| :mod:`.feature_shifts` | did an input feature leave its usual range? |
| :mod:`.recent_shifts` | which feature shifted before something went wrong? |
"""

from .detector import Detector
from .thresholds import Thresholds

__all__ = ["Detector", "Thresholds"]
