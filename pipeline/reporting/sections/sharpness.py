"""The section about the sharpness of the loss, compared with the stability bound of the learning rate."""

from __future__ import annotations

from ..analysis.series import EMPTY, Series
from ..figures.curves import Curve
from ..page_layout import make_panels, make_paragraph, make_section
from .run_figures import RunFigures

_TITLES = {"sharpness": "Sharpness", "sharpness_preconditioned": "Preconditioned sharpness"}


def make_sharpness_section(figures: RunFigures) -> str:
    """Makes the section; empty if the run did not measure the sharpness."""
    measured = {key: figures.train[key] for key in _TITLES if key in figures.train}
    if not measured:
        return ""
    rate = figures.train.get("learning_rate", EMPTY)
    is_positive = rate.finite_mask & (rate.values > 0)
    bound = Curve("ceiling", Series(rate.steps[is_positive], 2.0 / rate.values[is_positive]))
    text = (
        "The sharpness is the largest eigenvalue of the loss's Hessian. The dashed line is 2 / learning rate, the stability "
        "bound for a quadratic loss. Gradient descent is stable while the sharpness is below the line. Adagrad is stable while "
        "the preconditioned sharpness is below the line."
    )
    panels = [
        figures.draw_panel(
            key.replace("_", "-"), _TITLES[key], "largest eigenvalue", [Curve("training", series), bound]
        )
        for key, series in measured.items()
    ]
    return make_section("Sharpness", make_paragraph(text) + figures.make_legend() + make_panels(panels))
