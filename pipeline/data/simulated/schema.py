"""The columns of the simulated log."""

from __future__ import annotations

from collections.abc import Sequence

from ....models.schema import Feature, Schema, Task
from .behavior import SCORES
from .world import COUNTRIES, DEVICES, HISTORY_WIDTH, LANGUAGES, POSITIONS, TAG_WIDTH, TAGS, TOPICS


def simulated_schema(users: int, videos: int, creators: int) -> Schema:
    """What enters and leaves a ranker of the simulated platform.

    Args:
      users: Users of the platform, hashed into twice as many buckets.
      videos: Videos of the platform.
      creators: Creators of the platform, hashed into twice as many buckets.
    """

    def named(name: str, vocabulary: Sequence[str]) -> Feature:
        return Feature(name, "categorical", dtype="string", vocabulary=tuple(vocabulary), embedding_width=8)

    def counter(name: str) -> Feature:
        return Feature(name, "numerical", normalization="log")

    return Schema(
        features=(
            Feature("user_id", "categorical", hash_buckets=2 * users),
            Feature("video_id", "categorical", num_ids=videos, table="video"),
            Feature("creator", "categorical", dtype="string", hash_buckets=2 * creators),
            named("topic", TOPICS),
            named("country", COUNTRIES),
            named("device", DEVICES),
            named("language", LANGUAGES),
            Feature("hour", "categorical", num_ids=24, embedding_width=8),
            Feature("position", "categorical", num_ids=POSITIONS, embedding_width=8),
            counter("account_age_days"),
            counter("video_age_days"),
            counter("user_views"),
            counter("user_watches"),
            counter("video_views"),
            counter("video_likes"),
            counter("creator_followers"),
            counter("duration_minutes"),
            Feature("recent_ctr", "numerical"),
            counter("network_mbps"),
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
