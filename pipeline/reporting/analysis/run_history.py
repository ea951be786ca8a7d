"""The history of a run: its incidents and spikes, and the metrics for the narrative."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..record import RunRecord
from .incidents import Incident, Spike, group_incidents, read_events, read_spikes
from .numbers import is_finite, to_float
from .series import EMPTY, Series, select_kind


@dataclasses.dataclass(frozen=True)
class RunHistory:
    """The incidents and spikes of a run, and the training metrics for the narrative.

    Attributes:
      incidents: The incidents, sorted by their first step.
      spikes: The spikes outside of divergences. A high loss during a divergence is part of the divergence.
      loss: The loss of all tasks.
      clipping_factors: Smallest clipping factors by layer; empty without a rule.
      gradient_norms: Largest gradient norms by layer.
      verdict: ``healthy``, ``micro``, ``full`` or another recorded text; empty if the run has no verdict.
      last_step: The last step of the record.
      rule: The name of the clipping rule; empty if there is none or it is unknown.
      may_continue: Whether the run is still running or can be resumed.
    """

    incidents: tuple[Incident, ...]
    spikes: tuple[Spike, ...]
    loss: Series
    clipping_factors: Mapping[str, Series]
    gradient_norms: Mapping[str, Series]
    verdict: str
    last_step: int
    rule: str
    may_continue: bool

    @property
    def divergences(self) -> list[Incident]:
        """The incidents in which training diverged."""
        return [incident for incident in self.incidents if incident.is_divergence]


def read_history(run: RunRecord, train: Mapping[str, Series]) -> RunHistory:
    """Reads the history of a run.

    Args:
      run: The record.
      train: Its training metrics by key.
    """
    events = read_events(run.events)
    last_step = find_last_step(run)
    incidents = tuple(group_incidents(events, last_step))
    divergences = [(incident.first_step, incident.last_step) for incident in incidents if incident.is_divergence]
    spikes = [
        spike for spike in read_spikes(events) if not any(first <= spike.step <= last for first, last in divergences)
    ]
    optimizer = run.config.get("optimizer")
    rule = str(optimizer.get("rule") or "") if isinstance(optimizer, Mapping) else ""
    return RunHistory(
        incidents=incidents,
        spikes=tuple(spikes),
        loss=train.get("loss", EMPTY),
        clipping_factors=select_kind(train, "clipping_factor"),
        gradient_norms=select_kind(train, "norm/gradient"),
        verdict=str(run.divergence.get("verdict") or ""),
        last_step=last_step,
        rule="" if rule == "none" else rule,
        may_continue=run.status.get("status") in ("running", "preempted", "interrupted"),
    )


def find_last_step(run: RunRecord) -> int:
    """Returns the last step in the status and the metrics; 0 without a step."""
    steps = [run.status.get("step"), *(line.get("step") for line in (*run.train, *run.evaluation))]
    return int(max((to_float(step) for step in steps if is_finite(step)), default=0))
