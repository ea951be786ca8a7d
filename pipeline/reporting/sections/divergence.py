"""The section about incidents, spikes and the publications around the first divergence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ....foundation.formatting import format_percent, pluralize
from ..analysis.incident_context import ContextCell, ContextRow, IncidentContext, find_incident_context
from ..analysis.incidents import Incident, Severity
from ..page_layout import escape, make_details, make_number_cell, make_paragraph, make_section, make_table
from ..record import RunRecord
from ..report_text import UNKNOWN, capitalize_first, format_count, format_decimal, format_plain, format_steps
from .narrative import describe_outcome, describe_spikes
from .run_figures import RunFigures

_SEVERITY_TITLES: dict[Severity, str] = {
    "full": "Full divergence",
    "range": "Out of range",
    "rollback": "Rollback",
}
_NOTE_TITLES = {
    "over_clipping": "steps clipped to almost nothing",
    "dead_layer": "dead layer",
    "feature_shift": "feature shift",
    "nonfinite_values": "output not finite",
    "no_rollback": "no rollback possible",
}


def make_divergence_section(run: RunRecord, figures: RunFigures) -> str:
    """Makes the section."""
    events, history = run.events, figures.history
    if not events:
        has_verdict = run.divergence.get("verdict") is not None
        return make_section("Divergence", make_paragraph("No events." if has_verdict else "No events so far."))
    parts = []
    if history.incidents:
        parts.append(make_paragraph("In the figures, the numbers of these incidents are above the vertical marks."))
        parts.append(_make_incidents_table(history.incidents))
    parts += [make_paragraph(sentence, "after") for sentence in describe_spikes(history.spikes)]
    parts.append(make_details(f"All {pluralize(len(events), 'event')} as recorded", _make_events_table(events)))
    return make_section("Divergence", "".join(parts) + _make_context(run, figures))


def _make_incidents_table(incidents: Sequence[Incident]) -> str:
    rows = []
    for number, incident in enumerate(incidents, start=1):
        tasks = [escape(task or "whole run") for task in incident.tasks]
        names = [event.layer for event in incident.events] + [event.feature for event in incident.events]
        layers_and_features = [f"<code>{escape(name)}</code>" for name in dict.fromkeys(names) if name]
        outcome = " ".join(describe_outcome(incident)) if incident.is_divergence else ""
        outcome = f"<small>{escape(outcome)}</small>" if outcome else ""
        rows.append(
            f"<tr>{make_number_cell(str(number))}{make_number_cell(format_steps(incident.first_step, incident.last_step))}"
            f"<td><strong>{escape(_make_title(incident))}</strong>{outcome}</td>"
            f"<td>{', '.join([*tasks, *layers_and_features]) or 'whole run'}</td>"
            f"<td>{escape(_describe_first_evidence(incident))}</td></tr>"
        )
    heads = ["No.", "Steps", "What happened", "Tasks, layers, features", "First evidence"]
    return make_table(heads, rows, "incidents")


def _make_title(incident: Incident) -> str:
    if incident.severity in _SEVERITY_TITLES:
        return _SEVERITY_TITLES[incident.severity]
    kinds = dict.fromkeys(event.kind for event in incident.events)
    return capitalize_first(", ".join(_NOTE_TITLES.get(kind, kind) or UNKNOWN for kind in kinds))


def _describe_first_evidence(incident: Incident) -> str:
    first = incident.events[0]
    feature = f"{first.feature}: " if first.kind == "feature_shift" else ""
    return feature + format_plain(first.evidence)


def _make_events_table(events: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for event in events:
        subject = event.get("task") or event.get("layer") or event.get("feature") or "whole run"
        rows.append(
            f"<tr>{make_number_cell(format_count(event.get('step')))}<td>{escape(event.get('kind') or UNKNOWN)}</td>"
            f"<td>{escape(subject)}</td><td>{escape(format_plain(event.get('evidence')))}</td></tr>"
        )
    return make_table(["Step", "Kind", "Task, layer or feature", "Evidence"], rows, "events")


def _make_context(run: RunRecord, figures: RunFigures) -> str:
    """Makes the part about the publications around the first divergence; empty without a divergence or publications."""
    divergences = figures.history.divergences
    context = find_incident_context(run.train, divergences[0], run.task_names) if divergences else None
    if context is None:
        return ""
    incident = divergences[0]
    text = (
        "Losses are means over the steps between two publications. Norms and dead units are the largest values of these steps, "
        "and clipping factors are the smallest."
    )
    rollbacks = incident.select("rollback")
    spans = [span for span in context.spans if span is not None]
    if rollbacks and spans[-1][1] > rollbacks[0].step:
        text += f" The run rolled back to earlier weights at step {format_count(rollbacks[0].step)}."
    title = f"<h3>Around step {format_count(incident.first_step)}</h3>"
    return f"{title}{make_paragraph(text)}{_make_context_table(context)}"


def _make_context_table(context: IncidentContext) -> str:
    titles = ("Before", "At the first step", "After")
    spans = ["none" if span is None else f"steps {format_steps(*span)}" for span in context.spans]
    heads = ["Measure", *(f"{title}<small>{span}</small>" for title, span in zip(titles, spans, strict=True))]
    rows = []
    for row in context.rows:
        cells = "".join(make_number_cell(_format_cell(row, cell), _write_remark(cell)) for cell in row.cells)
        rows.append(f'<tr><th scope="row">{row.name}<small>{escape(row.subject)}</small></th>{cells}</tr>')
    return make_table(heads, rows, "context")


def _format_cell(row: ContextRow, cell: ContextCell) -> str:
    if row.is_share and cell.value is not None and math.isfinite(cell.value):
        return format_percent(cell.value)
    return format_decimal(cell.value)


def _write_remark(cell: ContextCell) -> str:
    if cell.maximum is None:
        return cell.layer
    step = f" at step {format_count(cell.maximum_step)}" if cell.maximum_step is not None else ""
    return f"max. {format_decimal(cell.maximum)}{step}"
