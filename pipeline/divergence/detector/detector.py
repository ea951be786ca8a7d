"""Turns measurements into events and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....foundation.metric_key import MetricKey
from ....foundation.run_terms import EventKind, Health, Verdict
from ..event import Event
from ..signal_statistics import WindowStatistics
from .feature_shifts import FeatureShiftDetector
from .layer_checks import LayerChecks
from .loss_checks import LossChecks
from .publication_checks import compute_safe_auc, find_bad_loss, find_collapsed_auc, is_at_chance, list_tasks
from .recent_shifts import RecentShifts
from .spikes import compute_alarm_threshold
from .step_losses import Window
from .task_range import TaskRange
from .task_state import TaskState
from .thresholds import Thresholds
from .weight_state import WeightState

_FINAL_KINDS: tuple[EventKind, ...] = ("chance", "nonfinite")
# Events of these kinds do not change the verdict.
_REMARK_KINDS: tuple[EventKind, ...] = (
    "spike",
    "over_clipping",
    "dead_layer",
    "nonfinite_values",
    "no_rollback",
    "feature_shift",
)
# Events of these kinds get no explanation by a feature shift.
_UNEXPLAINED_KINDS: tuple[EventKind, ...] = ("feature_shift", "micro_divergence", "recovery")


class Detector:
    """Detects divergence in the measurements of a training run.

    The detector has no clock, reads no files and uses no framework, so it can also judge a recorded run. Its input has
    two forms:

    - *windows* (:meth:`observe_window`): statistics of the measurements of single steps;
    - *publications* (:meth:`observe_metrics`): metrics over many steps, such as AUC. Without probes, they are the only input.

    A task is *out of range* if its loss is not finite, if its loss is far above the loss of a constant prediction and
    does not fall, or if its AUC was clearly above chance and has fallen back to chance. A task that returns to its
    range had a *micro-divergence*. If it stays out of range longer than the patience, the divergence is *full* until
    the task recovers. Weights that are not finite are a full divergence at once (:meth:`observe_weights`).

    Args:
      thresholds: The settings. Default: :class:`Thresholds` with its defaults.

    Attributes:
      events: All events so far, in the order of their steps.
      last_publication_step: The step of the last publication.

    Example:
    >>> detector = Detector()
    >>> for step in range(32, 160, 32):
    ...     events = detector.observe_metrics(step, {"loss": float("nan")})
    >>> detector.verdict, [event.kind for event in detector.events]
    ('full', ['out_of_range', 'full_divergence'])
    """

    def __init__(self, thresholds: Thresholds | None = None):
        self.thresholds = thresholds or Thresholds()
        self.events: list[Event] = []
        self.last_publication_step = 0
        self._tasks: dict[str, TaskState] = {}
        self._losses = LossChecks(self.thresholds, self._task)
        self._weights = WeightState()
        self._layers = LayerChecks(self.thresholds)
        self._feature_shifts = FeatureShiftDetector()
        self._recent_shifts = RecentShifts()

    @property
    def verdict(self) -> Verdict:
        """``full`` while a task is fully diverged; otherwise ``micro`` if a task was ever out of range; otherwise ``healthy``."""
        if self.health == "full" or any(event.kind in _FINAL_KINDS for event in self.events):
            return "full"
        return "micro" if any(event.kind not in _REMARK_KINDS for event in self.events) else "healthy"

    @property
    def health(self) -> Health:
        """The current state of training: ``healthy``, ``out_of_range`` or ``full``."""
        ranges = [state.range for state in self._tasks.values()]
        if self._weights.since is not None or any(task.is_full for task in ranges):
            return "full"
        return "out_of_range" if any(task.since is not None for task in ranges) else "healthy"

    @property
    def out_of_range_since(self) -> int | None:
        """The first step of the current out-of-range period; None if all tasks are in range."""
        steps = [self._weights.since, *(state.range.since for state in self._tasks.values())]
        return min((step for step in steps if step is not None), default=None)

    def compute_alarm_thresholds(self) -> dict[str, float]:
        """Computes, for each task, the loss signal to watch and the value above which a step is a spike or out of range."""
        thresholds = {}
        for task, state in self._tasks.items():
            kind, value = compute_alarm_threshold(state, self.thresholds)
            thresholds[str(MetricKey(kind, task))] = value
        return thresholds

    def observe_window(self, before: int, window: WindowStatistics, learning_rate: float | None = None) -> list[Event]:
        """Judges a window of steps.

        Args:
          before: Number of training steps before the window.
          window: The statistics of its signals; see :mod:`~...probes`.
          learning_rate: The learning rate at the end of the window, if known. While it rises to its first maximum, a
            loss that does not fall yet is no divergence.

        Returns:
          The new events in the order of their steps, which :attr:`events` includes as well.
        """
        if self._weights.since is not None:
            # No loss means anything until the weights are finite again.
            return []
        signals, end = window.signals, before + window.steps
        events = self._recent_shifts.add(self._feature_shifts.observe_window(before, signals))
        events += self._layers.find_nonfinite(before, signals)
        events += self._losses.observe_window(Window(before, window.steps), signals, learning_rate)
        events = [self._explain(event, window.steps) for event in events] + self._layers.find_dead(end, signals)
        return self._add(events)

    def observe_weights(self, step: int, since: int, layers: Sequence[str]) -> list[Event]:
        """Judges whether the weights are finite after a step.

        Weights that are not finite do not return to finite values by themselves, so they are a full divergence at once.

        Args:
          step: The step.
          since: The first step that may have made them not finite.
          layers: The layers with weights that are not finite, in the model's order. Empty if all weights are finite.

        Returns:
          The new events, which :attr:`events` includes as well.
        """
        return self._add(self._weights.observe(step, since, layers))

    def observe_metrics(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        """Judges one publication of metrics.

        Args:
          step: The last step that the metrics cover.
          metrics: By key; see :mod:`.publication_checks` and :class:`.layer_checks.LayerChecks`.

        Returns:
          The new events, which :attr:`events` includes as well.
        """
        events: list[Event] = []
        tasks = list_tasks(metrics)
        tasks_with_auc = [task for task in tasks if f"auc/{task}" in metrics]
        collapsed_tasks = [
            task
            for task in tasks_with_auc
            if find_collapsed_auc(task, metrics, self._task(task).best_auc, self.thresholds)
        ]
        for task in tasks:
            events += self._observe_task_metrics(task, step, metrics, tasks_with_auc, collapsed_tasks)
        events += self._layers.find_over_clipped(step, step - self.last_publication_step, metrics)
        self.last_publication_step = step
        return self._add(events)

    def skip_publication(self, step: int) -> None:
        """Records a publication without judging it."""
        self.last_publication_step = step

    def judge_final_metrics(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        """Judges the final model by its metrics on held-out data.

        A task that is out of range on held-out data has fully diverged, without patience. If no binary task ranks
        better than chance and no regression beats the mean label, the model has diverged, even without any other event.
        """
        events = []
        tasks = list_tasks(metrics)
        for task in tasks:
            state = self._task(task)
            evidence = find_bad_loss(task, metrics, self.thresholds) or find_collapsed_auc(
                task, metrics, state.best_auc, self.thresholds
            )
            if evidence and not state.range.is_full:
                state.range.is_full = True
                evidence = evidence.with_context("on held-out data", held_out=1.0)
                events.append(Event(step, "full_divergence", task, evidence.text, values=evidence.values))
        if tasks and not events and all(is_at_chance(task, metrics) for task in tasks):
            evidence_of_chance = "on held-out data, no task is predicted better than by a constant"
            events.append(Event(step, "chance", "", evidence_of_chance, values={"held_out": 1.0}))
        return self._add(events)

    def record(self, event: Event) -> Event:
        """Adds an event from outside, such as a rollback. The kind ``nonfinite`` is a full divergence."""
        self._add([event])
        return event

    def reset_after_rollback(self) -> None:
        """Marks every task as in range. Keeps the events and the usual losses."""
        for state in self._tasks.values():
            state.range.reset()
        self._weights.reset()
        self._layers.reset()

    def get_state(self) -> dict[str, Any]:
        """Returns the whole state as plain types, for a checkpoint."""
        return {
            "tasks": {task: state.get_state() for task, state in self._tasks.items()},
            "highest_rate": self._losses.highest_rate,
            "weights": self._weights.get_state(),
            "layers": self._layers.get_state(),
            "feature_shifts": self._feature_shifts.get_state(),
            "recent_shifts": self._recent_shifts.get_state(),
            "last_publication_step": self.last_publication_step,
            "events": [event.to_dict() for event in self.events],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Does the inverse of :meth:`get_state`."""
        self._tasks = {task: TaskState.from_state(known) for task, known in state["tasks"].items()}
        self._losses.highest_rate = state["highest_rate"]
        self._weights = WeightState(**state["weights"])
        self._layers.set_state(state["layers"])
        self._feature_shifts.set_state(state["feature_shifts"])
        self._recent_shifts.set_state(state["recent_shifts"])
        self.last_publication_step = state["last_publication_step"]
        self.events = [Event(**event) for event in state["events"]]

    def _add(self, events: Sequence[Event]) -> list[Event]:
        """Adds events and returns them, both in the order of their steps."""
        added = sorted(events, key=lambda event: event.step)
        self.events = sorted([*self.events, *added], key=lambda event: event.step)
        return added

    def _task(self, task: str) -> TaskState:
        return self._tasks.setdefault(task, TaskState(TaskRange(task)))

    def _observe_task_metrics(
        self,
        task: str,
        step: int,
        metrics: Mapping[str, float],
        tasks_with_auc: Sequence[str],
        collapsed_tasks: Sequence[str],
    ) -> list[Event]:
        """Judges one task of a publication. ``collapsed_tasks``: the tasks whose AUC has collapsed."""
        state = self._task(task)
        # With step measurements, use publications only for the AUC, which requires many steps.
        are_steps_measured = bool(state.losses) or "steps" in state.range.out_since
        evidence = None if are_steps_measured else find_bad_loss(task, metrics, self.thresholds)
        evidence = evidence or find_collapsed_auc(task, metrics, state.best_auc, self.thresholds)
        if evidence is None:
            state.range.bad_publications = 0
            events = state.range.mark_in_range("publications", step)
            state.best_auc = max(state.best_auc, compute_safe_auc(task, metrics))
            return events
        state.range.bad_publications += 1
        steps_out = 0 if state.range.since is None else step - state.range.since + 1
        most_collapsed = task in collapsed_tasks and 2 * len(collapsed_tasks) >= len(tasks_with_auc)
        is_stuck = most_collapsed and steps_out >= self.thresholds.patience_steps
        is_full = is_stuck or state.range.bad_publications >= self.thresholds.patience_publications
        return state.range.mark_out_of_range("publications", step, step, evidence, is_full)

    def _explain(self, event: Event, window_steps: int) -> Event:
        """Adds the feature that shifted shortly before an event."""
        if event.kind in _UNEXPLAINED_KINDS:
            return event
        start_step = event.step
        if event.kind == "full_divergence":
            # A shift before the start of the divergence may explain it.
            since = self._task(event.task).range.since
            start_step = event.step if since is None else since
        if event.kind in ("out_of_range", "full_divergence") and "normalized_loss" not in event.values:
            # Without a normalized loss, only the first window of the divergence is known, and not its first step.
            start_step += window_steps - 1
        return self._recent_shifts.explain(event, start_step)
