"""Trains multitask ranking models that do not diverge, and proves it.

* :mod:`steadyrank.pipeline`: the commands. Start with ``python -m steadyrank.pipeline.train --help``.
* :mod:`steadyrank.models`: schemas and the multitask ranker.
* :mod:`steadyrank.optimizers`: Adagrad with Clippy, for any Keras 2 or Keras 3 program.
* :mod:`steadyrank.pipeline.divergence`: a callback that monitors training in any Keras 2 or Keras 3 program.

Importing this package imports nothing else. Only the subpackages that need TensorFlow import it.
"""

__version__ = "0.1.0"
