"""Training multitask rankers that do not diverge, and proof of it.

* :mod:`steadyrank.pipeline`: the commands, first of all ``python -m steadyrank.pipeline.train --help``.
* :mod:`steadyrank.models`: schemas and the multitask ranker.
* :mod:`steadyrank.optimizers`: Adagrad with Clippy, for any Keras 2 program.
* :mod:`steadyrank.pipeline.divergence`: the callback that watches any Keras 2 training.

Importing this package imports nothing else; TensorFlow is loaded by the rooms that need it.
"""

__version__ = "0.1.0"
