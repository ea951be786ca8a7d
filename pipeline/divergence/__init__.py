"""Detects divergence in any Keras training and recovers from it. This package requires no other pipeline package.

    from steadyrank.pipeline.divergence import DivergenceMonitor

    model.fit(dataset, callbacks=[DivergenceMonitor(on_full="stop")])

For Keras 3, import :class:`DivergenceMonitor` from :mod:`.keras3`.

| module | what it does |
|---|---|
| :mod:`.monitor`, :mod:`.monitor_base` | the Keras callback; start here |
| :mod:`.probes` | measure inside the training step |
| :mod:`.detector` | turns measurements into events and a verdict, without a framework |
| :mod:`.weight_check` | checks that the weights are finite |
| :mod:`.event_lines` | formats events for a terminal |
| :mod:`.recovery` | restores healthy weights after a full divergence |
| :mod:`.bundles` | save bad steps for repetition |
| :mod:`.problems` | records measurements that cannot be made |
| :mod:`.sharpness` | measures the curvature of the loss and conflicts between tasks |
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
