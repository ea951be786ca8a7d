"""What happened to a run, in a few sentences, from its events and metrics alone; it says nothing that they do not."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from .incidents import RETURNS, Happening, Incident, Spike, happenings, incidents, spikes
from .record import RunRecord
from .series import EMPTY, Series
from .words import UNKNOWN, count, decimal, event_list, last_step, plural

_SENTENCES = 4
_FACTOR, _GRADIENT = "clipping_factor/", "norm/gradient/"
# Publications that tell what a gradient was before something happened, and after; and what growth is worth a word.
_BEFORE, _AFTER, _GREW = 8, 4, 3.0
_HELD_OUT = "on held-out data"
_NOT_FINITE = "training could not go on, since numbers were not finite"
_WEIGHTS = re.compile(r"back to the weights of step (\d+)")
_RATE = re.compile(r"the learning rate is (\S+) of what it was")
_SHARES = {"0.5": "half", "0.25": "a quarter of", "0.125": "an eighth of"}


@dataclasses.dataclass(frozen=True)
class History:
    """What a run's events and clipping factors say.

    Attributes:
      incidents: By their first step.
      spikes: Those outside of serious incidents: within one, a high loss is the incident itself.
      loss: The loss of all tasks.
      factors: Smallest clipping factors by layer; empty without a rule.
      gradients: Largest norms of the gradients by layer.
      verdict: ``healthy``, ``micro``, ``full`` or whatever was recorded; "" when nothing was.
      end: The last step that anything is known of.
      rule: The rule's name, "" when none holds for all layers or it is not known.
      going: Whether the run has not ended.
    """

    incidents: tuple[Incident, ...]
    spikes: tuple[Spike, ...]
    loss: Series
    factors: dict[str, Series]
    gradients: dict[str, Series]
    verdict: str
    end: int
    rule: str
    going: bool

    @property
    def serious(self) -> list[Incident]:
        """The incidents in which the training diverged."""
        return [incident for incident in self.incidents if incident.serious]


def history(run: RunRecord, train: dict[str, Series]) -> History:
    """Reads a run's events into incidents.

    Args:
      run: The record.
      train: Its training metrics by key.
    """
    events = happenings(event_list(run))
    end = last_step(run)
    found = tuple(incidents(events, end))
    times = [(incident.first, incident.last) for incident in found if incident.serious]
    outside = tuple(s for s in spikes(events) if not any(first <= s.step <= last for first, last in times))
    optimizer = run.config.get("optimizer")
    rule = str(optimizer.get("rule") or "") if isinstance(optimizer, dict) else ""
    return History(
        incidents=found,
        spikes=outside,
        loss=train.get("loss", EMPTY),
        factors=_by_layer(train, _FACTOR),
        gradients=_by_layer(train, _GRADIENT),
        verdict=str(run.divergence.get("verdict") or ""),
        end=end,
        rule="" if rule == "none" else rule,
        going=run.status.get("status") in ("running", "preempted"),
    )


def story(told: History) -> list[str]:
    """At most four sentences, the weightiest first."""
    said = _diverged(told)
    if broken := int((~told.loss.finite).sum()):
        said.append(f"The loss was not finite in {broken:,} of {told.loss.steps.size:,} records.")
    said += _shifted(told)
    said += _clipped(told.factors, told.rule) + spiked(told.spikes)
    return said[:_SENTENCES]


def _by_layer(train: dict[str, Series], prefix: str) -> dict[str, Series]:
    return {key.removeprefix(prefix): found for key, found in train.items() if key.startswith(prefix)}


def _name(task: str) -> str:
    """A task as a sentence names it."""
    return task or "the model"


def _befell(incident: Incident) -> str:
    """What the incident began with, as the beginning of a sentence: ``At step 257 the loss of click left its range``."""
    first = _beginning(incident)
    at, others = f"At step {count(first.step)}", len(incident.tasks) - 1
    too = f", as did {plural(others, 'other task')}" if others else ""
    if first.kind == "nonfinite":
        return f"{at} {_NOT_FINITE}"
    if first.kind == "chance":
        return f"{at}, on held-out data, no task was predicted better than by a constant"
    if first.kind == "out_of_range":
        # Tasks may differ in what left its range.
        what = "the loss of " if _says(first, "the loss") and not others else ""
        return f"{at} {what}{_name(first.task)} left its range{too}"
    if first.kind == "full_divergence":
        more = f" and {plural(others, 'other task')}" if others else ""
        where = ", on held-out data," if _says(first, _HELD_OUT) else ""
        return f"{at}{where} full divergence of {_name(first.task)}{more} was declared"
    return f"{at} {_name(first.task)} was back in range, after it had left it{too.replace('as did', 'like')}"


def _cause(incident: Incident) -> str:
    """Which feature had changed before, as an aside; "" when none is known."""
    first = _beginning(incident)
    return f", after the feature {first.feature} had changed" if first.feature else ""


def _shifted(told: History) -> list[str]:
    """The features that changed without any divergence, and what that did to the gradients; the last time, if often."""
    events = [event for incident in told.incidents if not incident.serious for event in incident.of("feature_shift")]
    if not events:
        return []
    event = events[-1]
    often = f" ({len(events)} times in all)" if len(events) > 1 else ""
    said = [f"At step {count(event.step)} the feature {event.feature} left its usual range{often}: {event.evidence}."]
    layer, times = _growth(told.gradients, event.step)
    if times >= _GREW:
        said[0] = f"{said[0][:-1]}; then the gradient of {layer} grew {count(round(times))} times."
    return said


def _growth(gradients: dict[str, Series], step: float) -> tuple[str, float]:
    """The layer whose gradient grew most from the publications before a step to those after it, and how many times."""
    best = "", 0.0
    for layer, norms in gradients.items():
        before = norms.values[norms.finite & (norms.steps < step)][-_BEFORE:]
        after = norms.values[norms.finite & (norms.steps >= step)][:_AFTER]
        if len(before) and len(after) and np.median(before) > 0:
            best = max(best, (layer, float(after.max() / np.median(before))), key=lambda found: found[1])
    return best


def fate(incident: Incident) -> str:
    """How the incident went on, as the rest of a sentence; "" when nothing more is known."""
    first = _beginning(incident)
    full, stopped = (
        [event for event in incident.of(kind) if event is not first] for kind in ("full_divergence", "nonfinite")
    )
    back, returned = incident.of("rollback"), incident.of(*RETURNS)
    parts = []
    if full:
        where = "on held-out data " if _says(full[0], _HELD_OUT) else ""
        parts.append(f"full divergence was declared {where}at step {count(full[0].step)}")
    if stopped:
        parts.append(f"at step {count(stopped[0].step)} {_NOT_FINITE}")
    again = [event for event in full if back and event.step > back[-1].step]
    if back:
        known = {event.step for event in (*full, *stopped)}
        parts.append(_went_back(back, tell_step=back[-1].step not in known))
    if again:
        parts.append(f"full divergence was declared again at step {count(again[0].step)}")
    if incident.of("no_rollback"):
        parts.append(f"{'another' if back else 'a'} rollback was called for and could not be made")
    lost = stopped or again or (full and not back)
    if incident.away and first.kind == "out_of_range" and not lost:
        parts.append(f"at step {count(incident.last)}, the last one known, {_it(incident.away)} had not come back")
    elif returned and first.kind not in RETURNS and returned[-1].step == incident.last:
        every = "all were" if len(incident.tasks) > 1 else "it was"
        parts.append(f"{every} back in range at step {count(incident.last)}")
    return "; ".join(parts)


def _went_back(rollbacks: Sequence[Happening], *, tell_step: bool = True) -> str:
    """What the rollbacks of an incident did, in words: ``the run went back to the weights of step 256``."""
    evidence = str(rollbacks[-1].evidence or "")
    weights, rate = _WEIGHTS.search(evidence), _RATE.search(evidence)
    times = f" {len(rollbacks)} times, at last" if len(rollbacks) > 1 else ""
    to = f" to the weights of step {count(int(weights[1]))}" if weights else ""
    share = f" and went on at {_SHARES.get(rate[1], f'{rate[1]} times')} the learning rate" if rate else ""
    at = f"at step {count(rollbacks[-1].step)} " if tell_step else ""
    return f"{at}the run went back{times}{to}{share}"


def _beginning(incident: Incident) -> Happening:
    return next(event for event in incident.events if event.severity in ("full", "range"))


def _says(event: Happening, beginning: str) -> bool:
    return str(event.evidence or "").startswith(beginning)


def _it(tasks: Sequence[str]) -> str:
    return "it" if len(tasks) == 1 else f"{len(tasks)} tasks"


def _largest(found: Sequence[Spike]) -> Spike | None:
    """The spike that was highest compared with the usual loss; None when no height is known."""
    best = max(found, key=lambda spike: spike.size, default=None)
    return best if best is not None and best.size else None


def _height(spike: Spike) -> str:
    """How high a spike was: ``35.24, usually 3.705``."""
    usual = f", usually {decimal(spike.usual)}" if spike.usual is not None else ""
    return UNKNOWN if spike.loss is None else f"{decimal(spike.loss)}{usual}"


def spiked(found: Sequence[Spike]) -> list[str]:
    """At how many steps spikes were recorded, and the largest spike; nothing when there was none."""
    if not found:
        return []
    times = plural(len({spike.step for spike in found}), "step")
    high = _largest(found)
    most = f", the largest in {_name(high.task)} at step {count(high.step)} ({_height(high)})" if high else ""
    return [f"Spikes of the loss were recorded at {times}{most}."]


def _diverged(told: History) -> list[str]:
    if not told.serious:
        return [_by_verdict(told)]
    first, *rest = told.serious
    said = [_sentence(first)]
    if rest:
        more = plural(len(rest), "more incident")
        said.append(f"{more} followed." if len(rest) > 1 else "Another incident followed.")
        said.append(_sentence(rest[-1]))
    last = told.serious[-1]
    # Where a task is still away, the incident lasts to the end.
    over = last.severity != "full" or last.of("rollback", *RETURNS)
    if over and told.end > last.last and told.verdict != "full":
        said.append(f"In the {plural(int(told.end - last.last), 'step')} since then nothing diverged.")
    elif told.verdict == "full" and not any(incident.severity == "full" for incident in told.serious):
        said.append("Full divergence was declared.")
    return said


def _by_verdict(told: History) -> str:
    return {
        "healthy": "Nothing diverged so far." if told.going else "Nothing diverged.",
        "micro": "It diverged for a while and came back.",
        "full": "It diverged and did not come back.",
        "": "Whether it diverged has not been judged.",
    }.get(told.verdict, f"The verdict on its divergence is: {told.verdict}.")


def _sentence(incident: Incident) -> str:
    return "; ".join(part for part in (_befell(incident) + _cause(incident), fate(incident)) if part) + "."


def _clipped(factors: dict[str, Series], rule: str) -> list[str]:
    best: tuple[float, str, int] | None = None
    for layer, series in factors.items():
        if series.finite.any():
            place = int(np.argmin(np.where(series.finite, series.values, np.inf)))
            if best is None or series.values[place] < best[0]:
                best = float(series.values[place]), layer, place
    if best is None:
        return []
    value, layer, place = best
    who = f"{rule[:1].upper()}{rule[1:]}".replace("_", " ") or "The rule"
    if value >= 1:
        return [f"{who} shortened no step."]
    steps = factors[layer].steps
    since = steps[place - 1] + 1 if place else 1
    when = (
        f"between steps {count(since)} and {count(steps[place])}" if since < steps[place] else f"at step {count(since)}"
    )
    return [f"{who} shortened steps, most of all in {layer}: down to a factor of {decimal(value, 3)} {when}."]
