"""The axis, event marks and legend that all figures over the training step share."""

from __future__ import annotations

from collections.abc import Sequence

from ..analysis.incidents import RunEvent, Severity
from ..analysis.run_history import read_history
from ..analysis.series import EMPTY, Series, find_peaks, read_series, select_kind
from ..figures.curves import Bounds, Curve, draw_curves
from ..figures.palette import CURVE_STYLES, MARK_STYLES, CurveStyle, MarkStyle, Role
from ..figures.step_axis import Mark
from ..page_layout import make_legend
from ..record import RunRecord

_ROLE_MEANINGS: dict[Role, str] = {
    "training": "training",
    "peak": "peak of a single step",
    "progressive": "next day, before training",
    "holdout": "held-out day",
    "ceiling": "ceiling (best possible ranker)",
    "chance": "chance",
}
_MARK_MEANINGS: dict[Severity, str] = {
    "spike": "spike",
    "range": "out of range",
    "full": "full divergence",
    "rollback": "rollback",
    "note": "other event",
}
_EVALUATIONS: tuple[Role, ...] = ("progressive", "holdout")


class RunFigures:
    """The series, event marks and legend entries that the figures of one run share.

    Args:
      run: The record.

    Attributes:
      train: Training metrics by key.
      history: The run's incidents and spikes.
      extent: The end of the step axis, the same for all figures.
    """

    def __init__(self, run: RunRecord):
        self.train = read_series(run.train)
        self.history = read_history(run, self.train)
        self._train_lines = run.train
        self._evaluation = read_series(run.evaluation)
        self._evaluation_by_kind = {
            kind: read_series(line for line in run.evaluation if line.get("kind") == kind) for kind in _EVALUATIONS
        }
        event_steps = [event.step for incident in self.history.incidents for event in incident.events]
        spike_steps = [spike.step for spike in self.history.spikes]
        self.extent = float(max(self.history.last_step, *event_steps, *spike_steps, 1))

    def make_marks(self, task: str | None = None, *, with_spikes: bool = True) -> list[Mark]:
        """Makes the event marks of a figure.

        Args:
          task: The task that the figure shows; None for all. An event of the whole run concerns every task.
          with_spikes: Whether to mark spikes.

        Returns:
          For each incident one mark per severity, at its first event, and a mark for each rollback.
        """
        spikes = self.history.spikes if with_spikes else ()
        marks = [Mark(spike.step, "spike") for spike in spikes if not task or spike.task in ("", task)]
        for number, incident in enumerate(self.history.incidents, start=1):
            events = [event for event in incident.events if not task or event.task in ("", task)]
            marks += [Mark(event.step, event.severity, number) for event in _select_marked_events(events)]
        return marks

    def make_curves(self, key: str) -> list[Curve]:
        """Makes the curves of a metric: training, each kind of evaluation, and for a loss also the peaks of single steps."""
        curves = [Curve("training", self.train.get(key, EMPTY))]
        curves += [Curve(kind, metrics.get(key, EMPTY)) for kind, metrics in self._evaluation_by_kind.items()]
        if key.startswith("loss"):
            curves.append(Curve("peak", find_peaks(self._train_lines, key)))
        return curves

    def make_reference(self, role: Role, key: str) -> Curve:
        """Makes the curve of a reference, such as the ceiling, from the evaluated days."""
        return Curve(role, self._evaluation.get(key, EMPTY))

    def select_layers(self, kind: str) -> dict[str, Series]:
        """Returns the training metrics of one kind, by layer."""
        return select_kind(self.train, kind)

    def make_legend(self, curves: Sequence[Curve] = (), *, with_spikes: bool = True) -> str:
        """Makes a legend of the roles and event marks in a group of figures."""
        roles = {curve.role for curve in curves if curve.series.steps.size}
        severities = {mark.severity for mark in self.make_marks(with_spikes=with_spikes)}
        entries = [
            (_draw_curve_sign(CURVE_STYLES[role]), text) for role, text in _ROLE_MEANINGS.items() if role in roles
        ]
        entries += [
            (_draw_mark_sign(MARK_STYLES[severity]), text)
            for severity, text in _MARK_MEANINGS.items()
            if severity in severities
        ]
        return make_legend(entries)

    def draw_panel(
        self,
        name: str,
        title: str,
        unit: str,
        curves: Sequence[Curve],
        task: str | None = None,
        *,
        wide: bool = False,
        bounds: Bounds = (None, None),
    ) -> str:
        """Draws curves with the run's event marks; see :func:`~.curves.draw_curves`."""
        marks = self.make_marks(task)
        return draw_curves(name, title, unit, curves, extent=self.extent, marks=marks, wide=wide, bounds=bounds)


def _select_marked_events(events: Sequence[RunEvent]) -> list[RunEvent]:
    first = {event.severity: event for event in reversed(events)}
    return [event for event in events if event.kind == "rollback" or event is first[event.severity]]


def _draw_curve_sign(style: CurveStyle) -> str:
    """Draws a small picture of a curve, 30 x 12."""
    if style.marker == "o":
        return f'<circle cx="15" cy="6" r="3.5" fill="{style.color}"/>'
    if style.marker == "D":
        return f'<path d="M15 1.5l4.5 4.5-4.5 4.5-4.5-4.5z" fill="{style.color}"/>'
    if style.marker == "^":
        return f'<path d="M15 2l4 8h-8z" fill="{style.color}"/>'
    return _draw_line_sign("M1 6h28", style.color, 1.4 * style.linewidth, style.dashes)


def _draw_mark_sign(style: MarkStyle) -> str:
    """Draws a small picture of an event's mark, 30 x 12."""
    return _draw_line_sign("M15 0v12" if style.height == 1 else "M15 7v5", style.color, style.linewidth, style.dashes)


def _draw_line_sign(path: str, color: str, width: float, dashes: tuple[int, ...]) -> str:
    dash_array = f' stroke-dasharray="{" ".join(map(str, dashes))}"' if dashes else ""
    return f'<path d="{path}" stroke="{color}" stroke-width="{width:.1f}"{dash_array}/>'
