"""From series of numbers to events and a verdict; pure: no clock, no file, no framework.

The series come in two grains. *Windows* (:meth:`Detector.observe_window`) hold what every single step of some steps measured,
see :class:`.signals.SignalStatistics`; *publications* (:meth:`Detector.observe_metrics`) hold metrics over many steps, AUC among them, and are
all there is where nothing looks into the step.

A task is *out of range* when one of these holds, none of which depends on what the loss used to be, so that a shift of the
labels is no alarm by itself:

* its loss is not finite;
* its loss is far above that of a constant prediction (cross entropy against the entropy of the labels' mean; for a
  regression the squared error against the labels' variance);
* its AUC, once clearly above chance, has fallen back to chance.

Where no constant's loss is known, a loss of many times what it used to be counts instead. Out of range and back again is a
*micro-divergence*; out of range for longer than the patience a *full divergence*, until it comes back, if it ever does.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping
from typing import Any

from ...foundation.constant_baseline import constant_cross_entropy
from .shifts import Shifts
from .signal_statistics import SignalStatistics

# What nothing that comes after can mend.
_FINAL = ("chance", "nonfinite")
# What says nothing of the tasks' health by itself.
_REMARKS = ("spike", "over_clipping", "dead_layer", "nonfinite_values", "no_rollback", "feature_shift")
# Windows that the usual height and noise of a loss are taken from, and how many are needed before a spike is called one.
_HISTORY, _ENOUGH = 24, 4
# After so many windows in a row with a spike they are usual.
_OFTEN = 4
# What goes wrong so many steps after a feature changed may come from that.
_AFTER, _CHANGES = 64, 16
# A run out of range of fewer steps is a spike, not a divergence.
_SHORTEST = 3


@dataclasses.dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
      step: The training step, counted from 1, at which it happened; of what publications alone show, that of the publication.
      kind: ``spike`` (the loss of single steps), ``out_of_range`` (it began), ``micro_divergence`` (it came back),
        ``full_divergence`` (it stayed), ``recovery`` (it came back after a full divergence), ``nonfinite_values`` (in an
        output of a layer), ``over_clipping`` (steps have been all but stopped for long: stable, but learning nothing),
        ``dead_layer``, ``feature_shift`` (the data changed), ``chance`` (the final model ranks like a coin), ``nonfinite`` (training could not go on),
        ``rollback``, or ``no_rollback`` (one was called for, and could not be made).
      task: The task, or "" for the whole model.
      evidence: What was measured, in words.
      values: The numbers of the evidence, all finite:

        | kind | keys |
        |---|---|
        | ``spike`` | ``loss``, ``usual`` and ``spread`` (median loss and deviation of single steps); ``normalized_loss`` and ``usual_normalized_loss`` when the labels do not explain the spike; ``explained``: 1 if they do, else 0; ``count``: steps with a loss that is not finite, and then no ``loss`` |
        | ``out_of_range``, ``full_divergence`` | ``loss`` with ``normalized_loss`` or ``usual``; or ``normalized_loss`` and ``usual_normalized_loss``; or ``auc`` and ``usual``; ``since``: first step out of range; ``held_out``: 1 on held-out data |
        | ``micro_divergence``, ``recovery`` | ``since``, if it is known |
        | ``feature_shift`` | ``value``, ``usual``, ``count`` (features that changed) |
        | ``dead_layer`` | ``dead_share`` |
        | ``over_clipping`` | ``clipping_factor``, ``count`` (publications) |
        | ``rollback`` | ``restored_step``, ``learning_rate_factor``, ``count``, ``max_rollbacks``, ``warmup_steps`` |

      layer: The layer, where it is known.
      feature: The input, where it is known: of ``feature_shift`` the one that went furthest, of what goes wrong the one that had
        changed shortly before.
    """

    step: int
    kind: str
    task: str
    evidence: str
    layer: str = ""
    feature: str = ""
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        who = self.task or self.layer or (self.feature if self.kind == "feature_shift" else "") or "the model"
        return f"step {self.step:,}: {self.kind} of {who}: {self.evidence}"


@dataclasses.dataclass
class _Task:
    best_auc: float = 0.5
    # Whether its loss was ever in range: before, a model has yet to begin to learn.
    entered: bool = False
    # The least normalized_loss of its first window.
    first: float | None = None
    # By what tells it ("steps", "publications"): since which step it is out of range.
    since: dict[str, int] = dataclasses.field(default_factory=dict)
    publications: int = 0
    reason: str = ""
    full: bool = False
    # Windows in a row with a spike.
    spiked: int = 0
    # Of its last windows: mean, deviation and maximum of the loss …
    losses: list[tuple[float, float, float]] = dataclasses.field(default_factory=list)
    # … and of the normalized_loss.
    normalized_losses: list[tuple[float, float, float]] = dataclasses.field(default_factory=list)


class Detector:
    """Watches the published metrics of a run.

    Args:
      patience: Publications out of range after which a divergence is a full one.
      patience_steps: Steps in a row out of range after which it is one, where every step is seen.
      loss_ratio: How many times the loss of a constant prediction is out of range (the RMSE: its square root).
      loss_growth: How many times its usual value a loss is out of range where no constant's is known.
      collapse_share: A task's AUC has collapsed when less than this share of its best lead over chance is left.
      spike_deviations: How many deviations of single steps above its usual value a loss is a spike.
      over_clipping_factor: A layer is over-clipped when nine in ten steps of ``patience`` publications were clipped and the last
        factors were below this.
      dead_share: A layer is dead when more than this share of its units is.

    The keys of publications are the project's: ``loss``, ``loss/<task>``, ``auc/<task>``, ``rmse/<task>``,
    ``rmse_of_mean/<task>``, ``label_mean/<task>``, ``examples/<task>``, ``clipped_steps/<layer>``,
    ``clipping_factor_last/<layer>``. What a publication lacks is not judged.

    Raises:
      ValueError: When an argument is out of its range.
    """

    def __init__(
        self,
        *,
        patience: int = 3,
        patience_steps: int = 20,
        loss_ratio: float = 2.0,
        loss_growth: float = 10.0,
        collapse_share: float = 0.25,
        spike_deviations: float = 8.0,
        over_clipping_factor: float = 0.05,
        dead_share: float = 0.95,
    ):
        for name, value in (("patience", patience), ("patience_steps", patience_steps)):
            if value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")
        for name, ratio in (
            ("loss_ratio", loss_ratio),
            ("loss_growth", loss_growth),
            ("spike_deviations", spike_deviations),
        ):
            if not ratio > 1:
                raise ValueError(f"{name} must be above 1, got {ratio}")
        for name, share in (
            ("collapse_share", collapse_share),
            ("over_clipping_factor", over_clipping_factor),
            ("dead_share", dead_share),
        ):
            if not 0 < share < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {share}")
        self.loss_ratio = loss_ratio
        self._patience = patience
        self._patience_steps = patience_steps
        self._loss_growth = loss_growth
        self._collapse_share = collapse_share
        self._spike_deviations = spike_deviations
        self._over_clipping_factor = over_clipping_factor
        self._dead_share = dead_share
        self._tasks: dict[str, _Task] = {}
        self._ill_layers: dict[str, int] = {}
        self._shifts = Shifts()
        self._changes: list[tuple[int, str]] = []
        self.last_publication_step = 0
        self.events: list[Event] = []

    @property
    def verdict(self) -> str:
        """``full`` while a task is fully diverged, else ``micro`` if anything left its range, else ``healthy``."""
        if any(task.full for task in self._tasks.values()) or any(e.kind in _FINAL for e in self.events):
            return "full"
        return "micro" if any(e.kind not in _REMARKS for e in self.events) else "healthy"

    @property
    def health(self) -> str:
        """How the tasks do now: ``healthy``, ``out_of_range`` or ``full``."""
        tasks = self._tasks.values()
        if any(task.full for task in tasks):
            return "full"
        return "out_of_range" if any(task.since for task in tasks) else "healthy"

    @property
    def out_of_range_since(self) -> int | None:
        """The first step since which a task is out of range now; None when none is."""
        return min((step for task in self._tasks.values() for step in task.since.values()), default=None)

    def compute_alarm_thresholds(self) -> dict[str, float]:
        """By signal the value above which a single step is a spike or out of range."""
        thresholds: dict[str, float] = {}
        for task, state in self._tasks.items():
            suffix = f"/{task}" if task else ""
            of_loss, of_excess = self._height_of_spikes(state.losses), self._height_of_spikes(state.normalized_losses)
            if state.normalized_losses:
                # A loss that the labels explain is no bad step.
                thresholds[f"normalized_loss{suffix}"] = min(of_excess, self.loss_ratio if state.entered else math.inf)
            else:
                thresholds[f"loss{suffix}"] = of_loss
        return thresholds

    def _height_of_spikes(self, history: list[tuple[float, float, float]], times: float = 2) -> float:
        """Above this value a single step is a spike; infinite while too little is known of what is usual."""
        if len(history) < _ENOUGH:
            return math.inf
        mean, deviation, reach = _usual(history)
        return mean + max(self._spike_deviations * deviation, times * reach)

    def observe_window(self, before: int, steps: int, signals: Mapping[str, SignalStatistics]) -> list[Event]:
        """Takes what some steps measured; returns what it brought, which is kept in ``events`` as well.

        Args:
          before: Training steps before the window.
          steps: Steps of the window.
          signals: By signal, see :mod:`.probes`.
        """
        end = before + steps
        new = self._shifted(before, signals) + self._nonfinite_layers(before, signals)
        normalized_losses = {
            key.partition("/")[2]: reading for key, reading in signals.items() if _kind(key) == "normalized_loss"
        }
        # Labels that become harder to predict cost one task its skill; a divergence costs it all that share layers.
        lost = [
            task
            for task, normalized_loss in normalized_losses.items()
            if self._lost_skill(self._task(task), normalized_loss)
        ]
        gone = [
            task
            for task, normalized_loss in normalized_losses.items()
            if self._has_no_skill(self._task(task), normalized_loss)
        ]
        for key, loss in signals.items():
            kind, _, task = key.partition("/")
            if kind != "loss" or (not task and any(other.startswith("loss/") for other in signals)):
                continue
            state, normalized_loss = self._task(task), normalized_losses.get(task)
            may_lose = 2 * len(lost) >= len(normalized_losses) or "steps" in state.since
            reason, since, run = self._steps_out_of_range(state, before, steps, loss, normalized_loss, may_lose)
            if reason and (run >= _SHORTEST or "steps" in state.since):
                stays = self._stays(task, gone, len(normalized_losses), end - since + 1)
                new += self._worse(state, "steps", since, end, task, reason, stays or run >= self._patience_steps)
            else:
                # Back in range is who stayed there for a whole window.
                new += [] if reason else self._better(state, "steps", end, task)
                spikes = self._spikes(state, before, task, loss, normalized_loss)
                new += spikes
                state.spiked = state.spiked + 1 if spikes else 0
            # A window with a spike would hide the next one; many in a row are what is usual now.
            if not state.since and not 0 < state.spiked < _OFTEN:
                for kept, reading in ((state.losses, loss), (state.normalized_losses, normalized_loss)):
                    if reading is not None and reading.finite:
                        kept[:] = [*kept, (reading.mean, reading.deviation, reading.maximum)][-_HISTORY:]
        new = [self._explained(event) for event in new] + self._dead_layers(end, signals)
        self.events += new
        return new

    def observe_metrics(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        """Takes one publication; returns what it brought, which is kept in ``events`` as well."""
        new: list[Event] = []
        ranked = [name for name in _task_names(metrics) if f"auc/{name}" in metrics]
        gone = [name for name in ranked if self._collapsed(self._task(name), name, metrics)]
        for name in _task_names(metrics):
            state = self._task(name)
            # Where every step is seen, publications add what is known of many steps together only.
            reason = "" if state.losses or "steps" in state.since else self._loss_out_of_range(name, metrics)
            reason = reason or self._collapsed(state, name, metrics)
            if reason:
                state.publications += 1
                since = min(state.since.values(), default=step + 1)
                stays = self._stays(name, gone, len(ranked), step - since + 1)
                full = stays or state.publications >= self._patience
                new += self._worse(state, "publications", step, step, name, reason, full)
            else:
                state.publications = 0
                new += self._better(state, "publications", step, name)
                state.best_auc = max(state.best_auc, _solid_auc(name, metrics))
        new += self._over_clipped(step, metrics)
        self.last_publication_step = step
        self.events += new
        return new

    def skip_publication(self, step: int) -> None:
        """Takes note of a publication that says nothing."""
        self.last_publication_step = step

    def judge_final_metrics(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        """Judges the final model on data that it was not trained on.

        A task out of range here counts as fully diverged at once. A model of which no binary task ranks better than
        chance, and no regression beats the mean, has diverged too, even if it never did anything else.
        """
        new = []
        names = _task_names(metrics)
        for name in names:
            state = self._task(name)
            reason = self._loss_out_of_range(name, metrics) or self._collapsed(state, name, metrics)
            if reason and not state.full:
                state.full = True
                new.append(Event(step, "full_divergence", name, f"on held-out data {reason}"))
        if names and not new and all(_at_chance(name, metrics) for name in names):
            new.append(Event(step, "chance", "", "on held-out data no task is predicted better than by a constant"))
        self.events += new
        return new

    def record(self, event: Event) -> Event:
        """Takes note of an event that something else saw; ``nonfinite`` is a full divergence."""
        self.events.append(event)
        return event

    def reset_after_rollback(self) -> None:
        """After a rollback no task is out of range; the events stay, and what was usual."""
        self._tasks = {
            name: dataclasses.replace(task, since={}, publications=0, reason="", full=False)
            for name, task in self._tasks.items()
        }
        self._ill_layers.clear()

    def get_state(self) -> dict[str, Any]:
        """All that it knows, in plain types."""
        return {
            "tasks": {name: dataclasses.asdict(task) for name, task in self._tasks.items()},
            "ill_layers": dict(self._ill_layers),
            "shifts": self._shifts.get_state(),
            "changes": self._changes,
            "published": self.last_publication_step,
            "events": [dataclasses.asdict(event) for event in self.events],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of :meth:`get_state`."""
        self._tasks = {
            name: _Task(
                **(task | {kept: [tuple(one) for one in task[kept]] for kept in ("losses", "normalized_losses")})
            )
            for name, task in state["tasks"].items()
        }
        self._ill_layers = dict(state["ill_layers"])
        # A state of before features were watched has none.
        self._shifts.set_state(state.get("shifts", {"usual": {}, "away": {}}))
        self._changes = [(int(step), str(feature)) for step, feature in state.get("changes", ())]
        self.last_publication_step = state["published"]
        self.events = [Event(**event) for event in state["events"]]

    def _task(self, name: str) -> _Task:
        return self._tasks.setdefault(name, _Task())

    # Out of range and back.

    def _stays(self, name: str, gone: list[str], tasks: int, steps: int) -> bool:
        """Whether a task that has been out of range for so many steps does not come back: it knows nothing, like most others."""
        return name in gone and 2 * len(gone) >= tasks and steps >= self._patience_steps

    def _worse(
        self, state: _Task, source: str, since: int, step: int, name: str, reason: str, full: bool
    ) -> list[Event]:
        """Out of range since a step, as seen at another."""
        new = []
        if not state.since:
            state.reason = reason
            new.append(Event(since, "out_of_range", name, reason))
        state.since.setdefault(source, since)
        first = min(state.since.values())
        if full and not state.full:
            state.full = True
            new.append(Event(step, "full_divergence", name, f"out of range since step {first}: {reason}"))
        return new

    def _better(self, state: _Task, source: str, step: int, name: str) -> list[Event]:
        began = min(state.since.values(), default=None)
        state.since.pop(source, None)
        if state.since or (began is None and not state.full):
            return []
        kind = "recovery" if state.full else "micro_divergence"
        since = f"out of range from step {began} on" if began is not None else "diverged"
        state.full = False
        return [Event(step, kind, name, f"{since} ({state.reason}), back in range at step {step}")]

    # What single steps tell.

    def _steps_out_of_range(
        self,
        state: _Task,
        before: int,
        steps: int,
        loss: SignalStatistics,
        normalized_loss: SignalStatistics | None,
        may_lose: bool,
    ) -> tuple[str, int, int]:
        """Why a task was out of range in a window, "" if it was not; since which step, and for how many in a row."""
        end = before + steps
        if normalized_loss is not None:
            if normalized_loss.finite:
                state.first = normalized_loss.minimum if state.first is None else state.first
                # In range once; or never, and further away from it than it began.
                in_range, away = (
                    normalized_loss.minimum <= self.loss_ratio,
                    normalized_loss.minimum > self._loss_growth * state.first,
                )
                begins = in_range and not state.entered
                state.entered = bool(state.entered or in_range or away)
                if begins:
                    # What was before it began to learn does not count.
                    normalized_loss = dataclasses.replace(normalized_loss, longest_run=normalized_loss.run)
            # A model that has not begun to learn is given time.
            known = state.entered or normalized_loss.nonfinite
            run = (
                normalized_loss.longest_run if known else max(normalized_loss.longest_run - 8 * self._patience_steps, 0)
            )
            lost = self._lost_skill(state, normalized_loss) if may_lose else ""
            if not run and not lost:
                return "", 0, 0
            began = (
                end - normalized_loss.run + 1
                if normalized_loss.run
                else before + max(normalized_loss.at_maximum - run + 1, 1)
            )
            since = state.since.get("steps", max(began if run else before + 1, 1))
            if loss.nonfinite:
                return "the loss is not finite", min(since, before + loss.first_nonfinite), run
            if not run:
                return lost, since, _SHORTEST
            return (
                f"the loss is {loss.maximum:.4g}, {normalized_loss.maximum:.3g} times that of a constant prediction",
                since,
                run,
            )
        if loss.nonfinite:
            return "the loss is not finite", before + loss.first_nonfinite, loss.nonfinite
        if len(state.losses) < _ENOUGH:
            return "", 0, 0
        usual = _usual(state.losses)
        if loss.mean <= max(self._loss_growth * usual[0], usual[0] + self._spike_deviations * usual[1]):
            return "", 0, 0
        since = state.since.get("steps", before + 1)
        return f"the loss is {loss.mean:.4g}, it was {usual[0]:.4g}", since, end - since + 1

    def _lost_skill(self, state: _Task, normalized_loss: SignalStatistics) -> str:
        """Why a task has lost most of its lead over a constant prediction; "" while it may have not."""
        usual, error = (
            _usual_normalized_loss(state),
            normalized_loss.deviation / math.sqrt(max(normalized_loss.finite, 1)),
        )
        if usual is None or normalized_loss.finite < _ENOUGH:
            return ""
        lead = 1.0 - usual
        if lead < 4 * error or normalized_loss.mean - 2 * error <= 1.0 - self._collapse_share * lead:
            return ""
        return f"the loss is {normalized_loss.mean:.3g} times that of a constant prediction, it was {usual:.3g}"

    def _has_no_skill(self, state: _Task, normalized_loss: SignalStatistics) -> bool:
        """Whether it was not once in a window better than a constant prediction, by anything worth the name."""
        usual = _usual_normalized_loss(state)
        lead = max(1.0 - usual, 0.0) if usual is not None else 0.0
        return (
            normalized_loss.finite + normalized_loss.nonfinite > 0 and not normalized_loss.minimum <= 1.0 - 0.1 * lead
        )

    def _spikes(
        self, state: _Task, before: int, task: str, loss: SignalStatistics, normalized_loss: SignalStatistics | None
    ) -> list[Event]:
        if state.since:
            return []
        if loss.nonfinite:
            evidence = f"the loss was not finite in {loss.nonfinite} step{'s' * (loss.nonfinite > 1)}"
            values = {"count": float(loss.nonfinite), "explained": 0.0}
            return [Event(before + loss.first_nonfinite, "spike", task, evidence, values=values)]
        if normalized_loss is not None and normalized_loss.maximum > self._height_of_spikes(state.normalized_losses):
            mean, deviation, _ = _usual(state.normalized_losses)
            evidence = (
                f"the loss is {normalized_loss.maximum:.3g} times that of a constant prediction, usually {mean:.3g} give or take "
                f"{deviation:.2g}"
            )
            values = {"normalized_loss": normalized_loss.maximum, "usual_normalized_loss": mean, "explained": 0.0}
            if state.losses and loss.at_maximum == normalized_loss.at_maximum:
                usual, spread, _ = _usual(state.losses)
                values |= {"loss": loss.maximum, "usual": usual, "spread": spread}
            return [Event(before + normalized_loss.at_maximum, "spike", task, evidence, values=values)]
        # Where the labels explain it, they must be very unusual.
        if loss.maximum <= self._height_of_spikes(state.losses, times=2 if normalized_loss is None else 4):
            return []
        mean, deviation, _ = _usual(state.losses)
        evidence = f"the loss is {loss.maximum:.4g}, usually {mean:.4g} give or take {deviation:.2g}"
        if normalized_loss is not None:
            evidence += "; that of a constant prediction is as unusual: the labels of the batch are"
        explained = float(normalized_loss is not None)
        values = {"loss": loss.maximum, "usual": mean, "spread": deviation, "explained": explained}
        return [Event(before + loss.at_maximum, "spike", task, evidence, values=values)]

    def _shifted(self, before: int, signals: Mapping[str, SignalStatistics]) -> list[Event]:
        """The features that left their usual range, as one event: a new kind of data changes many at once."""
        shifts = self._shifts.judge(before, signals)
        if not shifts:
            return []
        first, *others = shifts
        self._changes = [*self._changes, (first.step, first.feature)][-_CHANGES:]
        also = ", ".join(shift.feature for shift in others[:5]) + (f" and {len(others) - 5} more" * (len(others) > 5))
        evidence = first.evidence + (f"; so did {also}" if also else "")
        return [Event(first.step, "feature_shift", "", evidence, feature=first.feature)]

    def _explained(self, event: Event) -> Event:
        """An event that tells which feature had changed shortly before, if one had."""
        if event.kind in ("feature_shift", "micro_divergence", "recovery"):
            return event
        # Of a divergence, what came before it began counts.
        began = (
            min(self._task(event.task).since.values(), default=event.step)
            if event.kind == "full_divergence"
            else event.step
        )
        changes = [change for change in self._changes if 0 <= began - change[0] <= _AFTER]
        if not changes:
            return event
        step, feature = changes[-1]
        return dataclasses.replace(
            event, feature=feature, evidence=f"{event.evidence}; {feature} had left its usual range at step {step}"
        )

    def _nonfinite_layers(self, before: int, signals: Mapping[str, SignalStatistics]) -> list[Event]:
        """The first layer, in the order in which they compute, with a value that is not finite, at the first such step."""
        bad = {
            name.partition("/")[2]: reading.first_nonfinite
            for name, reading in signals.items()
            if name.startswith("activation/") and reading.nonfinite
        }
        if not bad:
            self._ill_layers.pop("nonfinite", None)
            return []
        if "nonfinite" in self._ill_layers:
            return []
        first = min(bad.values())
        layer = next(layer for layer, place in bad.items() if place == first)
        self._ill_layers["nonfinite"] = before + first
        evidence = "its output is the first one that is not finite"
        return [Event(before + first, "nonfinite_values", "", evidence, layer=layer)]

    def _dead_layers(self, step: int, signals: Mapping[str, SignalStatistics]) -> list[Event]:
        new = []
        for name, reading in signals.items():
            kind, _, layer = name.partition("/")
            if kind != "dead_units" or not reading.finite:
                continue
            if reading.minimum < self._dead_share - 0.1:
                self._ill_layers.pop(name, None)
            elif reading.minimum > self._dead_share and name not in self._ill_layers:
                self._ill_layers[name] = step
                evidence = f"{reading.minimum:.0%} of the units are 0 in every row of every batch"
                new.append(Event(step, "dead_layer", "", evidence, layer=layer))
        return new

    # What publications tell.

    def _over_clipped(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        new = []
        for key, factor in metrics.items():
            kind, _, layer = key.partition("/")
            if kind != "clipping_factor_last":
                continue
            often = metrics.get(f"clipped_steps/{layer}", 0) >= 0.9 * (step - self.last_publication_step)
            count = self._ill_layers.get(key, 0) + 1 if often and factor < self._over_clipping_factor else 0
            self._ill_layers[key] = count
            if count == self._patience:
                evidence = f"clipped in nine of ten steps over {count} publications, the last factor is {factor:.2g}"
                new.append(Event(step, "over_clipping", "", evidence, layer=layer))
        return new

    def _loss_out_of_range(self, name: str, metrics: Mapping[str, float]) -> str:
        loss = metrics[f"loss/{name}" if name else "loss"]
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        constant = _loss_of_constant(name, metrics)
        if constant and loss > self.loss_ratio * constant:
            return f"the loss is {loss:.4g}, a constant prediction has {constant:.4g}"
        return ""

    def _collapsed(self, state: _Task, name: str, metrics: Mapping[str, float]) -> str:
        auc, noise = metrics.get(f"auc/{name}"), _auc_noise(name, metrics)
        if auc is not None and state.best_auc - 0.5 > 6 * noise:
            left = auc - 0.5
            if left < max(self._collapse_share * (state.best_auc - 0.5), 2 * noise):
                return f"the AUC is {auc:.3f}, it was {state.best_auc:.3f}"
        return ""


def _usual(history: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Of a signal's last windows the usual height, the deviation of single steps and how far they usually reach above it."""
    means, deviations, maxima = zip(*history, strict=True)
    reaches = sorted(high - mean for mean, high in zip(means, maxima, strict=True))
    # Not by the largest: an earlier spike would hide the next.
    reach = reaches[int(0.8 * (len(reaches) - 1))]
    return statistics.median(means), statistics.median(deviations), reach


def _usual_normalized_loss(state: _Task) -> float | None:
    known = [mean for mean, _, _ in state.normalized_losses]
    return statistics.median(known) if len(known) >= _ENOUGH else None


def _kind(signal: str) -> str:
    return signal.partition("/")[0]


def _task_names(metrics: Mapping[str, float]) -> list[str]:
    """The tasks by name; the whole model, called "", where no task is told apart."""
    tasks = [key.removeprefix("loss/") for key in metrics if key.startswith("loss/")]
    return tasks or ([""] if "loss" in metrics else [])


def _loss_of_constant(name: str, metrics: Mapping[str, float]) -> float | None:
    deviation = metrics.get(f"rmse_of_mean/{name}")
    if deviation is not None:
        return deviation**2
    share = metrics.get(f"label_mean/{name}")
    if share is None or not 0 < share < 1:
        return None
    return constant_cross_entropy(share, share)


def _auc_noise(name: str, metrics: Mapping[str, float]) -> float:
    """Standard deviation of the AUC of a coin over the publication's rows; 0.02 when the rows are not known."""
    examples, share = metrics.get(f"examples/{name}"), metrics.get(f"label_mean/{name}")
    if not examples or share is None or not 0 < share < 1:
        return 0.02
    positives, negatives = examples * share, examples * (1 - share)
    return math.sqrt((examples + 1) / (12 * positives * negatives))


def _solid_auc(name: str, metrics: Mapping[str, float]) -> float:
    auc = metrics.get(f"auc/{name}")
    return auc - 2 * _auc_noise(name, metrics) if auc is not None else 0.5


def _at_chance(name: str, metrics: Mapping[str, float]) -> bool:
    auc = metrics.get(f"auc/{name}")
    if auc is not None:
        return auc < 0.5 + 2 * _auc_noise(name, metrics)
    rmse, deviation = metrics.get(f"rmse/{name}"), metrics.get(f"rmse_of_mean/{name}")
    return rmse is not None and deviation is not None and rmse >= deviation
