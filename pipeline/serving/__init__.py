"""Checks whether a trained ranker may be exported, and exports it for serving.

    from steadyrank.pipeline.serving import export_ranker

    export_ranker(ranker, "models/feed")  # writes models/feed/<version>/, which TensorFlow alone can load

:func:`find_export_blockers` lists the reasons not to export a ranker. Where to start reading: :mod:`.publish` writes
the SavedModel, :mod:`.gate` contains the check, and :mod:`.signatures` defines the inputs.
"""

from .gate import find_export_blockers
from .publish import export_ranker

__all__ = ["export_ranker", "find_export_blockers"]
