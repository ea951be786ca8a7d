"""The sections with loss, AUC and RMSE curves."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ....foundation.formatting import join_words
from ....foundation.metric_key import MetricKey
from ..analysis.series import Series
from ..figures.curves import Curve
from ..page_layout import make_panels, make_paragraph, make_responsive_figure, make_section
from ..record import RunRecord
from .run_figures import RunFigures

_CHANCE_AUC = Curve("chance", Series(np.zeros(1), np.full(1, 0.5)))


@dataclasses.dataclass(frozen=True)
class _Measure:
    """A measure of one kind of task: its key, its name on the page and an explanation."""

    task_kind: str
    metric: str
    name: str
    explanation: str


_AUC = _Measure("binary", "auc", "AUC", "Higher is better; chance is 0.5.")
_RMSE = _Measure(
    "regression",
    "rmse",
    "RMSE",
    "In the unit of the label. Lower is better; chance is the RMSE of predicting the mean label.",
)


def make_loss_section(run: RunRecord, figures: RunFigures) -> str:
    """Makes the section with the loss of all tasks and of each task."""
    total = figures.make_curves("loss")
    by_task = [figures.make_curves(str(MetricKey("loss", name))) for name in run.task_names]
    if not _has_values([total, *by_task]):
        return make_section("Loss", make_paragraph("The run recorded no loss."))

    def draw_total(*, name: str, wide: bool) -> str:
        return figures.draw_panel(name, "All tasks", "loss, weighted sum of the tasks", total, wide=wide)

    panels = [
        figures.draw_panel(f"loss-{index}", name, "loss", curves, name)
        for index, (name, curves) in enumerate(zip(run.task_names, by_task, strict=True))
    ]
    legend = figures.make_legend([curve for curves in (total, *by_task) for curve in curves])
    return make_section("Loss", legend + make_responsive_figure(draw_total, "loss") + make_panels(panels))


def make_auc_section(run: RunRecord, figures: RunFigures) -> str:
    """Makes the section with the AUC of each binary task."""
    return _make_measure_section(run, figures, _AUC)


def make_rmse_section(run: RunRecord, figures: RunFigures) -> str:
    """Makes the section with the RMSE of each regression."""
    return _make_measure_section(run, figures, _RMSE)


def _make_measure_section(run: RunRecord, figures: RunFigures, measure: _Measure) -> str:
    names = [str(task.get("name", "")) for task in run.tasks if task.get("kind") == measure.task_kind]
    if not names:
        return ""
    title = f"{measure.name} by task"
    by_task = [figures.make_curves(f"{measure.metric}/{name}") for name in names]
    if not _has_values(by_task):
        return make_section(title, make_paragraph(f"The run recorded no {measure.name} for {join_words(names)}."))
    for name, curves in zip(names, by_task, strict=True):
        curves.append(figures.make_reference("ceiling", f"ceiling/{measure.metric}/{name}"))
        is_regression = measure.task_kind == "regression"
        curves.append(figures.make_reference("chance", f"rmse_of_mean/{name}") if is_regression else _CHANCE_AUC)
    panels = [
        figures.draw_panel(f"{measure.metric}-{index}", name, measure.name, curves, name)
        for index, (name, curves) in enumerate(zip(names, by_task, strict=True))
    ]
    legend = figures.make_legend([curve for curves in by_task for curve in curves])
    return make_section(title, make_paragraph(measure.explanation) + legend + make_panels(panels))


def _has_values(groups: Sequence[Sequence[Curve]]) -> bool:
    return any(curve.series.steps.size for curves in groups for curve in curves)
