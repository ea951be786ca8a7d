"""The divergence monitor without Keras's base class for callbacks, which differs between Keras 2 and Keras 3."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import tensorflow as tf

from ...foundation.run_terms import Health, Verdict
from .bundles import Bundles
from .detector import Detector
from .event import Event
from .event_lines import format_events
from .keras_compat import is_from_keras, runs_in_tensorflow, unwrap_optimizer, uses_sessions
from .keras_logs import LoggedLosses, rename_keras_logs
from .keras_version import check_keras_version
from .problems import Problems
from .published_metrics import OptimizerMetrics, format_signal_metrics
from .recovery import Rollback, RollbackBudget, SnapshotStore
from .signal_statistics import WindowStatistics
from .weight_check import WeightCheck, find_cause
from .window_reader import WindowReader

Action = Literal["stop", "raise", "rollback"]
"""The action of the monitor after a full divergence."""


class Diverged(RuntimeError):
    """Training fully diverged, and the monitor was created with ``on_full="raise"``."""


class MonitorBase:
    """The methods of the callback.

    It connects the :class:`.window_reader.WindowReader`, which measures, the :class:`.detector.Detector`, which judges,
    and the :class:`.recovery.Rollback`, which restores. For the arguments, see :class:`.monitor.DivergenceMonitor`.
    """

    model: Any
    keras_version: int
    """The version of Keras that the callback belongs to, 2 or 3."""
    schedule_class: type
    """Keras's base class for learning rate schedules."""

    def __init__(
        self,
        *,
        every: int = 16,
        on_full: Action | None = None,
        detector: Detector | None = None,
        probes: bool = True,
        verbose: int = 0,
        on_event: Callable[[Event], None] | None = None,
        max_rollbacks: int = 3,
        learning_rate_factor: float = 0.5,
        warmup_steps: int = 64,
        snapshots: SnapshotStore | None = None,
        bundles: Bundles | str | os.PathLike[str] | None = None,
    ):
        super().__init__()
        actions = (None, *get_args(Action))
        if on_full not in actions:
            raise ValueError(f"on_full must be one of {', '.join(map(repr, actions))}, got {on_full!r}")
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every must be an integer of 1 or more, got {every!r}")
        self.step = 0
        self._watched: Any = None
        self.state = _CheckpointedState(self)
        self._every = every
        self._on_full = on_full
        self._on_event = on_event
        self._prints = bool(verbose) and on_event is None
        self._detector = detector or Detector()
        self._uses_probes = probes
        self._bundles = Bundles(bundles) if isinstance(bundles, str | os.PathLike) else bundles
        self.problems = Problems() if self._bundles is None else self._bundles.problems
        self._reader = WindowReader(self.problems)
        self._weight_check = WeightCheck()
        self._logged_losses = LoggedLosses()
        self._rollback = Rollback(
            RollbackBudget(max_rollbacks, learning_rate_factor, warmup_steps), snapshots, every, self.problems
        )
        self._optimizer_metrics = OptimizerMetrics()
        self._added_metrics: dict[str, float] = {}
        self._epoch_began_at = self._last_check = self._weights_checked_at = 0
        self._has_ended = self._begins_batches = False
        self._first_state = copy.deepcopy(self.get_state())

    # Results.

    @property
    def events(self) -> list[Event]:
        """All events so far, in the order of their steps."""
        return self._detector.events

    @property
    def verdict(self) -> Verdict:
        """``full`` while a task is fully diverged; otherwise ``micro`` if a task was ever out of range; otherwise ``healthy``."""
        return self._detector.verdict

    @property
    def health(self) -> Health:
        """The current state of training: ``healthy``, ``out_of_range`` or ``full``."""
        return self._detector.health

    @property
    def out_of_range_since(self) -> int | None:
        """The first step of the current out-of-range period; None if all tasks are in range."""
        return self._detector.out_of_range_since

    @property
    def rollback_count(self) -> int:
        """Rollbacks so far, over all fits and restarts."""
        return self._rollback.budget.count

    def to_dict(self) -> dict[str, Any]:
        """Returns the verdict and the events as plain types, as ``divergence.json`` holds them."""
        return {"verdict": self.verdict, "events": [event.to_dict() for event in self.events]}

    # Metrics, for a pipeline that publishes its own metrics.

    def read_metrics(self) -> dict[str, float]:
        """Returns the measurements since the last call, by metric key; see :mod:`.published_metrics`."""
        window = self._reader.take_unpublished(self.step)
        metrics = format_signal_metrics(window, self.step - window.steps)
        metrics |= self._optimizer_metrics.read(self.model.optimizer, self.model.name)
        added, self._added_metrics = self._added_metrics, {}
        return metrics | added

    def add_metrics(self, metrics: Mapping[str, float]) -> None:
        """Adds metrics from another source to the next result of :meth:`read_metrics`."""
        self._added_metrics |= metrics

    # Judgment and action.

    def check_steps(self, read_all_weights: bool = False) -> list[Event]:
        """Judges the steps since the last check, acts on a full divergence, and returns the new events.

        Args:
          read_all_weights: Whether to read all cells of large variables; see :mod:`.weight_check`.
        """
        return self._judge_window(self._reader.take_unchecked(self.step), read_all_weights)

    def _judge_window(self, window: WindowStatistics, read_all_weights: bool = False) -> list[Event]:
        events: list[Event] = []
        with self.problems.guard("judge the steps since the last check"):
            if window.steps:
                rate = _read_learning_rate(self.model)
                events += self._detector.observe_window(self.step - window.steps, window, rate)
        with self.problems.guard("check the weights"):
            events += self._check_weights(window, read_all_weights)
        self._act(sorted(events, key=lambda event: event.step))
        if self._bundles is not None and self._reader.has_probes:
            thresholds = self._detector.compute_alarm_thresholds()
            self._reader.set_alarm_thresholds(thresholds, armed=self._bundles.can_save(self.step))
        if not uses_sessions():
            self._rollback.save_snapshot(self.step, self.health == "healthy")
        return events

    def _check_weights(self, window: WindowStatistics, read_all: bool) -> list[Event]:
        """Judges whether the weights are finite."""
        before, self._weights_checked_at = min(self._weights_checked_at, self.step), self.step
        cause = find_cause(window)
        layers = self._weight_check.find_broken_layers(self.model, read_all or cause > 0)
        since = self.step - window.steps + cause if cause else before + 1
        return self._detector.observe_weights(self.step, min(since, self.step), layers)

    def observe_metrics(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        """Judges one publication of metrics, acts on a full divergence, and returns the new events.

        Args:
          step: The last step that the metrics cover.
          metrics: By key; see :meth:`.detector.Detector.observe_metrics`.
        """
        budget = self._rollback.budget
        if budget.count and self._detector.last_publication_step < budget.last_step <= step:
            # The metrics also cover steps from before the rollback.
            self._detector.skip_publication(step)
            return []
        events: list[Event] = []
        with self.problems.guard("judge the published metrics"):
            events = self._detector.observe_metrics(step, metrics)
        self._act(events)
        return events

    def judge_final_metrics(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        """Judges the final model on held-out data; see :meth:`.detector.Detector.judge_final_metrics`."""
        return self._detector.judge_final_metrics(step, metrics)

    def record_nonfinite(self, step: int, evidence: str) -> Event:
        """Records a full divergence: training cannot continue because numbers are not finite."""
        return self._record(Event(step, "nonfinite", "", evidence))

    def roll_back(self) -> bool:
        """Restores healthy weights and reduces the learning rate.

        Returns:
          Whether a rollback was possible. The monitor records an event in both cases.
        """
        event = self._rollback.roll_back(self.step, self._detector.out_of_range_since)
        if event.kind == "rollback":
            self._detector.reset_after_rollback()
            self._reader.discard_unchecked()
            if self.model is not None and self._reader.reads_logs:
                # Keras's logs are means over the epoch so far, which would keep the losses from before the rollback.
                self.model.reset_metrics()
                self._logged_losses.begin(self.step)
        self._record(event)
        return event.kind == "rollback"

    def _act(self, events: list[Event]) -> None:
        self._report(events)
        if self.verdict != "full" or self._on_full is None or self._has_ended:
            return
        if self._on_full == "rollback" and self.roll_back():
            return
        self._has_ended = True
        if self._on_full == "raise":
            raise Diverged(
                "; ".join(f"{event.task or 'model'}: {event.evidence}" for event in events) or "full divergence"
            )
        self.model.stop_training = True

    def _record(self, event: Event) -> Event:
        self._report([self._detector.record(event)])
        return event

    def _report(self, events: list[Event]) -> None:
        if self._on_event is not None:
            for event in events:
                self._on_event(event)
        elif self._prints:
            for line in format_events(events):
                print(line)

    # The state, for checkpoints.

    def get_state(self) -> dict[str, Any]:
        """Returns the whole state as plain types. :attr:`state` puts it into checkpoints."""
        return {
            "step": self.step,
            "detector": self._detector.get_state(),
            "rollback": self._rollback.get_state(),
            "windows": self._reader.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Does the inverse of :meth:`get_state`."""
        self.step = state["step"]
        self._detector.set_state(state["detector"])
        self._rollback.set_state(state["rollback"])
        self._rollback.update_learning_rate(self.step)
        self._reader.set_state(state["windows"], self.step)

    # Keras's hooks.

    def set_model(self, model: Any) -> None:
        """Attaches to a model. Keras calls this before it compiles the training step.

        Raises:
          TypeError: If the model is of the other version of Keras.
        """
        check_keras_version(model, self.keras_version)
        if self._watched is not None and self._watched is not model:
            self._start_anew()
        self._watched = model
        super().set_model(model)  # type: ignore[misc]
        self._reader.end()
        if uses_sessions():
            self.problems.record(
                "Single steps are not measured or saved, and a rollback is not possible: eager execution is disabled. The "
                "monitor reads Keras's logs and the weights."
            )
            return
        if self._on_full == "rollback":
            self._rollback.attach(model, self.schedule_class, self.step)
        if self._uses_probes and runs_in_tensorflow(model):
            with self.problems.guard("measure the steps of this model"):
                self._reader.begin(model, self.step, self._detector.thresholds.loss_ratio, self._bundles)

    def _start_anew(self) -> None:
        """Forgets the previous model, such as that of another fold."""
        self._reader.end()
        self._rollback.detach()
        self._rollback.start_anew()
        self._reader = WindowReader(self.problems)
        self._weight_check, self._optimizer_metrics = WeightCheck(), OptimizerMetrics()
        self._added_metrics = {}
        self._has_ended = self._begins_batches = False
        self._epoch_began_at = self._last_check = self._weights_checked_at = 0
        self.set_state(copy.deepcopy(self._first_state))
        self._logged_losses.begin(self.step)

    def __getstate__(self) -> dict[str, Any]:
        # A copy belongs to no model.
        attributes = {name: value for name, value in self.__dict__.items() if name not in ("model", "_model", "state")}
        return attributes | {"_watched": None}

    def __setstate__(self, attributes: Mapping[str, Any]) -> None:
        super().__init__()
        self.__dict__.update(attributes)
        self.state = _CheckpointedState(self)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Begins a fit."""
        self._optimizer_metrics.begin(self.model.optimizer)
        with self.problems.guard("check the weights"):
            self._weight_check.begin(self.model)
        self._begins_batches = False
        self._measure_next_step()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Begins an epoch."""
        self._epoch_began_at = self._last_check = self.step
        self._logged_losses.begin(self.step)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Lets the next step measure itself, and reduces the learning rate if another callback has set it."""
        self._begins_batches = True
        self._rollback.update_learning_rate(self.step)
        self._measure_next_step()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Counts steps, and checks them if a check is due; ``batch`` is the index of the last step in this epoch."""
        before, self.step = self.step, self._epoch_began_at + batch + 1
        self._rollback.update_learning_rate(self.step)
        # Check at multiples of `every`, so that a resumed training checks at the same steps as an uninterrupted one.
        if self.step // self._every > before // self._every:
            self._check(logs)
        if not self._begins_batches:
            # A loop of the user that calls only this hook.
            self._measure_next_step()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Checks the remaining steps."""
        if self.step == self._epoch_began_at:
            # A training loop of the user's own may report epochs only. Each counts as a step.
            self.step += 1
        if self.step > self._last_check:
            self._check(logs)
        self._epoch_began_at = self.step

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Restores the model's methods and its learning rate schedule."""
        with self.problems.guard("restore the model's training step"):
            self._reader.end()
        self._rollback.detach()
        if self.step:
            self.check_steps(read_all_weights=True)

    def _measure_next_step(self) -> None:
        with self.problems.guard("measure the steps of this model"):
            self._reader.measure_next_step()

    def _check(self, logs: Mapping[str, Any] | None) -> None:
        self._last_check = self.step
        if self._reader.has_probes:
            self.check_steps()
            return
        metrics = rename_keras_logs(logs or {})
        are_means = is_from_keras(getattr(type(self.model), "train_step", None)) and not uses_sessions()
        self._judge_window(self._logged_losses.make_window(metrics, self.step, are_means))
        if metrics:
            self.observe_metrics(self.step, metrics)


def _read_learning_rate(model: Any) -> float | None:
    """Returns the current learning rate of a model's optimizer; None if it cannot be read."""
    try:
        return float(unwrap_optimizer(model.optimizer).learning_rate)
    except Exception:
        # The rate of an optimizer that is not Keras's own may be anything.
        return None


class _CheckpointedState(tf.train.experimental.PythonState):
    """Stores a monitor's state in a ``tf.train.Checkpoint``."""

    def __init__(self, monitor: MonitorBase):
        self._monitor = monitor

    def serialize(self) -> str:
        return json.dumps(self._monitor.get_state())

    def deserialize(self, string_value: str | bytes) -> None:
        self._monitor.set_state(json.loads(string_value))
