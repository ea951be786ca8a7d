"""The step around an incident: what was published just before it, with it and after it, side by side."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .incidents import Incident
from .series import is_finite, is_number, number

Line = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Cell:
    """A value at one publication, and a remark of a few words on it; None where nothing is known."""

    value: float | None
    remark: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """One measure: its name, what belongs to it, and a cell for each publication."""

    name: str
    subject: str
    cells: tuple[Cell, ...]


@dataclasses.dataclass(frozen=True)
class Around:
    """The publications around an incident.

    Attributes:
      spans: First and last step of each publication; None where there is none.
      rows: What they say. Never empty.
    """

    spans: tuple[tuple[int, int] | None, ...]
    rows: tuple[Row, ...]


def around(train: Sequence[Line], incident: Incident, tasks: Sequence[str]) -> Around | None:
    """The publications before, at and after the first step of ``incident``; None when no line holds that step.

    Args:
      train: Lines of metrics in the order written.
      incident: What they are looked up for.
      tasks: The run's tasks; those that the incident befell come first.
    """
    lines = [line for line in train if is_finite(line.get("step"))]
    place = next((place for place, line in enumerate(lines) if line["step"] >= incident.first), None)
    if place is None:
        return None
    places = range(place - 1, place + 2)
    seen = [lines[one] if 0 <= one < len(lines) else None for one in places]
    struck = [task for task in incident.tasks if task in tasks]
    ordered = [*struck, *(task for task in tasks if task not in struck)]
    rows = [
        *(_loss(task, seen) for task in ordered or [""]),
        *_norms(seen),
        _smallest_factor(seen),
        *(_row("Dead units", layer, seen, f"dead_units/{layer}") for layer in _shared(lines[place])),
    ]
    known = tuple(row for row in rows if any(cell.value is not None for cell in row.cells))
    if not known:
        return None
    spans = tuple(None if line is None else _span(lines, one) for one, line in zip(places, seen, strict=True))
    return Around(spans, known)


def _span(lines: Sequence[Line], place: int) -> tuple[int, int]:
    """First and last step of a publication; after a resume, lines may go back to steps that were published before."""
    before, last = (int(lines[place - 1]["step"]) if place else 0), int(lines[place]["step"])
    return min(before + 1, last), last


def _loss(task: str, seen: Sequence[Line | None]) -> Row:
    suffix = f"/{task}" if task else ""
    cells = []
    for line in seen:
        highest = _value(line, f"loss_max{suffix}")
        at = _value(line, f"loss_max_step{suffix}")
        where = f" at step {at:.0f}" if is_finite(at) else ""
        cells.append(Cell(_value(line, f"loss{suffix}"), "" if highest is None else f"up to {highest:.4g}{where}"))
    return Row("Loss", task, tuple(cells))


def _norms(seen: Sequence[Line | None]) -> list[Row]:
    """Gradient and step of the layer whose gradient grew most; without such a layer, the gradient of the whole model."""
    prefix = "norm/gradient/"
    before, at, _ = seen
    growth = {}
    for key in at or ():
        value, usual = _value(at, key), _value(before, key)
        if key.startswith(prefix) and value is not None and usual is not None and usual > 0:
            growth[key.removeprefix(prefix)] = value / usual if math.isfinite(value) else math.inf
    layer = max(growth, key=growth.__getitem__, default="")
    # Where a rollback put the layers' records back, their norms are those of before it.
    if growth.get(layer, 0.0) <= 1:
        return [_row("Largest gradient norm", "of the whole model", seen, "norm/gradient")]
    return [
        _row("Largest gradient norm", layer, seen, f"{prefix}{layer}"),
        _row("Largest step norm", layer, seen, f"norm/update/{layer}"),
    ]


def _smallest_factor(seen: Sequence[Line | None]) -> Row:
    prefix = "clipping_factor/"
    cells = []
    for line in seen:
        factors = {
            key.removeprefix(prefix): number(value)
            for key, value in (line or {}).items()
            if key.startswith(prefix) and is_number(value)
        }
        # One that is not finite is the worst of all.
        layer = min(factors, key=lambda layer: factors[layer] if math.isfinite(factors[layer]) else -1.0, default="")
        cells.append(Cell(factors.get(layer), layer))
    return Row("Smallest clipping factor", "of all layers", tuple(cells))


def _shared(line: Line) -> list[str]:
    prefix = "dead_units/"
    return [key.removeprefix(prefix) for key in line if key.startswith(f"{prefix}shared")]


def _row(name: str, subject: str, seen: Sequence[Line | None], key: str) -> Row:
    return Row(name, subject, tuple(Cell(_value(line, key)) for line in seen))


def _value(line: Line | None, key: str) -> float | None:
    value = None if line is None else line.get(key)
    return number(value) if is_number(value) else None
