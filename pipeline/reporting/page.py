"""The report's page: one HTML file that needs no network, readable on a desktop, a phone and paper."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from . import figures, series, tables, words
from .figures import ROLES, Curve, Mark
from .record import RunRecord
from .scores import judging_lines, scores
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
    "progressive": "a day before training on it",
    "holdout": "held-out day",
    "ceiling": "ceiling",
    "chance": "chance",
}
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
            _header(run),
            _tasks(run),
            _loss(run, draw),
            _measure(run, draw, "binary", "auc", "AUC", "AUC by task", "Higher is better."),
            _measure(run, draw, "regression", "rmse", "RMSE", "RMSE by task", "In the label's unit; lower is better."),
            _clipping(draw),
            _speed(draw),
            _events(run),
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
        self._evaluation = series.read(run.evaluation)
        self._by_kind = {
            kind: series.read(line for line in run.evaluation if line.get("kind") == kind)
            for kind in ("progressive", "holdout")
        }
        self._marks = []
        for number, event in enumerate(words.event_list(run), start=1):
            step = event.get("step")
            if series.is_finite(step) and step >= 0:
                mark = Mark(float(step), "micro" not in str(event.get("kind", "")), number)
                self._marks.append((event.get("task"), mark))
        self.extent = float(max(words.last_step(run), *(mark.step for _, mark in self._marks), 1))

    def marks(self, task: str | None = None) -> list[Mark]:
        """The events of ``task`` and of the whole run; without a task, all."""
        return [mark for of, mark in self._marks if not task or not of or of == task]

    def curves(self, key: str) -> list[Curve]:
        """``key`` in training, before training on a day, and on held-out days."""
        found = {"training": self.train, **self._by_kind}
        return [Curve(role, metrics.get(key, series.EMPTY)) for role, metrics in found.items()]

    def reference(self, role: str, key: str) -> Curve:
        """A reference, such as the ceiling, by the days it was worked out for."""
        return Curve(role, self._evaluation.get(key, series.EMPTY))

    def by_layer(self, prefix: str) -> dict[str, series.Series]:
        """The training metrics under ``prefix``, by layer."""
        return {key.removeprefix(prefix): found for key, found in self.train.items() if key.startswith(prefix)}

    def panel(self, name: str, title: str, unit: str, drawn: list[Curve], task: str | None = None, **options) -> str:
        """One figure of a panel's size, or as told by ``options``."""
        return figures.curves(name, title, unit, drawn, extent=self.extent, marks=self.marks(task), **options)


def _header(run: RunRecord) -> str:
    badges = _badge(*words.verdict(run)) + _badge(*words.state(run), minor=True)
    text = "".join(f"<p>{escaped(paragraph)}</p>" for paragraph in words.summary(run))
    return f'<header><h1>{escaped(run.title)}</h1><div class="badges">{badges}</div>{text}</header>'


def _tasks(run: RunRecord) -> str:
    if not run.tasks:
        return _section("Tasks", "<p>The run has recorded no task.</p>")
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
    return _section(title, f"<p>{escaped(text)}</p>{tables.tasks_table(found)}")


def _loss(run: RunRecord, draw: _Drawing) -> str:
    names = [str(task.get("name", "")) for task in run.tasks]
    total, by_task = draw.curves("loss"), [draw.curves(f"loss/{name}") for name in names]
    if not _any_values([total, *by_task]):
        return _section("Loss", "<p>The run has recorded no loss.</p>")
    unit = "loss, weighted sum of the tasks"
    parts = [_key(total), _both(functools.partial(draw.panel, title="All tasks", unit=unit, drawn=total), "loss")]
    panels = [
        draw.panel(f"loss-{place}", name, "loss", drawn, name)
        for place, (name, drawn) in enumerate(zip(names, by_task, strict=True))
    ]
    return _section("Loss", "".join(parts) + _panels(panels))


def _measure(run: RunRecord, draw: _Drawing, kind: str, metric: str, unit: str, title: str, text: str) -> str:
    names = [str(task.get("name", "")) for task in run.tasks if task.get("kind") == kind]
    if not names:
        return ""
    by_task = [draw.curves(f"{metric}/{name}") for name in names]
    if not _any_values(by_task):
        return _section(
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
    return _section(title, f"<p>{text}</p>{_key([curve for drawn in by_task for curve in drawn])}{_panels(panels)}")


def _any_values(by_task: Sequence[Sequence[Curve]]) -> bool:
    return any(curve.series.steps.size for drawn in by_task for curve in drawn)


def _clipping(draw: _Drawing) -> str:
    factors, clipped = draw.by_layer("clipping_factor/"), draw.by_layer("clipped_steps/")
    if not factors:
        return _section("Clipping", "<p>The run has recorded no clipping factors.</p>")
    text = (
        "The smallest factor by which a step of each layer was scaled. 1, the lightest colour, is the step as it was; "
        "0.01 is a hundredth of it."
    )
    shown = len(figures.most_clipped(factors))
    if shown < len(factors):
        text += f" The figure shows the {shown} most clipped of {len(factors)} layers, the table below all of them."
    drawn = _both(
        lambda name, wide: figures.heat_map(name, factors, extent=draw.extent, marks=draw.marks(), wide=wide),
        "clipping",
    )
    table = f"<details><summary>The numbers by layer</summary>{tables.layers_table(factors, clipped)}</details>"
    return _section("Clipping by layer", f"<p>{text}</p>{drawn}{table}")


def _speed(draw: _Drawing) -> str:
    rate = draw.train.get("examples_per_second", series.EMPTY)
    waiting = draw.train.get("input_wait_fraction", series.EMPTY)
    if not rate.steps.size and not waiting.steps.size:
        return _section("Speed", "<p>The run has recorded neither throughput nor waiting.</p>")
    waiting = series.Series(waiting.steps, 100 * waiting.values)
    panels = [
        draw.panel("rate", "Throughput", "examples per second", [Curve("training", rate)], bounds=(0.0, None)),
        draw.panel("waiting", "Waiting for input", "% of the time", [Curve("training", waiting)], bounds=(0.0, None)),
    ]
    return _section("Speed", _panels(panels))


def _events(run: RunRecord) -> str:
    events = words.event_list(run)
    if not events:
        judged = run.divergence.get("verdict") is not None
        return _section("Divergence events", f"<p>{'None.' if judged else 'None so far.'}</p>")
    text = (
        "The numbers are those of the vertical marks in the figures: dashed for a micro-divergence, solid for any other "
        "event."
    )
    return _section("Divergence events", f"<p>{text}</p>{tables.events_table(events)}")


def _config(run: RunRecord) -> str:
    if not run.config:
        return _section("Configuration", "<p>None was recorded.</p>")
    table = tables.config_table(run.config)
    return _section("Configuration", f"<details><summary>All settings</summary>{table}</details>")


def _footer(run: RunRecord) -> str:
    versions = run.status.get("versions")
    parts = [f"{name} {version}" for name, version in versions.items()] if isinstance(versions, dict) else []
    lines = [str(run.status["time"])] if run.status.get("time") else []
    lines += [", ".join(parts)] if parts else []
    text = "".join(f"<p>{escaped(line)}</p>" for line in lines)
    return f"<footer>{text}<p>Made by steadyrank. This file loads nothing from anywhere.</p></footer>"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _badge(tone: str, text: str, *, minor: bool = False) -> str:
    icon = f'<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6" aria-hidden="true">{_ICONS[tone]}</svg>'
    return f'<span class="badge {tone}{" minor" * minor}">{icon}{escaped(text)}</span>'


def _key(drawn: Sequence[Curve]) -> str:
    """What the signs in the figures mean, for those roles that occur."""
    there = {curve.role for curve in drawn if curve.series.steps.size}
    items = "".join(f"<li>{_sign(role)}{text}</li>" for role, text in _KEY.items() if role in there)
    return f'<ul class="key">{items}</ul>' if items else ""


def _sign(role: str) -> str:
    look = ROLES[role]
    color = look["color"]
    if look.get("marker") == "o":
        shape = f'<circle cx="15" cy="6" r="3.5" fill="{color}"/>'
    elif look.get("marker") == "D":
        shape = f'<path d="M15 1.5l4.5 4.5-4.5 4.5-4.5-4.5z" fill="{color}"/>'
    else:
        dashes = f' stroke-dasharray="{" ".join(map(str, look["dashes"]))}"' if "dashes" in look else ""
        shape = f'<path d="M1 6h28" stroke="{color}" stroke-width="{1.4 * look["linewidth"]:.1f}"{dashes}/>'
    return f'<svg viewBox="0 0 30 12" aria-hidden="true">{shape}</svg>'


def _panels(drawn: Sequence[str]) -> str:
    return f'<div class="panels">{"".join(f"<figure>{text}</figure>" for text in drawn)}</div>' if drawn else ""


def _both(draw: Callable[..., str], name: str) -> str:
    """A figure that spans the page, and the same drawn for a phone; the style sheet shows one of them."""
    return "".join(
        f'<figure class="{size}">{draw(name=f"{name}-{size}", wide=size == "wide")}</figure>'
        for size in ("wide", "narrow")
    )
