"""The events that the detector reports, and the evidence for them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...foundation.run_terms import EventKind


class Evidence(NamedTuple):
    """The evidence for an event.

    Attributes:
      text: The measurement, as a phrase without a final period.
      values: The numbers in the text, by name; all finite.

    Example:
    >>> Evidence.of("AUC 0.5 (was 0.75)", auc=0.5, usual=0.75).values
    {'auc': 0.5, 'usual': 0.75}
    """

    text: str
    values: Mapping[str, float]

    @classmethod
    def of(cls, text: str, **values: float) -> Evidence:
        """Makes evidence without the values that are not finite, because JSON cannot represent them."""
        return cls(text, {name: float(value) for name, value in values.items() if math.isfinite(value)})

    def with_context(self, context: str, **values: float) -> Evidence:
        """Returns the evidence with a phrase before the text and more values."""
        return Evidence.of(f"{context}: {self.text}", **self.values, **values)


@dataclasses.dataclass(frozen=True)
class Event:
    """An event during training.

    | kind | when | keys of ``values`` |
    |---|---|---|
    | ``spike`` | the loss of one or a few steps is far above its usual range | ``loss``, ``usual`` and ``spread`` (median loss and deviation of single steps); ``normalized_loss`` and ``usual_normalized_loss``, unless the labels explain the spike; ``explained`` (1 if the labels explain it, else 0); ``count`` instead of ``loss`` if the loss is not finite (number of such steps) |
    | ``out_of_range`` | a task leaves its range | ``loss``, with ``normalized_loss`` or ``usual``; or ``normalized_loss`` with ``usual_normalized_loss``; or ``auc`` with ``usual`` |
    | ``micro_divergence`` | the task returns to its range | ``since`` (first step out of range) |
    | ``full_divergence`` | the task stays out of range, or weights are not finite | as ``out_of_range``, and ``since``; ``held_out`` (1) if held-out data shows it; for weights, ``since`` and ``count`` (layers) |
    | ``recovery`` | the task returns to its range after a full divergence, or all weights are finite again | ``since`` |
    | ``feature_shift`` | an input feature leaves its usual range | ``value`` and ``usual``; ``count`` (features that shifted) |
    | ``nonfinite_values`` | the output of a layer is not finite | |
    | ``dead_layer`` | almost all units of a layer are 0 for every row | ``dead_share`` |
    | ``over_clipping`` | the rule has almost stopped a layer for a long time: training is stable but learns nothing | ``clipping_factor``, ``count`` (publications) |
    | ``chance`` | the final model predicts no better than a constant | |
    | ``nonfinite`` | training cannot continue because numbers are not finite | |
    | ``rollback`` | the monitor restored healthy weights | ``restored_step``, ``learning_rate_factor`` (of the original rate), ``warmup_steps``, ``count``, ``max_rollbacks`` |
    | ``no_rollback`` | a rollback was due but not possible | |

    Attributes:
      step: The training step, counted from 1. For an event that only published metrics show, the step of the
        publication.
      kind: See the table.
      task: The task; empty for the whole model.
      evidence: The measurement, in plain English.
      layer: The layer, if known.
      feature: For a ``feature_shift``, the feature that moved furthest. For other events, a feature that shifted
        shortly before.
      values: The numbers in the evidence, all finite; see the table.

    Example:
    >>> print(Event(812, "spike", "click", "loss 35.2 (usual 3.7 ± 1.9)"))
    step 812 [click] spike: loss 35.2 (usual 3.7 ± 1.9)
    """

    step: int
    kind: EventKind
    task: str
    evidence: str
    layer: str = ""
    feature: str = ""
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        subject = self.task or self.layer or (self.feature if self.kind == "feature_shift" else "") or "model"
        return f"step {self.step:,} [{subject}] {self.kind.replace('_', ' ')}: {self.evidence}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as plain types, as ``divergence.json`` holds them."""
        return dataclasses.asdict(self) | {"values": dict(self.values)}


def format_number(value: float) -> str:
    """Formats a measurement with three digits.

    Example:
    >>> format_number(35.24), format_number(0.06115), format_number(12345.6)
    ('35.2', '0.0612', '12,346')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"


def join_sentences(*sentences: str) -> str:
    """Joins phrases to sentences. A single phrase stays a phrase.

    Example:
    >>> join_sentences("loss 9"), join_sentences("loss 9", "The labels are unusual")
    ('loss 9', 'loss 9. The labels are unusual.')
    """
    phrases = [sentence.removesuffix(".") for sentence in sentences if sentence]
    return ". ".join(phrases) + "." * (len(phrases) > 1)
