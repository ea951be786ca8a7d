"""The columns of the simulated log."""

from __future__ import annotations

from collections.abc import Sequence

from ....models.schema import Feature, Schema, Task
from .behavior import SCORES
from .world import COUNTRIES, DEVICES, HISTORY_WIDTH, LANGUAGES, POSITIONS, TAG_WIDTH, TAGS, TOPICS


def make_simulated_schema(users: int, videos: int, creators: int) -> Schema:
    """Makes the schema of a log of the simulated platform.

    Args:
      users: Number of users. Their ids are hashed into twice as many buckets.
      videos: Number of videos. Their ids are not hashed.
      creators: Number of creators. Their names are hashed into twice as many buckets.
    """

    def vocabulary_feature(name: str, vocabulary: Sequence[str]) -> Feature:
        return Feature(name, "categorical", dtype="string", vocabulary=tuple(vocabulary), embedding_width=8)

    def log_feature(name: str) -> Feature:
        return Feature(name, "numerical", normalization="log")

    return Schema(
        features=(
            Feature("user_id", "categorical", hash_buckets=2 * users),
            Feature("video_id", "categorical", num_ids=videos, table="video"),
            Feature("creator", "categorical", dtype="string", hash_buckets=2 * creators),
            vocabulary_feature("topic", TOPICS),
            vocabulary_feature("country", COUNTRIES),
            vocabulary_feature("device", DEVICES),
            vocabulary_feature("language", LANGUAGES),
            Feature("hour", "categorical", num_ids=24, embedding_width=8),
            Feature("position", "categorical", num_ids=POSITIONS, embedding_width=8),
            log_feature("account_age_days"),
            log_feature("video_age_days"),
            log_feature("user_views"),
            log_feature("user_watches"),
            log_feature("video_views"),
            log_feature("video_likes"),
            log_feature("creator_followers"),
            log_feature("duration_minutes"),
            Feature("recent_ctr", "numerical"),
            log_feature("network_mbps"),
            Feature("scores", "numerical", width=SCORES),
            Feature("fresh_score", "numerical"),
            Feature("history", "bag", width=HISTORY_WIDTH, num_ids=videos, table="video"),
            Feature("tags", "bag", dtype="string", width=TAG_WIDTH, vocabulary=TAGS, embedding_width=8),
        ),
        tasks=(
            Task("click", "binary"),
            Task("like", "binary"),
            Task("share", "binary"),
            Task("long_watch", "binary"),
            Task("watch_time", "regression", weight=0.1),
            Task("satisfaction", "regression", weight=0.3),
        ),
    )
