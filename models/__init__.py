"""Multitask rankers: what enters and leaves them, and the Keras model.

    from steadyrank.models import Feature, MultitaskRanker, Schema, Task

A :class:`Schema` names features and tasks; a :class:`MultitaskRanker` is a Keras 2 model built from it. Importing this
package makes ``tf.keras`` Keras 2, which TensorFlow Recommenders needs, or says in one line what is in the way.
"""

from .schema import Feature, Schema, Task  # isort: skip
from .statistics import Statistics  # isort: skip
from . import keras2  # noqa: F401  isort: skip
from .ranker import MultitaskRanker  # isort: skip

__all__ = ["Feature", "MultitaskRanker", "Schema", "Statistics", "Task"]
