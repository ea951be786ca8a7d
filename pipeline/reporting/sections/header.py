"""The top of the page: title, badges, narrative and summary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ....foundation.formatting import format_duration, join_words, pluralize
from ..analysis.numbers import is_finite
from ..analysis.run_history import find_last_step
from ..analysis.scores import compute_scores, compute_weighted_mean, select_judging_lines
from ..page_layout import Tone, escape, make_badge, make_paragraph
from ..record import RunRecord
from ..report_text import format_count, format_decimal, format_gap_share
from .data import describe_leaks, describe_skipped_days
from .narrative import write_narrative
from .run_figures import RunFigures
from .speed import describe_bottleneck
from .tasks import describe_judging_days

VERDICT_BADGES: Mapping[str, tuple[Tone, str]] = {
    "healthy": ("good", "Healthy: no divergence"),
    "micro": ("warn", "Micro-divergence: diverged and recovered"),
    "full": ("bad", "Full divergence: the model is unusable"),
}
"""Tone and text for each verdict of a run."""
STATUS_BADGES: Mapping[str, tuple[Tone, str]] = {
    "done": ("good", "Finished"),
    "running": ("calm", "Running"),
    "diverged": ("bad", "Stopped: training diverged"),
    "refused": ("bad", "Finished, but the export was refused"),
    "preempted": ("warn", "Preempted; can be resumed"),
    "interrupted": ("warn", "Interrupted; can be resumed"),
    "failed": ("bad", "Failed"),
}
"""Tone and text for each status of a run."""
_NO_EXPORT_REASONS: Mapping[str, str] = {
    "running": "Nothing has been exported yet because the run has not finished.",
    "diverged": "Nothing was exported: a model that diverged is never published.",
    "refused": "Nothing was exported: the model did not pass the checks before export.",
    "preempted": "Nothing has been exported yet because the run was preempted. It can be resumed.",
    "interrupted": "Nothing has been exported yet because the run was interrupted. It can be resumed.",
    "failed": "Nothing was exported because the run failed.",
}


def make_header(run: RunRecord, figures: RunFigures) -> str:
    """Makes the top of the page."""
    verdict = _choose_badge("Verdict", VERDICT_BADGES, run.divergence.get("verdict"), "No verdict yet")
    status = _choose_badge("Status", STATUS_BADGES, run.status.get("status"), "Status unknown")
    badges = make_badge(*verdict) + make_badge(*status, minor=True)
    narrative = make_paragraph(" ".join(write_narrative(figures.history)), "narrative")
    paragraphs = [*write_summary(run), describe_leaks(run), describe_skipped_days(run), describe_bottleneck(run)]
    text = "".join(make_paragraph(paragraph) for paragraph in paragraphs)
    return f'<header><h1>{escape(run.title)}</h1><div class="badges">{badges}</div>{narrative}{text}</header>'


def write_summary(run: RunRecord) -> list[str]:
    """Writes paragraphs about the training, the quality of the ranker, the export and the run's last message."""
    first = [sentence for sentence in (_describe_training(run), _describe_quality(run)) if sentence]
    message = str(run.status.get("message") or "")
    return [" ".join(first), _describe_export(run), *([f"Last message of the run: {message}"] if message else [])]


def _choose_badge(name: str, badges: Mapping[str, tuple[Tone, str]], value: Any, missing: str) -> tuple[Tone, str]:
    if value is None:
        return "calm", missing
    return badges.get(str(value), ("calm", f"{name}: {value}"))


def _describe_training(run: RunRecord) -> str:
    kinds = [str(task.get("kind", "")) for task in run.tasks]
    by_kind = join_words([f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)])
    ranker = f"a ranker for {pluralize(len(kinds), 'task')} ({by_kind})" if kinds else "a ranker"
    steps = find_last_step(run)
    if not steps:
        return f"This run was started to train {ranker}. It recorded no steps."
    data = run.config.get("data")
    batch_size = data.get("batch_size") if isinstance(data, Mapping) else None
    rows = f" (about {format_count(steps * batch_size)} rows)" if is_finite(batch_size) else ""
    seconds = run.status.get("seconds")
    duration = f" in {format_duration(seconds)}" if is_finite(seconds) else ""
    return f"This run trained {ranker} for {pluralize(steps, 'step')}{rows}{duration}."


def _describe_quality(run: RunRecord) -> str:
    lines = select_judging_lines(run.evaluation)
    if not lines:
        return "The ranker has not been evaluated."
    days = f"On {describe_judging_days(lines)}"
    scores = compute_scores(run.tasks, run.evaluation)
    nonfinite = [score.task for score in scores if score.result is not None and not math.isfinite(score.result)]
    if nonfinite:
        return f"{days}, the results for {join_words(nonfinite)} are not finite."
    shares = {score.task: score.gap_closed for score in scores if score.gap_closed is not None}
    at_chance = [task for task, share in shares.items() if share <= 0]
    if at_chance:
        tasks = "any task" if len(at_chance) == len(scores) > 1 else join_words(at_chance)
        return f"{days}, the ranker is no better than chance for {tasks}."
    if shares:
        low, high = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
        closed = f"{format_gap_share(shares[low])} ({low})"
        closed += f" to {format_gap_share(shares[high])} ({high})" if high != low else ""
        return (
            f"{days}, the ranker closes {closed} of the gap between chance and the ceiling, the best result that any "
            "ranker can reach on this log."
        )
    loss = compute_weighted_mean(lines, "loss")
    return f"{days}, the ranker has a loss of {format_decimal(loss)}." if loss is not None else ""


def _describe_export(run: RunRecord) -> str:
    if run.status.get("export"):
        return f"SavedModel for serving: {run.status['export']}"
    return _NO_EXPORT_REASONS.get(str(run.status.get("status")), "Nothing was exported.")
