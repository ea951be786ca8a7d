"""Sees that a training diverges, and says so; works in anybody's Keras program.

    from steadyrank.pipeline.divergence import DivergenceMonitor

    model.fit(dataset, callbacks=[DivergenceMonitor(on_full="stop")])

The detector behind it is pure: it takes series of numbers and gives events, see :mod:`.detector`.
"""

from .detector import Detector, Event
from .monitor import Diverged, DivergenceMonitor

__all__ = ["Detector", "Diverged", "DivergenceMonitor", "Event"]
