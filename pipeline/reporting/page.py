"""The report's page: one HTML file that requires no network and fits a desktop, a phone and paper."""

from __future__ import annotations

from .page_layout import escape
from .record import RunRecord
from .sections.clipping import make_clipping_section
from .sections.configuration import make_configuration_section, make_footer
from .sections.data import make_data_section
from .sections.dead_units import make_dead_units_section
from .sections.divergence import make_divergence_section
from .sections.header import make_header
from .sections.metric_curves import make_auc_section, make_loss_section, make_rmse_section
from .sections.run_figures import RunFigures
from .sections.sharpness import make_sharpness_section
from .sections.speed import make_speed_section
from .sections.tasks import make_tasks_section
from .stylesheet import CSS

# With this policy, the browser blocks all external resources.
_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(run: RunRecord) -> str:
    """Renders the report of a run.

    Equal records give equal text. Incomplete records, even without metrics, are valid. The page labels values that are
    not finite.

    Args:
      run: The record of the run, complete or not.

    Returns:
      The text of one HTML file.
    """
    figures = RunFigures(run)
    body = "".join(
        (
            make_header(run, figures),
            make_tasks_section(run),
            make_loss_section(run, figures),
            make_auc_section(run, figures),
            make_rmse_section(run, figures),
            make_divergence_section(run, figures),
            make_clipping_section(figures),
            make_dead_units_section(figures),
            make_sharpness_section(figures),
            make_data_section(run),
            make_speed_section(run, figures),
            make_configuration_section(run),
            make_footer(run),
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_SECURITY_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(run.title)}</title><style>{CSS}</style></head><body><main>{body}</main></body></html>\n"
    )
