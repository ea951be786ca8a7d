"""Exports a trained ranker for serving, unless something speaks against it.

    from steadyrank.pipeline.serving import export_ranker

    export_ranker(ranker, "models/feed")  # writes models/feed/<version>/, which TensorFlow alone can load

:func:`find_export_blockers` lists the reasons against an export. Where to start reading: :mod:`.publish`, which writes the
SavedModel; :mod:`.gate` decides and :mod:`.signatures` defines the inputs.
"""

from .gate import find_export_blockers
from .publish import export_ranker

__all__ = ["export_ranker", "find_export_blockers"]
