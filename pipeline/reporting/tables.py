"""The report's tables, as HTML text. Whatever comes from the run is escaped here."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from . import story
from .around import Around
from .incidents import Incident
from .scores import Score
from .series import Series
from .words import UNKNOWN, count, decimal, measured, percent

_SEVERITIES = {"full": "Full divergence", "range": "Out of range", "rollback": "Rollback"}
_NOTES = {
    "over_clipping": "steps all but stopped",
    "dead_layer": "dead layer",
    "feature_shift": "feature changed",
    "nonfinite_values": "values not finite",
    "no_rollback": "no rollback possible",
}


def escaped(value: Any) -> str:
    """``value`` as text that is safe anywhere in HTML, attributes included."""
    return html.escape(str(value), quote=True)


def tasks_table(found: Sequence[Score]) -> str:
    """A row a task: what was reached, chance, ceiling and the share of the way between them, with a bar."""
    with_ceiling = any(score.ceiling is not None for score in found)
    heads = ["Task", "Reached", "Chance", *(["Ceiling", "From chance to ceiling"] if with_ceiling else [])]
    rows = []
    for score in found:
        weight = f", weight {_plain(score.weight)}" if score.weight not in (None, 1) else ""
        cells = [
            f'<th scope="row">{escaped(score.task)}<small>{escaped(score.kind)}{escaped(weight)}</small></th>',
            f'<td class="number"><strong>{measured(score, score.reached)}</strong><small>{score.measure}</small></td>',
            f'<td class="number">{measured(score, score.chance)}</td>',
        ]
        if with_ceiling:
            cells += [f'<td class="number">{measured(score, score.ceiling)}</td>', f"<td>{_bar(score.share)}</td>"]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return table(heads, rows, "tasks")


def incidents_table(found: Sequence[Incident]) -> str:
    """A row an incident, numbered as the marks in the figures are."""
    rows = []
    for place, incident in enumerate(found, start=1):
        tasks = [escaped(task or "whole run") for task in incident.tasks]
        named = [e.layer for e in incident.events] + [e.feature for e in incident.events]
        others = [f"<code>{escaped(name)}</code>" for name in dict.fromkeys(named) if name]
        then = story.fate(incident) if incident.serious else ""
        then = f"<small>{escaped(then[:1].upper() + then[1:])}</small>" if then else ""
        rows.append(
            f'<tr><td class="number">{place}</td><td class="number">{_span(incident.first, incident.last)}</td>'
            f"<td><strong>{escaped(_what(incident))}</strong>{then}</td>"
            f"<td>{', '.join([*tasks, *others]) or 'whole run'}</td>"
            f"<td>{escaped(_first_measured(incident))}</td></tr>"
        )
    return table(["No.", "Steps", "What happened", "To whom", "What was first measured"], rows, "incidents")


def events_table(events: Sequence[Mapping[str, Any]]) -> str:
    """A row an event, as recorded."""
    rows = [
        f'<tr><td class="number">{count(event.get("step"))}</td><td>{escaped(event.get("kind") or UNKNOWN)}</td>'
        f"<td>{escaped(event.get('task') or event.get('layer') or event.get('feature') or 'whole run')}</td>"
        f"<td>{escaped(_plain(event.get('evidence')))}</td></tr>"
        for event in events
    ]
    return table(["Step", "Kind", "Task, layer or feature", "Evidence"], rows, "events")


def around_table(found: Around) -> str:
    """A row a measure, a column a publication."""
    titles = ("a: before", "b: with its first step", "c: after")
    spans = ["none" if span is None else f"steps {_span(*span)}" for span in found.spans]
    heads = ["Measure", *(f"{title}<small>{span}</small>" for title, span in zip(titles, spans, strict=True))]
    rows = []
    for row in found.rows:
        cells = "".join(
            f'<td class="number">{decimal(cell.value)}<small>{escaped(cell.remark)}</small></td>' for cell in row.cells
        )
        rows.append(f'<tr><th scope="row">{row.name}<small>{escaped(row.subject)}</small></th>{cells}</tr>')
    return table(heads, rows, "around")


def layers_table(factors: Mapping[str, Series], clipped: Mapping[str, Series]) -> str:
    """A row a layer: the smallest clipping factor, the step it was recorded at, and how many steps were clipped."""
    rows = []
    for layer, series in factors.items():
        finite, broken = series.finite, int((~series.finite).sum())
        smallest = step = UNKNOWN
        if finite.any():
            place = int(np.argmin(np.where(finite, series.values, np.inf)))
            smallest, step = decimal(float(series.values[place])), count(float(series.steps[place]))
        if broken:
            smallest += f" ({broken:,} not finite)"
        steps = clipped.get(layer)
        total = count(float(steps.values[steps.finite].sum())) if steps is not None and steps.steps.size else UNKNOWN
        rows.append(
            f'<tr><th scope="row"><code>{escaped(layer)}</code></th><td class="number">{smallest}</td>'
            f'<td class="number">{step}</td><td class="number">{total}</td></tr>'
        )
    return table(["Layer", "Smallest factor", "At step", "Clipped steps"], rows, "layers")


def config_table(config: Mapping[str, Any]) -> str:
    """A row a setting, by its dotted name: the name that overrides it on the command line."""
    rows = [
        f'<tr><th scope="row"><code>{escaped(name)}</code></th><td>{escaped(value)}</td></tr>'
        for name, value in _flat(config)
    ]
    return table(["Setting", "Value"], rows, "config")


def _first_measured(incident: Incident) -> str:
    first = incident.events[0]
    whose = f"{first.feature}: " if first.kind == "feature_shift" else ""
    return whose + _plain(first.evidence)


def _what(incident: Incident) -> str:
    if incident.severity != "note":
        return _SEVERITIES[incident.severity]
    kinds = dict.fromkeys(event.kind for event in incident.events)
    text = ", ".join(_NOTES.get(kind, kind) or UNKNOWN for kind in kinds)
    return text[:1].upper() + text[1:]


def _span(first: float, last: float) -> str:
    return count(first) if first == last else f"{count(first)}\N{EN DASH}{count(last)}"


def table(heads: Sequence[str], rows: Sequence[str], kind: str) -> str:
    """A table of rows of HTML, under heads of HTML; ``kind`` is its class in the style sheet."""
    head = "".join(f'<th scope="col">{title}</th>' for title in heads)
    # The frame is reachable by keyboard, since it scrolls where the page is narrow.
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _bar(share: float | None) -> str:
    if share is None:
        return f'<span class="share">{UNKNOWN}</span>'
    width = 100 * min(max(share, 0.0), 1.0)
    text = percent(share) if share > 0 else "none of it"
    return f'<span class="bar"><span style="width:{width:.1f}%"></span></span><span class="share">{text}</span>'


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        else:
            yield name, _plain(value)


def _plain(value: Any) -> str:
    """A plain value as a reader writes it: lists with commas, dicts as ``name: value``, JSON's ``true`` and ``false``."""
    if value is None or value == "" or (isinstance(value, (list, tuple, dict)) and not value):
        return UNKNOWN
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float):
        short = f"{value:g}"
        return (short if float(short) == value else repr(value)) if math.isfinite(value) else f"not finite ({value})"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value)
    return str(value)
