"""The narrative: a few sentences about the events of a run, from its events and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ....foundation.formatting import pluralize
from ..analysis.incidents import RETURN_KINDS, Incident, RunEvent, Spike
from ..analysis.run_history import RunHistory
from ..analysis.series import Series
from ..report_text import capitalize_first, format_count, format_decimal

_MAX_STATEMENTS = 4
# Numbers of publications to compare before and after a feature shift, and the smallest gradient growth to report.
_PUBLICATIONS_BEFORE, _PUBLICATIONS_AFTER, _NOTABLE_GROWTH = 8, 4, 3.0
_FRACTIONS = {0.5: "half", 0.25: "a quarter of", 0.125: "an eighth of"}


def write_narrative(history: RunHistory) -> list[str]:
    """Writes at most four statements of one or more sentences, the most important first."""
    statements = _describe_divergences(history)
    if nonfinite := int((~history.loss.finite_mask).sum()):
        statements.append(f"The loss was not finite in {nonfinite:,} of {history.loss.steps.size:,} publications.")
    statements += _describe_feature_shifts(history)
    statements += _describe_clipping(history.clipping_factors, history.rule)
    statements += describe_spikes(history.spikes)
    return statements[:_MAX_STATEMENTS]


def describe_outcome(incident: Incident) -> list[str]:
    """Describes the course of a divergence after its first event, one sentence per development."""
    start = incident.first_divergence
    full_divergences = [event for event in incident.select("full_divergence") if event is not start]
    stops = [event for event in incident.select("nonfinite") if event is not start]
    rollbacks, returns = incident.select("rollback"), incident.select(*RETURN_KINDS)
    repeated_divergences = [event for event in full_divergences if rollbacks and event.step > rollbacks[-1].step]
    sentences = []
    if full_divergences:
        first = full_divergences[0]
        data = " on held-out data" if _is_held_out(first) else ""
        sentences.append(f"Full divergence was declared{data} at step {format_count(first.step)}.")
    if stops:
        step = format_count(stops[0].step)
        sentences.append(f"Training could not continue at step {step} because numbers were not finite.")
    if rollbacks:
        sentences.append(_describe_rollbacks(rollbacks))
    if repeated_divergences:
        step = format_count(repeated_divergences[0].step)
        sentences.append(f"Full divergence was declared again at step {step}.")
    if incident.select("no_rollback"):
        sentences.append(f"{'Another' if rollbacks else 'A'} rollback was needed but not possible.")
    is_lost = stops or repeated_divergences or (full_divergences and not rollbacks)
    last_step = format_count(incident.last_step)
    if incident.unrecovered_tasks and start.kind == "out_of_range" and not is_lost:
        tasks = incident.unrecovered_tasks
        subject = f"{_name_task(tasks[0])} was" if len(tasks) == 1 else f"{len(tasks)} tasks were"
        sentences.append(f"At step {last_step}, the last recorded step, {subject} still out of range.")
    elif returns and start.kind not in RETURN_KINDS and returns[-1].step == incident.last_step:
        tasks = incident.tasks
        subject = f"{_name_task(tasks[0])} was" if len(tasks) == 1 else f"all {len(tasks)} tasks were"
        sentences.append(f"At step {last_step}, {subject} back in range.")
    return sentences


def describe_spikes(spikes: Sequence[Spike]) -> list[str]:
    """Counts the steps with spikes and describes the largest spike; empty without spikes."""
    if not spikes:
        return []
    steps = {spike.step for spike in spikes}
    unexplained = {spike.step for spike in spikes if not spike.is_explained}
    sentences = [f"The loss spiked at {pluralize(len(steps), 'step')}."]
    largest = max(spikes, key=lambda spike: spike.ratio)
    if largest.loss is not None:
        subject = "The largest spike was" if len(spikes) > 1 else "The spike was"
        sentences.append(
            f"{subject} in {_name_task(largest.task)} at step {format_count(largest.step)}: {_describe_height(largest)}."
        )
    explained = len(steps) - len(unexplained)
    if explained:
        if unexplained:
            explained_spikes = f"the spikes at {explained:,} of these steps"
        else:
            explained_spikes = "all of these spikes" if len(steps) > 1 else "this spike"
        sentences.append(
            f"Unusual labels explain {explained_spikes}: a constant prediction would have a high loss too."
        )
    return [" ".join(sentences)]


def _describe_divergences(history: RunHistory) -> list[str]:
    if not history.divergences:
        return [_describe_verdict(history)]
    first, *others = history.divergences
    statements = [_describe_incident(first)]
    if others:
        count = len(others)
        statements.append("Another incident followed." if count == 1 else f"{count:,} more incidents followed.")
        statements.append(_describe_incident(others[-1]))
    last = history.divergences[-1]
    # An incident with a task that is still out of range lasts to the end of the record.
    has_ended = last.severity != "full" or last.select("rollback", *RETURN_KINDS)
    if has_ended and history.last_step > last.last_step and history.verdict != "full":
        steps = pluralize(int(history.last_step - last.last_step), "step")
        statements.append(f"Nothing diverged in the {steps} since then.")
    elif history.verdict == "full" and not any(incident.severity == "full" for incident in history.divergences):
        statements.append("The verdict is full divergence.")
    return statements


def _describe_verdict(history: RunHistory) -> str:
    return {
        "healthy": "Nothing has diverged so far." if history.may_continue else "Nothing diverged.",
        "micro": "Training diverged for a while and recovered.",
        "full": "Training diverged and did not recover.",
        "": "The run has no verdict on divergence yet.",
    }.get(history.verdict, f"The verdict on divergence is: {history.verdict}.")


def _describe_incident(incident: Incident) -> str:
    return " ".join([_describe_start(incident), *describe_outcome(incident)])


def _describe_start(incident: Incident) -> str:
    start = incident.first_divergence
    others = len(incident.tasks) - 1
    tasks = _name_task(start.task) + (f" and {pluralize(others, 'other task')}" if others else "")
    if start.kind == "nonfinite":
        text = "training could not continue because numbers were not finite"
    elif start.kind == "chance":
        text = "no task was better than a constant prediction on held-out data"
    elif start.kind == "full_divergence":
        text = f"full divergence of {tasks} was declared{' on held-out data' if _is_held_out(start) else ''}"
    elif start.kind == "out_of_range":
        # Other tasks may have left their range by another measure.
        text = f"{'' if others else _name_measure(start)}{tasks} went out of range"
    else:
        # Old records contain only the return.
        text = f"{tasks} returned to range"
    cause = f", after the feature {start.feature} had shifted" if start.feature else ""
    return f"At step {format_count(start.step)}, {text}{cause}."


def _describe_rollbacks(rollbacks: Sequence[RunEvent]) -> str:
    last = rollbacks[-1]
    text = f"The run rolled back at step {format_count(last.step)}"
    if len(rollbacks) > 1:
        text = f"The run rolled back {len(rollbacks)} times, last at step {format_count(last.step)}"
    restored, factor = last.values.get("restored_step"), last.values.get("learning_rate_factor")
    if restored is not None:
        text += f" to the weights of step {format_count(restored)}"
    if factor is not None:
        fraction = _FRACTIONS.get(factor, f"{format_decimal(factor, 3)} times")
        text += f"{' and' if restored is not None else ','} continued at {fraction} the learning rate"
    return f"{text}."


def _describe_feature_shifts(history: RunHistory) -> list[str]:
    """Describes the last feature shift outside of divergences, and the gradient that grew most with it."""
    shifts = [
        event
        for incident in history.incidents
        if not incident.is_divergence
        for event in incident.select("feature_shift")
    ]
    if not shifts:
        return []
    last = shifts[-1]
    order = f", the last of {len(shifts)} such shifts" if len(shifts) > 1 else ""
    detail = f": {last.evidence}" if last.evidence else ""
    text = f"The feature {last.feature} left its usual range at step {format_count(last.step)}{order}{detail}."
    layer, growth = _find_largest_growth(history.gradient_norms, last.step)
    if growth >= _NOTABLE_GROWTH:
        text += f" The gradient of {layer} then grew to {format_count(round(growth))} times its usual norm."
    return [text]


def _find_largest_growth(gradient_norms: Mapping[str, Series], step: float) -> tuple[str, float]:
    """Finds the layer whose gradient norm grew most from before a step to after it, and the ratio."""
    largest = "", 0.0
    for layer, norms in gradient_norms.items():
        before = norms.values[norms.finite_mask & (norms.steps < step)][-_PUBLICATIONS_BEFORE:]
        after = norms.values[norms.finite_mask & (norms.steps >= step)][:_PUBLICATIONS_AFTER]
        if len(before) and len(after) and np.median(before) > 0:
            largest = max(largest, (layer, float(after.max() / np.median(before))), key=lambda candidate: candidate[1])
    return largest


def _describe_clipping(factors: Mapping[str, Series], rule: str) -> list[str]:
    smallest: tuple[float, str, int] | None = None
    for layer, series in factors.items():
        if series.finite_mask.any():
            index = int(np.argmin(np.where(series.finite_mask, series.values, np.inf)))
            if smallest is None or series.values[index] < smallest[0]:
                smallest = float(series.values[index]), layer, index
    if smallest is None:
        return []
    factor, layer, index = smallest
    name = capitalize_first(rule).replace("_", " ") or "The rule"
    if factor >= 1:
        return [f"{name} clipped no step."]
    steps = factors[layer].steps
    first = steps[index - 1] + 1 if index else 1
    when = (
        f"between steps {format_count(first)} and {format_count(steps[index])}"
        if first < steps[index]
        else f"at step {format_count(first)}"
    )
    return [f"{name} clipped {layer} most, down to a factor of {format_decimal(factor, 3)} {when}."]


def _describe_height(spike: Spike) -> str:
    """``loss 35.24 (usual 3.705)``."""
    if spike.loss is None or spike.loss == float("inf"):
        return "the loss was not finite"
    usual = f" (usual {format_decimal(spike.usual)})" if spike.usual is not None else ""
    return f"{'normalized loss' if spike.is_normalized else 'loss'} {format_decimal(spike.loss)}{usual}"


def _is_held_out(event: RunEvent) -> bool:
    return event.values.get("held_out", 0.0) == 1.0


def _name_measure(event: RunEvent) -> str:
    if "auc" in event.values:
        return "the AUC of "
    return "the loss of " if event.values.keys() & {"loss", "normalized_loss"} else ""


def _name_task(task: str) -> str:
    return task or "the model"
