"""The context of an incident: the publications just before it, at its first step and just after it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ....foundation.metric_key import MetricKey
from .incidents import Incident
from .numbers import is_finite, is_number, to_float

Line = Mapping[str, Any]
"""A line of ``metrics/train.jsonl``."""


@dataclasses.dataclass(frozen=True)
class ContextCell:
    """A value at one publication; None if unknown.

    Attributes:
      value: The value.
      maximum: Largest value of a single step, for a loss.
      maximum_step: The step of the maximum.
      layer: The layer with this value, if the value is the smallest of all layers.
    """

    value: float | None
    maximum: float | None = None
    maximum_step: float | None = None
    layer: str = ""


@dataclasses.dataclass(frozen=True)
class ContextRow:
    """A measure: its name, its task or layer, one cell for each publication, and whether it is a share."""

    name: str
    subject: str
    cells: tuple[ContextCell, ...]
    is_share: bool = False


@dataclasses.dataclass(frozen=True)
class IncidentContext:
    """The three publications around the first step of an incident.

    Attributes:
      spans: First and last step of each publication; None for a missing publication.
      rows: The measures. Never empty.
    """

    spans: tuple[tuple[int, int] | None, ...]
    rows: tuple[ContextRow, ...]


def find_incident_context(train: Sequence[Line], incident: Incident, tasks: Sequence[str]) -> IncidentContext | None:
    """Finds the publications before, at and after the first step of an incident.

    Args:
      train: Lines of metrics, in the order written.
      incident: The incident.
      tasks: The run's tasks. Diverged tasks come first in the result.

    Returns:
      The context, or None if no line covers the step.
    """
    lines = [line for line in train if is_finite(line.get("step"))]
    index = next((index for index, line in enumerate(lines) if line["step"] >= incident.first_step), None)
    if index is None:
        return None
    indices = range(index - 1, index + 2)
    publications = [lines[position] if 0 <= position < len(lines) else None for position in indices]
    diverged = [task for task in incident.tasks if task in tasks]
    ordered = [*diverged, *(task for task in tasks if task not in diverged)]
    rows = [
        *(_make_loss_row(task, publications) for task in ordered or [""]),
        *_make_norm_rows(publications),
        _make_smallest_factor_row(publications),
        *(
            _make_row("Dead units", layer, publications, f"dead_units/{layer}", is_share=True)
            for layer in _list_subjects(lines[index], "dead_units")
            if layer.startswith("shared")
        ),
    ]
    known = tuple(row for row in rows if any(cell.value is not None for cell in row.cells))
    if not known:
        return None
    spans = (
        None if line is None else _find_span(lines, position)
        for position, line in zip(indices, publications, strict=True)
    )
    return IncidentContext(tuple(spans), known)


def _find_span(lines: Sequence[Line], index: int) -> tuple[int, int]:
    """Returns the first and last step of a publication. After a resume, lines may repeat steps."""
    previous, last = (int(lines[index - 1]["step"]) if index else 0), int(lines[index]["step"])
    return min(previous + 1, last), last


def _make_loss_row(task: str, publications: Sequence[Line | None]) -> ContextRow:
    cells = []
    for line in publications:
        maximum = _read_value(line, str(MetricKey("loss_max", task)))
        step = _read_value(line, str(MetricKey("loss_max_step", task)))
        loss = _read_value(line, str(MetricKey("loss", task)))
        cells.append(ContextCell(loss, maximum, step if is_finite(step) else None))
    return ContextRow("Loss", task, tuple(cells))


def _make_norm_rows(publications: Sequence[Line | None]) -> list[ContextRow]:
    """Makes the rows of the layer whose gradient grew most.

    If no gradient grew, makes the row of the whole model's gradient.
    """
    previous, current, _ = publications
    growth = {}
    for layer in _list_subjects(current, "norm/gradient"):
        value, usual = (_read_value(line, f"norm/gradient/{layer}") for line in (current, previous))
        if value is not None and usual is not None and usual > 0:
            growth[layer] = value / usual if math.isfinite(value) else math.inf
    layer = max(growth, key=growth.__getitem__, default="")
    # After a rollback, the publication covers the norms from before the incident, so none has grown.
    if growth.get(layer, 0.0) <= 1:
        return [_make_row("Largest gradient norm", "whole model", publications, "norm/gradient")]
    return [
        _make_row("Largest gradient norm", layer, publications, f"norm/gradient/{layer}"),
        _make_row("Largest update norm", layer, publications, f"norm/update/{layer}"),
    ]


def _make_smallest_factor_row(publications: Sequence[Line | None]) -> ContextRow:
    cells = []
    for line in publications:
        layers = _list_subjects(line, "clipping_factor")
        factors = {layer: _read_value(line, f"clipping_factor/{layer}") for layer in layers}
        known = {layer: factor for layer, factor in factors.items() if factor is not None}
        # A factor that is not finite is worse than any other.
        layer = min(known, key=lambda layer: known[layer] if math.isfinite(known[layer]) else -1.0, default="")
        cells.append(ContextCell(known.get(layer), layer=layer))
    return ContextRow("Smallest clipping factor", "all layers", tuple(cells))


def _list_subjects(line: Line | None, kind: str) -> list[str]:
    """Lists the subjects of a line's metrics of one kind."""
    keys = [MetricKey.parse(key) for key in line or {}]
    return [key.subject for key in keys if key.kind == kind and key.subject]


def _make_row(
    name: str, subject: str, publications: Sequence[Line | None], key: str, *, is_share: bool = False
) -> ContextRow:
    return ContextRow(name, subject, tuple(ContextCell(_read_value(line, key)) for line in publications), is_share)


def _read_value(line: Line | None, key: str) -> float | None:
    value = None if line is None else line.get(key)
    return to_float(value) if is_number(value) else None
