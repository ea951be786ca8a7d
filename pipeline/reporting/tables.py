"""The report's tables, as HTML text. Whatever comes from the run is escaped here."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .scores import Score
from .series import Series
from .words import UNKNOWN, count, decimal, measured, percent


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
    return _table(heads, rows, "tasks")


def events_table(events: Sequence[Mapping[str, Any]]) -> str:
    """A row a divergence event, numbered as the marks in the figures are."""
    rows = [
        f'<tr><td class="number">{place}</td><td class="number">{count(event.get("step"))}</td>'
        f"<td>{escaped(event.get('kind') or UNKNOWN)}</td><td>{escaped(event.get('task') or 'whole run')}</td>"
        f"<td>{escaped(_plain(event.get('evidence')))}</td></tr>"
        for place, event in enumerate(events, start=1)
    ]
    return _table(["No.", "Step", "Kind", "Task", "Evidence"], rows, "events")


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
    return _table(["Layer", "Smallest factor", "At step", "Clipped steps"], rows, "layers")


def config_table(config: Mapping[str, Any]) -> str:
    """A row a setting, by its dotted name: the name that overrides it on the command line."""
    rows = [
        f'<tr><th scope="row"><code>{escaped(name)}</code></th><td>{escaped(value)}</td></tr>'
        for name, value in _flat(config)
    ]
    return _table(["Setting", "Value"], rows, "config")


def _table(heads: Sequence[str], rows: Sequence[str], kind: str) -> str:
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
