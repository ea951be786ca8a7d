"""Finds features that alone predict a label. Such a feature is usually recorded after the outcome, so it is a leak.

Shapes: R sampled rows, K distinct values of a feature.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ....foundation.auc import auc_standard_error
from ....models.schema import Schema, Task
from ..columns import EncodedColumns
from .feature_codes import FeatureCodes, encode_feature
from .single_feature import compute_best_auc, compute_best_correlation

MIN_CLASS_ROWS = 20
"""Rows of each class that the check of a binary task needs."""
MIN_REGRESSION_ROWS = 100
"""Rows with a label that the check of a regression needs."""
MAX_AUC, MAX_CORRELATION = 0.98, 0.99
# The AUC must exceed MAX_AUC, and its lower bound of two standard errors must exceed this. With few positives, an
# honest feature may exceed MAX_AUC by chance.
_MIN_LOWER_BOUND = 0.96
# The rows in which a feature is present (missing, zero, not zero, one value) are a leak if almost all of them are positive, and
# this is neither chance (natural logarithm of the probability) nor close to the share of positives among all rows.
_MIN_SHARE, _MAX_LOG_CHANCE, _MAX_NEGATIVE_RATIO = 0.99, -14.0, 0.1
# The rows of a single value, such as an item of a bag, must also hold this share of all positives. Without this, some
# users or items with few rows would count, because all of their rows are positive.
_MIN_VALUE_COVERAGE = 0.05
# A regression label whose smallest value is this frequent also stands for an event: the label is above that value.
_MIN_EVENT_SHARE = 0.05
# Unusual, so that the halves do not depend on labels that were drawn with a common seed.
_SEED = 1_618_033_988


@dataclasses.dataclass(frozen=True)
class Leak:
    """A feature that alone predicts a task.

    Attributes:
      feature: The feature's name.
      task: The task's name.
      measure: ``auc``, ``rank_correlation``, or ``share``: the share of positives where the feature is present, missing,
        zero, not zero, or has (or has not) one certain value.
      value: The value of the measure.
      text: A sentence with the feature, the task and the number.
    """

    feature: str
    task: str
    measure: str
    value: float
    text: str

    def __str__(self) -> str:
        return self.text


@dataclasses.dataclass(frozen=True)
class LeakReport:
    """The result of the check.

    Attributes:
      rows: Number of sampled rows.
      leaks: At most one leak for each feature, the one with the largest value.
      unchecked: Why a task was not checked, by the task's name.
    """

    rows: int
    leaks: tuple[Leak, ...]
    unchecked: Mapping[str, str]

    def to_lines(self) -> list[str]:
        """Formats the leaks and the unchecked tasks as one line each."""
        lines = [
            f"Possible leak: {leak}. Remove the feature from the schema unless its value is known before the outcome."
            for leak in self.leaks
        ]
        return lines + [f"Task {task} was not checked for leaks: {reason}." for task, reason in self.unchecked.items()]


def find_leaks(blocks: Sequence[EncodedColumns], schema: Schema) -> LeakReport:
    """Searches a sample for features that alone predict a task.

    A leak is a feature whose values, or whose presence, order the labels of a binary task with an AUC above 0.98, or the
    labels of a regression with a rank correlation above 0.99. A feature that is present (or missing, zero, not zero)
    only where the label is 1 is a leak too, even if it covers few of these rows. So is a feature with a value, such as an
    item of a bag, that occurs only where the label is 1, or with one usual value that it has wherever the label is 0. The values of a category are scored on
    one half of the rows and judged on the other half, so that ids that merely occur once do not count.

    Args:
      blocks: The sampled rows.
      schema: The features and the tasks.

    Example:
    >>> from steadyrank.models import Feature, Schema, Task
    >>> schema = Schema((Feature("revenue", "numerical"),), (Task("bought", "binary"),))
    >>> bought = np.arange(100, dtype=np.float32) % 2
    >>> print(*find_leaks([{"revenue": bought * 9.5, "bought": bought}], schema).leaks)
    revenue alone predicts bought (AUC 1.0000)
    """
    labels = {task.name: _concatenate(blocks, task.label_column) for task in schema.tasks}
    rows = len(next(iter(labels.values())))
    unchecked: dict[str, str] = {}
    targets: list[tuple[Task, str, np.ndarray]] = []
    for task in schema.tasks:
        reason = _find_unchecked_reason(labels[task.name], task)
        if reason:
            unchecked[task.name] = f"{reason} in {rows:,} sampled rows"
        else:
            targets += [(task, *target) for target in _list_targets(labels[task.name], task)]
    half = np.random.default_rng(_SEED).random(rows) < 0.5
    leaks = []
    for feature in schema.features:
        found: list[Leak] = []
        for codes in encode_feature([block[feature.name] for block in blocks], feature) if targets else ():
            for task, outcome, target in targets:
                found += _find_leaks_of(codes, task, outcome, target, half)
        if found:
            leaks.append(max(found, key=lambda leak: (leak.value, leak.measure != "share")))
    return LeakReport(rows, tuple(leaks), unchecked)


def _concatenate(blocks: Sequence[EncodedColumns], name: str) -> np.ndarray:
    return np.concatenate([np.asarray(block[name], np.float64) for block in blocks])


def _find_unchecked_reason(labels: np.ndarray, task: Task) -> str:
    known = labels[np.isfinite(labels)]
    if task.kind == "binary":
        positives = int((known > 0.5).sum())
        counts = {"positive": positives, "negative": len(known) - positives}
        rare = min(counts, key=lambda name: counts[name])
        return "" if counts[rare] >= MIN_CLASS_ROWS else f"it has {counts[rare]} {rare} labels (needs {MIN_CLASS_ROWS})"
    if len(known) < MIN_REGRESSION_ROWS:
        return f"it has {len(known)} labels (needs {MIN_REGRESSION_ROWS})"
    return "all its labels are equal" if known.min() == known.max() else ""


def _list_targets(labels: np.ndarray, task: Task) -> Iterator[tuple[str, np.ndarray]]:
    """Yields what a feature may give away: the outcome in words, and a number or NaN for each row, ``[R]``."""
    if task.kind == "binary":
        yield "binary", np.where(np.isfinite(labels), labels > 0.5, np.nan)
        return
    yield "regression", labels
    known = labels[np.isfinite(labels)]
    lowest = known.min()
    count = int((known == lowest).sum())
    if count >= _MIN_EVENT_SHARE * len(known) and min(count, len(known) - count) >= MIN_CLASS_ROWS:
        yield f"{lowest:g}", np.where(np.isfinite(labels), labels > lowest, np.nan)


def _find_leaks_of(
    codes: FeatureCodes, task: Task, outcome: str, target: np.ndarray, half: np.ndarray
) -> Iterator[Leak]:
    """Yields the leaks of one feature, or of one number of a vector, for one target."""
    is_labeled = ~np.isnan(target)
    codes, target, half = codes.select_rows(is_labeled), target[is_labeled], half[is_labeled]
    if outcome == "regression":
        value = compute_best_correlation(codes, target, half)
        if value > MAX_CORRELATION:
            text = f"{codes.name} alone predicts {task.name} (rank correlation {value:.4f})"
            yield Leak(codes.feature, task.name, "rank_correlation", value, text)
        return
    event = task.name if outcome == "binary" else f"whether {task.name} is above {outcome}"
    auc = compute_best_auc(codes, target, half, MIN_CLASS_ROWS)
    if auc.value > MAX_AUC and auc.value - 2 * auc_standard_error(*auc) > _MIN_LOWER_BOUND:
        text = f"{codes.name} alone predicts {event} (AUC {auc.value:.4f})"
        yield Leak(codes.feature, task.name, "auc", auc.value, text)
        return
    base = target.mean()
    min_rows = max(MIN_CLASS_ROWS, int(_MIN_VALUE_COVERAGE * target.sum()))
    # A number may honestly decide the label beyond a threshold, so only values without an order count.
    purest = None if codes.is_ordered else codes.find_purest_value(target, min_rows)
    # The more values a feature has, the more often chance makes one of them look like a leak.
    states = [(*state, 1) for state in codes.list_states()] + ([(*purest, codes.num_codes)] if purest else [])
    for state, is_in_state, num_choices in states:
        count = int(is_in_state.sum())
        share = target[is_in_state].mean() if count else 0.0
        is_rare_negative = 1 - share <= _MAX_NEGATIVE_RATIO * (1 - base)
        if (
            share * count >= MIN_CLASS_ROWS
            and share >= _MIN_SHARE
            and is_rare_negative
            and count * np.log(base) + np.log(num_choices) < _MAX_LOG_CHANCE
        ):
            positive = "1" if outcome == "binary" else f"above {outcome}"
            text = (
                f"{codes.name} {state} {'only' if share == 1 else 'almost only'} where {task.name} is {positive} ({share:.2%} of {count:,} such "
                f"rows, {base:.2%} of all rows)"
            )
            yield Leak(codes.feature, task.name, "share", float(share), text)
