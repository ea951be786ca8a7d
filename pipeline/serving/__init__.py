"""Gets a trained ranker to a server, or says why it must not go there.

from steadyrank.pipeline.serving import export_ranker

export_ranker(ranker, "models/feed")  # models/feed/<version>/, loadable with TensorFlow alone
"""

from .gate import find_export_blockers
from .publish import export_ranker

__all__ = ["export_ranker", "find_export_blockers"]
