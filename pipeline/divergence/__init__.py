"""Detects divergence in any Keras training, and recovers from it. This room needs no other room.

    from steadyrank.pipeline.divergence import DivergenceMonitor

    model.fit(dataset, callbacks=[DivergenceMonitor(on_full="stop")])

For Keras 3, import :class:`DivergenceMonitor` from :mod:`.keras3`.

| where | what |
|---|---|
| :mod:`.monitor`, :mod:`.monitor_base` | the Keras callback; start here |
| :mod:`.probes` | measure inside the training step |
| :mod:`.detector` | turns measured numbers into events and a verdict; pure |
| :mod:`.recovery` | restores healthy weights after a full divergence |
| :mod:`.bundles` | save bad steps, so that they can be repeated |
| :mod:`.sharpness` | measures the curvature of the loss, and conflicts between tasks |
"""

from .bundles import Bundle, Bundles
from .detector import Detector, Thresholds
from .event import Event
from .monitor import DivergenceMonitor
from .monitor_base import Diverged
from .signal_statistics import SignalStatistics, WindowStatistics

__all__ = [
    "Bundle",
    "Bundles",
    "Detector",
    "Diverged",
    "DivergenceMonitor",
    "Event",
    "SignalStatistics",
    "Thresholds",
    "WindowStatistics",
]
