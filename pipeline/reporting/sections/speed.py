"""The section about throughput and waiting for input, with advice."""

from __future__ import annotations

from collections.abc import Mapping

from ....foundation.formatting import format_percent
from ..analysis.input_wait import InputWait, measure_input_wait
from ..analysis.numbers import is_finite
from ..analysis.series import EMPTY, to_percent
from ..figures.curves import Curve
from ..page_layout import make_panels, make_paragraph, make_section
from ..record import RunRecord
from .run_figures import RunFigures

# The recorded share is too coarse for larger speedups.
_LARGEST_SPEEDUP = 20.0


def make_speed_section(run: RunRecord, figures: RunFigures) -> str:
    """Makes the section."""
    rate = figures.train.get("examples_per_second", EMPTY)
    wait = figures.train.get("input_wait_fraction", EMPTY)
    text = make_paragraph(describe_input_wait(run))
    if not rate.steps.size and not wait.steps.size:
        return make_section(
            "Speed", text or make_paragraph("The run recorded neither throughput nor waiting for input.")
        )
    panels = [
        figures.draw_panel("rate", "Throughput", "examples per second", [Curve("training", rate)], bounds=(0.0, None)),
        figures.draw_panel(
            "wait", "Waiting for input", "% of the time", [Curve("training", to_percent(wait))], bounds=(0.0, None)
        ),
    ]
    return make_section("Speed", text + figures.make_legend() + make_panels(panels))


def describe_input_wait(run: RunRecord) -> str:
    """Describes how long training waited for input, with advice for a bottleneck; empty if unknown."""
    wait = measure_input_wait(run)
    if wait is None:
        return ""
    return describe_bottleneck(run) or f"Training waited for input {format_percent(wait.share)} of the time."


def describe_bottleneck(run: RunRecord) -> str:
    """Describes the bottleneck, its cost and the settings to try; empty if there is no bottleneck or the wait is unknown."""
    wait = measure_input_wait(run)
    if wait is None or not wait.is_bottleneck:
        return ""
    speedup = 1 / max(1 - wait.share, 0.01)
    gain = f"up to {speedup:.1f} times as fast" if speedup < _LARGEST_SPEEDUP else "many times as fast"
    return (
        f"Input is a bottleneck: training waited for it {format_percent(wait.share)} of the time. Without waiting, training "
        f"would be {gain}. {_give_advice(run, wait)}"
    )


def _give_advice(run: RunRecord, wait: InputWait) -> str:
    """Lists the settings that reduce waiting, for the run's kind of log."""
    data = run.config.get("data")
    data = data if isinstance(data, Mapping) else {}
    if data.get("source") != "files":
        return "This machine's processor generates the rows: use more cores, or cores that no other process uses."
    advice = [
        "convert the log from TFRecord to Parquet (python -m steadyrank.pipeline.convert)",
        "write row groups of about 65,536 rows, in a few large files instead of many small ones",
        "remove columns that the ranker does not need from the schema",
    ]
    prefix = ""
    if wait.is_at_day_starts:
        prefix = "Most of the waiting was at the beginning of days, when the input starts. "
        shuffle_rows = data.get("shuffle_rows")
        smaller = ", or a smaller data.shuffle_rows" if is_finite(shuffle_rows) and shuffle_rows else ""
        advice.insert(0, f"use fewer, longer days{smaller}")
    # Old records lack this setting.
    elif "service" in data and not data["service"]:
        advice.append("read the input on other machines (data.service)")
    return f"{prefix}Try one of these: {'; '.join(advice)}."
