"""The report's page: one HTML file that needs no network, readable on a desktop, a phone and paper."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import figures, series, tables, waiting, words
from .around import around
from .data_section import data_section, left_out
from .figures import MARKS, ROLES, Curve, Mark
from .incidents import Happening
from .parts import both, section, side_by_side
from .record import RunRecord
from .scores import judging_lines, scores
from .story import history, spiked, story
from .style import CSS
from .tables import escaped

_ICONS = {
    "good": '<circle cx="8" cy="8" r="7"/><path d="M4.8 8.3l2.3 2.3 4.2-4.7"/>',
    "warn": '<path d="M8 1.6L15 14H1z"/><path d="M8 6.2v3.9M8 11.6v.9"/>',
    "bad": '<path d="M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1z"/><path d="M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2"/>',
    "calm": '<circle cx="8" cy="8" r="7"/><path d="M8 7.2v4.3M8 4.3v1"/>',
}
_KEY = {
    "training": "training, as it went",
    "largest": "loss of a single step far above the mean",
    "progressive": "a day before training on it",
    "holdout": "held-out day",
    "ceiling": "ceiling",
    "chance": "chance",
}
_KEY_OF_MARKS = {
    "spike": "spike of single steps",
    "range": "out of range",
    "full": "full divergence",
    "rollback": "rollback",
    "note": "remark",
}
_DEAD_SHARE = 0.2
_MOST_PANELS = 8
# The browser itself refuses whatever would leave the file.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_AUC_OF_CHANCE = Curve("chance", series.Series(np.zeros(1), np.full(1, 0.5)))


def render(run: RunRecord) -> str:
    """The report of ``run`` as the text of one HTML file; equal records give equal text.

    A record without a single line of metrics gives a page too, and values that are not finite are shown as such.
    """
    draw = _Drawing(run)
    body = "".join(
        (
            _header(run, draw),
            _tasks(run),
            _loss(run, draw),
            _measure(run, draw, "binary", "auc", "AUC", "AUC by task", "Higher is better."),
            _measure(run, draw, "regression", "rmse", "RMSE", "RMSE by task", "In the label's unit; lower is better."),
            _events(run, draw),
            _clipping(draw),
            _dead_units(draw),
            _sharpness(draw),
            data_section(run),
            _speed(run, draw),
            _config(run),
            _footer(run),
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(run.title)}</title><style>{CSS}</style></head><body><main>{body}</main></body></html>\n"
    )


class _Drawing:
    """What all figures of a run share: the end of the step axis and the marks of the events."""

    def __init__(self, run: RunRecord):
        self.train = series.read(run.train)
        self.told = history(run, self.train)
        self._lines = run.train
        self._evaluation = series.read(run.evaluation)
        self._by_kind = {
            kind: series.read(line for line in run.evaluation if line.get("kind") == kind)
            for kind in ("progressive", "holdout")
        }
        events = [event.step for incident in self.told.incidents for event in incident.events]
        self.extent = float(max(self.told.end, *events, *(spike.step for spike in self.told.spikes), 1))

    def marks(self, task: str | None = None) -> list[Mark]:
        """The incidents of ``task`` and of the whole run; without a task, all. What many tasks share is marked once."""

        def concerns(event: Happening) -> bool:
            return not task or not event.task or event.task == task

        found = [Mark(spike.step, "spike") for spike in self.told.spikes if not task or spike.task in ("", task)]
        for place, incident in enumerate(self.told.incidents, start=1):
            events = [event for event in incident.events if concerns(event)]
            # Of each severity the first; of rollbacks, every one.
            first = {event.severity: event for event in reversed(events)}
            chosen = [event for event in events if event.kind == "rollback" or event is first[event.severity]]
            found += [Mark(event.step, event.severity, place) for event in chosen]
        return found

    def curves(self, key: str) -> list[Curve]:
        """``key`` in training, before training on a day, and on held-out days; of a loss, single steps far above it too."""
        found = {"training": self.train, **self._by_kind}
        curves = [Curve(role, metrics.get(key, series.EMPTY)) for role, metrics in found.items()]
        return [*curves, Curve("largest", series.peaks(self._lines, key))] if key.startswith("loss") else curves

    def reference(self, role: str, key: str) -> Curve:
        """A reference, such as the ceiling, by the days it was worked out for."""
        return Curve(role, self._evaluation.get(key, series.EMPTY))

    def by_layer(self, prefix: str) -> dict[str, series.Series]:
        """The training metrics under ``prefix``, by layer."""
        return {key.removeprefix(prefix): found for key, found in self.train.items() if key.startswith(prefix)}

    def incident_marks(self) -> list[Mark]:
        """The marks of all incidents, without the spikes."""
        return [mark for mark in self.marks() if mark.number is not None]

    def key(self, drawn: Sequence[Curve] = (), *, spikes: bool = True) -> str:
        """What the signs in figures of ``drawn`` mean, for those roles and marks that occur."""
        marks = self.marks() if spikes else self.incident_marks()
        roles = {curve.role for curve in drawn if curve.series.steps.size}
        severities = {mark.severity for mark in marks}
        items = [f"<li>{_sign(ROLES[role])}{text}</li>" for role, text in _KEY.items() if role in roles]
        items += [
            f"<li>{_sign(MARKS[name], mark=True)}{text}</li>"
            for name, text in _KEY_OF_MARKS.items()
            if name in severities
        ]
        return f'<ul class="key">{"".join(items)}</ul>' if items else ""

    def panel(self, name: str, title: str, unit: str, drawn: list[Curve], task: str | None = None, **options) -> str:
        """One figure of a panel's size, or as told by ``options``."""
        return figures.curves(name, title, unit, drawn, extent=self.extent, marks=self.marks(task), **options)


def _header(run: RunRecord, draw: _Drawing) -> str:
    badges = _badge(*words.verdict(run)) + _badge(*words.state(run), minor=True)
    happened = f'<p class="story">{escaped(" ".join(story(draw.told)))}</p>'
    paragraphs = [*words.summary(run), *left_out(run), *waiting.bottleneck(run)]
    text = "".join(f"<p>{escaped(paragraph)}</p>" for paragraph in paragraphs)
    return f'<header><h1>{escaped(run.title)}</h1><div class="badges">{badges}</div>{happened}{text}</header>'


def _tasks(run: RunRecord) -> str:
    if not run.tasks:
        return section("Tasks", "<p>The run has recorded no task.</p>")
    lines = judging_lines(run.evaluation)
    if lines:
        text = f"On {words.judged_days(lines)}".rstrip(",") + "."
        text += " Averages over the days, weighted by their rows." if len(lines) > 1 else ""
    else:
        text = "No day has been evaluated."
    text += " Chance is an AUC of 0.5, or the RMSE of predicting the mean of the labels."
    found = scores(run.tasks, run.evaluation)
    if any(score.ceiling is not None for score in found):
        text += " The ceiling is what the ranker that generated this log would reach."
    held_out = not lines or lines[0].get("kind") == "holdout"
    title = "Tasks on the held-out days" if held_out else "Tasks on the last day evaluated"
    return section(title, f"<p>{escaped(text)}</p>{tables.tasks_table(found)}")


def _loss(run: RunRecord, draw: _Drawing) -> str:
    names = [str(task.get("name", "")) for task in run.tasks]
    total, by_task = draw.curves("loss"), [draw.curves(f"loss/{name}") for name in names]
    if not _any_values([total, *by_task]):
        return section("Loss", "<p>The run has recorded no loss.</p>")
    unit = "loss, weighted sum of the tasks"
    parts = [
        draw.key([curve for drawn in (total, *by_task) for curve in drawn]),
        both(functools.partial(draw.panel, title="All tasks", unit=unit, drawn=total), "loss"),
    ]
    panels = [
        draw.panel(f"loss-{place}", name, "loss", drawn, name)
        for place, (name, drawn) in enumerate(zip(names, by_task, strict=True))
    ]
    return section("Loss", "".join(parts) + side_by_side(panels))


def _measure(run: RunRecord, draw: _Drawing, kind: str, metric: str, unit: str, title: str, text: str) -> str:
    names = [str(task.get("name", "")) for task in run.tasks if task.get("kind") == kind]
    if not names:
        return ""
    by_task = [draw.curves(f"{metric}/{name}") for name in names]
    if not _any_values(by_task):
        return section(
            title, f"<p>The run has recorded no {unit} of {words.listed([escaped(name) for name in names])}.</p>"
        )
    for name, drawn in zip(names, by_task, strict=True):
        drawn.append(draw.reference("ceiling", f"ceiling/{metric}/{name}"))
        of_mean = draw.reference("chance", f"rmse_of_mean/{name}")
        drawn.append(of_mean if kind == "regression" else _AUC_OF_CHANCE)
    panels = [
        draw.panel(f"{metric}-{place}", name, unit, drawn, name)
        for place, (name, drawn) in enumerate(zip(names, by_task, strict=True))
    ]
    return section(
        title, f"<p>{text}</p>{draw.key([curve for drawn in by_task for curve in drawn])}{side_by_side(panels)}"
    )


def _any_values(by_task: Sequence[Sequence[Curve]]) -> bool:
    return any(curve.series.steps.size for drawn in by_task for curve in drawn)


def _clipping(draw: _Drawing) -> str:
    factors, clipped = draw.told.factors, draw.by_layer("clipped_steps/")
    if not factors:
        return ""
    text = (
        "The smallest factor by which a step of each layer was scaled from one publication to the next. 1, the lightest "
        "colour, is the step as it was; 0.01, a hundredth of it, and less is darkest."
    )
    shown = len(figures.most_clipped(factors))
    if shown < len(factors):
        text += f" The figure shows the {shown} most clipped of {len(factors)} layers, the table below all of them."
    drawn = both(
        lambda name, wide: figures.heat_map(name, factors, extent=draw.extent, marks=draw.incident_marks(), wide=wide),
        "clipping",
    )
    table = f"<details><summary>The numbers by layer</summary>{tables.layers_table(factors, clipped)}</details>"
    return section("Clipping by layer", f"<p>{text}</p>{draw.key(spikes=False)}{drawn}{table}")


def _dead_units(draw: _Drawing) -> str:
    """The share of units without any output, of those layers in which it was ever large."""

    def largest_share(found: series.Series) -> float:
        return float(found.values[found.finite].max(initial=0.0))

    layers = draw.by_layer("dead_units/")
    many = {layer: found for layer, found in layers.items() if largest_share(found) > _DEAD_SHARE}
    if not many:
        return ""
    shown = sorted(many, key=lambda layer: -largest_share(many[layer]))[:_MOST_PANELS]
    text = f"The largest share of units whose output was 0 in every row of a batch; layers where it was ever above {words.percent(_DEAD_SHARE)}."
    text += f" The {len(shown)} worst of {len(many)} layers." if len(shown) < len(many) else ""
    panels = [
        draw.panel(
            f"dead-{place}", layer, "% of the units", [Curve("training", _in_percent(many[layer]))], bounds=(0.0, 100.0)
        )
        for place, layer in enumerate(shown)
    ]
    return section("Dead units", f"<p>{text}</p>{draw.key()}{side_by_side(panels)}")


def _sharpness(draw: _Drawing) -> str:
    """Sharpness against what the learning rate can bear."""
    rate = draw.train.get("learning_rate", series.EMPTY)
    positive = rate.finite & (rate.values > 0)
    bound = Curve("ceiling", series.Series(rate.steps[positive], 2.0 / rate.values[positive]))
    titles = {"sharpness": "Sharpness", "sharpness_preconditioned": "Preconditioned sharpness"}
    found = {key: draw.train[key] for key in titles if key in draw.train}
    if not found:
        return ""
    text = (
        "How steep the loss bends. The dashed line is 2 / learning rate: on a quadratic, gradient descent is stable below "
        "it by the sharpness, Adagrad by the preconditioned sharpness."
    )
    panels = [
        draw.panel(f"{key.replace('_', '-')}", titles[key], "largest eigenvalue", [Curve("training", values), bound])
        for key, values in found.items()
    ]
    return section("Sharpness", f"<p>{text}</p>{draw.key()}{side_by_side(panels)}")


def _in_percent(shares: series.Series) -> series.Series:
    return series.Series(shares.steps, 100 * shares.values)


def _speed(run: RunRecord, draw: _Drawing) -> str:
    rate = draw.train.get("examples_per_second", series.EMPTY)
    waited = draw.train.get("input_wait_fraction", series.EMPTY)
    said = "".join(f"<p>{escaped(sentence)}</p>" for sentence in waiting.waited(run))
    if not rate.steps.size and not waited.steps.size:
        return section("Speed", said or "<p>The run has recorded neither throughput nor waiting.</p>")
    panels = [
        draw.panel("rate", "Throughput", "examples per second", [Curve("training", rate)], bounds=(0.0, None)),
        draw.panel(
            "waiting",
            "Waiting for input",
            "% of the time",
            [Curve("training", _in_percent(waited))],
            bounds=(0.0, None),
        ),
    ]
    return section("Speed", said + draw.key() + side_by_side(panels))


def _events(run: RunRecord, draw: _Drawing) -> str:
    events, told = words.event_list(run), draw.told
    if not events:
        judged = run.divergence.get("verdict") is not None
        return section("Divergence", f"<p>{'No event.' if judged else 'No event so far.'}</p>")
    parts = []
    if told.incidents:
        parts.append("<p>The numbers are those above the vertical marks in the figures.</p>")
        parts.append(tables.incidents_table(told.incidents))
    parts += [f'<p class="after">{escaped(sentence)}</p>' for sentence in spiked(told.spikes)]
    raw = tables.events_table(events)
    parts.append(f"<details><summary>All {words.plural(len(events), 'event')} as recorded</summary>{raw}</details>")
    return section("Divergence", "".join(parts) + _around(run, draw))


def _around(run: RunRecord, draw: _Drawing) -> str:
    """The publications around the first incident in which the training diverged."""
    serious = draw.told.serious[:1]
    found = around(run.train, serious[0], [str(task.get("name", "")) for task in run.tasks]) if serious else None
    if found is None:
        return ""
    text = "Means from one publication to the next; norms, factors and dead units are the extremes in that time."
    back = [event.step for event in serious[0].of("rollback")]
    spans = [span for span in found.spans if span is not None]
    if back and spans[-1][1] > back[0]:
        text += f" At step {words.count(back[0])} the run went back to earlier weights."
    return f"<h3>Around step {words.count(serious[0].first)}</h3><p>{text}</p>{tables.around_table(found)}"


def _config(run: RunRecord) -> str:
    if not run.config:
        return section("Configuration", "<p>None was recorded.</p>")
    table = tables.config_table(run.config)
    return section("Configuration", f"<details><summary>All settings</summary>{table}</details>")


def _footer(run: RunRecord) -> str:
    versions = run.status.get("versions")
    parts = [f"{name} {version}" for name, version in versions.items()] if isinstance(versions, dict) else []
    lines = [str(run.status["time"])] if run.status.get("time") else []
    lines += [", ".join(parts)] if parts else []
    text = "".join(f"<p>{escaped(line)}</p>" for line in lines)
    return f"<footer>{text}<p>Made by steadyrank. This file loads nothing from anywhere.</p></footer>"


def _badge(tone: str, text: str, *, minor: bool = False) -> str:
    icon = f'<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6" aria-hidden="true">{_ICONS[tone]}</svg>'
    return f'<span class="badge {tone}{" minor" * minor}">{icon}{escaped(text)}</span>'


def _sign(look: Mapping[str, Any], *, mark: bool = False) -> str:
    """A small picture of how a curve, or a vertical mark, looks."""
    color = look["color"]
    if look.get("marker") == "o":
        shape = f'<circle cx="15" cy="6" r="3.5" fill="{color}"/>'
    elif look.get("marker") == "D":
        shape = f'<path d="M15 1.5l4.5 4.5-4.5 4.5-4.5-4.5z" fill="{color}"/>'
    elif look.get("marker") == "^":
        shape = f'<path d="M15 2l4 8h-8z" fill="{color}"/>'
    else:
        dashes = f' stroke-dasharray="{" ".join(map(str, look["dashes"]))}"' if look.get("dashes") else ""
        width = look.get("linewidth", 1.6) if mark else 1.4 * look["linewidth"]
        path = ("M15 0v12" if look["height"] == 1 else "M15 7v5") if mark else "M1 6h28"
        shape = f'<path d="{path}" stroke="{color}" stroke-width="{width:.1f}"{dashes}/>'
    return f'<svg viewBox="0 0 30 12" aria-hidden="true">{shape}</svg>'
