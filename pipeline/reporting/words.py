"""The report's plain text: numbers as a reader writes them, and the sentences at the top of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .record import RunRecord
from .scores import Score, judging_lines, scores, weighted_mean
from .series import is_finite, is_number, number

UNKNOWN = "\N{EN DASH}"
"""Stands where a value is not known."""
VERDICTS = {
    "healthy": ("good", "Healthy: no divergence"),
    "micro": ("warn", "Micro-divergence: diverged and came back"),
    "full": ("bad", "Full divergence: the model is lost"),
}
STATUSES = {
    "done": ("good", "Finished"),
    "running": ("calm", "Still running"),
    "diverged": ("bad", "Stopped by divergence"),
    "preempted": ("warn", "Preempted, can be resumed"),
    "failed": ("bad", "Failed"),
}


def verdict(run: RunRecord) -> tuple[str, str]:
    """Tone (``good``, ``warn``, ``bad`` or ``calm``) and words of the verdict's badge."""
    return _badge("Verdict", VERDICTS, run.divergence.get("verdict"), "Not judged yet")


def state(run: RunRecord) -> tuple[str, str]:
    """Tone and words of the badge that says how the run ended."""
    return _badge("Status", STATUSES, run.status.get("status"), "Status unknown")


def summary(run: RunRecord) -> list[str]:
    """What the page says of the run as a whole, as paragraphs of plain text; :func:`.story.story` says what happened to it.

    The first says what was trained and how good it is; the second where the export is, or why there is none; the third,
    if the run left a message, what it said.
    """
    found = (_trained(run), _quality(run))
    message = str(run.status.get("message") or "")
    said = [f"Last message of the run: {message}"] if message else []
    return [" ".join(sentence for sentence in found if sentence), _exported(run), *said]


def last_step(run: RunRecord) -> int:
    """The last step that anything is known of."""
    steps = [run.status.get("step"), *(line.get("step") for line in (*run.train, *run.evaluation))]
    return int(max((number(step) for step in steps if is_finite(step)), default=0))


def event_list(run: RunRecord) -> list[dict[str, Any]]:
    """The divergence events, in the order recorded."""
    return [event for event in run.divergence.get("events") or [] if isinstance(event, dict)]


def count(value: Any) -> str:
    """A whole number with thousands set apart; an en dash for what is not a number."""
    if not is_number(value):
        return UNKNOWN
    return f"{number(value):,.0f}" if math.isfinite(number(value)) else "not finite"


def decimal(value: float | None, places: int | None = None) -> str:
    """A number with ``places`` decimals, or with four significant digits; an en dash for None."""
    if value is None:
        return UNKNOWN
    if not math.isfinite(value):
        return f"not finite ({value})"
    if places is not None:
        text = f"{value:.{places}f}"
    else:
        # Zeros at the end are digits too, as long as no exponent is needed.
        text = f"{value:#.4g}".rstrip(".") if 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"
    return text.replace("e+", "e").replace("-", "\N{MINUS SIGN}")


def measured(score: Score, value: float | None) -> str:
    """A value of the score's measure: AUC with four decimals, RMSE with four significant digits."""
    return decimal(value, 4 if score.measure == "AUC" else None)


def percent(share: float) -> str:
    """A share in percent, without decimals; far outside the scale only the side is told."""
    return f"{100 * share:.0f} %".replace("-", "\N{MINUS SIGN}") if -1 <= share <= 10 else "off the scale"


def fine_percent(share: float) -> str:
    """A share in percent with the decimals that a small one needs: ``34 %``, ``0.8 %``, ``0.02 %``, ``less than 0.01 %``."""
    size = 100 * share
    if not 0 < size < 9.95:
        return percent(share)
    if size < 0.01:
        return "less than 0.01 %"
    return f"{size:.{1 if size >= 0.095 else 2}f} %"


def duration(seconds: float) -> str:
    """Seconds as ``42 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def plural(number_of: int, noun: str) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{number_of:,} {noun}" if number_of == 1 else f"{number_of:,} {noun}s"


def _badge(what: str, known: dict[str, tuple[str, str]], value: Any, missing: str) -> tuple[str, str]:
    if value is None:
        return "calm", missing
    return known.get(str(value), ("calm", f"{what}: {value}"))


def _trained(run: RunRecord) -> str:
    steps = last_step(run)
    seconds = run.status.get("seconds")
    kinds = [str(task.get("kind", "")) for task in run.tasks]
    by_kind = listed([f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)])
    ranker = f"A ranker for {plural(len(kinds), 'task')} ({by_kind})" if kinds else "A ranker"
    if not steps:
        return f"{ranker} was to be trained; the run has recorded no step."
    batch = run.config.get("data", {}).get("batch_size") if isinstance(run.config.get("data"), dict) else None
    rows = f", about {count(steps * batch)} rows" if is_finite(batch) else ""
    took = f", in {duration(seconds)}" if is_finite(seconds) else ""
    return f"{ranker} was trained for {plural(steps, 'step')}{rows}{took}."


def _quality(run: RunRecord) -> str:
    lines = judging_lines(run.evaluation)
    if not lines:
        return "It has not been evaluated."
    where = f"On {judged_days(lines)} it"
    found = scores(run.tasks, run.evaluation)
    broken = [score.task for score in found if score.reached is not None and not math.isfinite(score.reached)]
    if broken:
        return f"{where} gives no finite result for {listed(broken)}."
    shares = {score.task: score.share for score in found if score.share is not None}
    lost = [task for task, share in shares.items() if share <= 0]
    if lost:
        which = "any task" if len(lost) == len(found) > 1 else listed(lost)
        return f"{where} is no better than chance in {which}."
    if shares:
        low, high = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
        way = f"{percent(shares[low])} ({low})"
        way += f" to {percent(shares[high])} ({high})" if high != low else ""
        return (
            f"{where} goes {way} of the way from chance to the ceiling, the best that any ranker can reach on this log."
        )
    loss = weighted_mean(lines, "loss")
    return f"{where} reaches a loss of {decimal(loss)}." if loss is not None else ""


def judged_days(lines: Sequence[Any]) -> str:
    """The days of the :func:`judging_lines` in words: ``the held-out day 11 (65,536 rows)``."""
    held_out = lines[0].get("kind") == "holdout"
    names = [str(line.get("day", "without a name")) for line in lines]
    rows = [line.get("rows") for line in lines]
    total = f" ({count(sum(rows))} rows)" if all(is_number(value) for value in rows) else ""
    few = listed(names) if len(names) <= 3 else f"{names[0]} to {names[-1]}"
    if held_out:
        return f"the held-out day{'s' * (len(names) > 1)} {few}{total}"
    return f"the last day evaluated before training on it, {few}{total},"


def _exported(run: RunRecord) -> str:
    if run.status.get("export"):
        return f"The SavedModel for serving: {run.status['export']}"
    return {
        "running": "Nothing has been exported so far: the run is not finished.",
        "diverged": "Nothing was exported: a model that diverged is never published.",
        "preempted": "Nothing has been exported so far: the run was preempted and can be resumed.",
        "failed": "Nothing was exported: the run failed.",
    }.get(str(run.status.get("status")), "Nothing was exported.")
