"""Multitask rankers: the schema of their inputs and outputs, and the Keras model.

    from steadyrank.models import Feature, MultitaskRanker, Schema, Task

A :class:`Schema` lists features and tasks. A :class:`MultitaskRanker` is a Keras 2 model built from a schema. Importing
this package makes ``tf.keras`` Keras 2, which TensorFlow Recommenders needs. If that is no longer possible, the import
raises an ImportError that explains what to do.

Where to start reading: :mod:`.schema`; then :mod:`.ranker`, which connects :mod:`.encoders` (columns to one vector per
row), :mod:`.trunks` (the layers that all tasks share) and :mod:`.heads` (one tower, loss and :mod:`.metrics` per task).
"""

from .schema import Feature, Schema, Task  # isort: skip
from .statistics import Statistics  # isort: skip
from . import keras2  # noqa: F401  isort: skip
from .ranker import MultitaskRanker  # isort: skip

__all__ = ["Feature", "MultitaskRanker", "Schema", "Statistics", "Task"]
