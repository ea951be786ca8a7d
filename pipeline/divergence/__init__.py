"""Sees that a training diverges, and says so; works in anybody's Keras program.

    from steadyrank.pipeline.divergence import DivergenceMonitor

    model.fit(dataset, callbacks=[DivergenceMonitor(on_full="stop")])

For Keras 3 the same stands in :mod:`.keras3`. Inside the training step :mod:`.probes` measures; the detector behind it is pure:
it takes series of numbers and gives events, see :mod:`.detector`.
"""

from .bundle import Bundle, Bundles
from .detector import Detector, Event
from .monitor import DivergenceMonitor
from .monitor_base import Diverged
from .signal_statistics import SignalStatistics

__all__ = ["Bundle", "Bundles", "Detector", "Diverged", "DivergenceMonitor", "Event", "SignalStatistics"]
