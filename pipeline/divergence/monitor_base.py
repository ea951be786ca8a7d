"""What a monitor does, the same in Keras 2 and Keras 3."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from .bundle import Bundles
from .detector import Detector, Event
from .keras_compat import get_layer_name, runs_in_tensorflow, unwrap_optimizer
from .probes import Probes
from .recovery import LearningRateScale, MemorySnapshots, RollbackBudget, SnapshotStore
from .signal_statistics import SignalStatistics, WindowStatistics

# A rollback that follows another within so many times the warm-up goes further back.
_SOON = 4

ACTIONS = (None, "stop", "raise", "rollback")


class Diverged(RuntimeError):
    """Training fully diverged and was told to end there."""


class MonitorBase:
    """The callback's methods; the shells add Keras's base class."""

    model: Any
    # Keras's class of schedules.
    _schedules: type

    def __init__(
        self,
        *,
        every: int = 16,
        on_full: str | None = None,
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
        if on_full not in ACTIONS:
            raise ValueError(f"on_full must be one of {', '.join(map(repr, ACTIONS))}, got {on_full!r}")
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every must be an integer of 1 or more, got {every!r}")
        self._every = every
        self._on_full = on_full
        self._detector = detector or Detector()
        self._wants_probes = probes
        self._on_event = on_event or (print if verbose else lambda event: None)
        self._budget = RollbackBudget(max_rollbacks, learning_rate_factor, warmup_steps)
        self._snapshots = snapshots
        self._bundles = bundles if bundles is None or isinstance(bundles, Bundles) else Bundles(bundles)
        self._rate: LearningRateScale | None = None
        self._probes: Probes | None = None
        self._unjudged, self._unpublished = WindowStatistics(), WindowStatistics()
        self._kept: dict[str, Any] = {"steps": 0, "signals": {}}
        self._skipped: int | None = None
        self._epoch_began = self._looked = 0
        self._added: dict[str, float] = {}
        self._ended = False
        self.step = 0
        self.state = _State(self)

    @property
    def events(self) -> list[Event]:
        """All events so far, in the order in which they were found."""
        return self._detector.events

    @property
    def verdict(self) -> str:
        """``full`` while a task is fully diverged, else ``micro`` if anything left its range, else ``healthy``."""
        return self._detector.verdict

    @property
    def health(self) -> str:
        """How the training does now: ``healthy``, ``out_of_range`` or ``full``; checkpoints are stamped with it."""
        return self._detector.health

    @property
    def out_of_range_since(self) -> int | None:
        """The first step since which a task is out of range now; None when none is."""
        return self._detector.out_of_range_since

    @property
    def rollback_count(self) -> int:
        """Rollbacks so far."""
        return self._budget.used

    # Looking.

    def collect_signals(self) -> None:
        """Takes what was kept in the graph since the last time."""
        if self._probes is not None:
            steps, signals = self._probes.read()
            self._probes.before = self.step
            for span in (self._unjudged, self._unpublished):
                span.add(steps, signals)

    def check_steps(self) -> list[Event]:
        """Judges what the steps since the last look have measured, acts on it, and returns the events it brought."""
        self.collect_signals()
        span, self._unjudged = self._unjudged, WindowStatistics()
        if not span.steps:
            return []
        new = self._detector.observe_window(self.step - span.steps, span.steps, span.signals)
        self._act(new)
        self._arm()
        if self._snapshots is not None:
            self._snapshots.save_if_due(self.step, self.health == "healthy")
        return new

    def observe_metrics(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        """Takes one publication of metrics, acts on it, and returns the events it brought."""
        if self._budget.used and self._detector.last_publication_step < self._budget.since <= step:
            # It covers steps from before the rollback as well.
            self._detector.skip_publication(step)
            return []
        new = self._detector.observe_metrics(step, metrics)
        self._act(new)
        return new

    def read_metrics(self) -> dict[str, float]:
        """What was measured since the last call, by metric key, for a publication."""
        self.collect_signals()
        span, self._unpublished = self._unpublished, WindowStatistics()
        metrics = _metrics_of(span.signals, self.step - span.steps) | self._of_optimizer() | self._added
        self._added = {}
        return metrics

    def add_metrics(self, metrics: Mapping[str, float]) -> None:
        """Takes what was measured elsewhere, to be published with the rest."""
        self._added |= metrics

    def judge_final_metrics(self, step: int, metrics: Mapping[str, float]) -> list[Event]:
        """Judges the final model by its metrics on held-out data; see :meth:`.detector.Detector.judge_final_metrics`."""
        return self._detector.judge_final_metrics(step, metrics)

    def record_nonfinite(self, step: int, evidence: str) -> Event:
        """Takes note that training could not go on for numbers that are not finite: a full divergence."""
        return self._declare(step, "nonfinite", evidence)

    def to_dict(self) -> dict[str, Any]:
        """What ``divergence.json`` holds: the verdict and the events, in plain types."""
        return {"verdict": self.verdict, "events": [vars(event) for event in self.events]}

    def get_state(self) -> dict[str, Any]:
        """All that it knows, in plain types; goes into a checkpoint as :attr:`state`."""
        return {
            "step": self.step,
            "detector": self._detector.get_state(),
            "used": self._budget.used,
            "since": self._budget.since,
            "restored": self._budget.restored,
            "unjudged": self._unjudged.to_dict(),
            "unpublished": self._unpublished.to_dict(),
            # Not gathered: sums in two parts would be rounded otherwise than those of a training that goes on.
            "window": self._kept if self._probes is None else self._probes.window.kept(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of :meth:`get_state`."""
        self.step = state["step"]
        self._detector.set_state(state["detector"])
        self._unjudged, self._unpublished = (
            WindowStatistics.from_dict(state[name]) for name in ("unjudged", "unpublished")
        )
        self._kept = dict(state["window"])
        budget = self._budget
        budget.used, budget.since, budget.restored = state["used"], state["since"], state["restored"]
        self._follow_budget()
        self._put_back()

    def _act(self, new: list[Event]) -> None:
        for event in new:
            self._on_event(event)
        if self.verdict != "full" or not self._on_full or self._ended:
            return
        if self._on_full == "rollback" and self.roll_back():
            return
        self._ended = True
        if self._on_full == "raise":
            raise Diverged("; ".join(f"{e.task or 'model'}: {e.evidence}" for e in new) or "training diverged")
        self.model.stop_training = True

    def roll_back(self) -> bool:
        """Goes back to healthy weights and on with a smaller rate; False when that cannot be done, and why is an event.

        Every rollback is an event; so is the one that the budget has no more room for.
        """
        since, budget = self._detector.out_of_range_since or self.step, self._budget
        if budget.used >= budget.max_rollbacks:
            return self._cannot_roll_back(f"the budget of {budget.max_rollbacks} is used up")
        # Who is out of range again so soon was brought back to weights that were on their way there.
        soon = budget.used and self.step - budget.since < _SOON * max(budget.warmup_steps, self._every)
        restored = None
        if self._snapshots is not None:
            restored = self._snapshots.restore(min(since, budget.restored)) if soon else None
            restored = self._snapshots.restore(since) if restored is None else restored
        if restored is None:
            return self._cannot_roll_back(f"no healthy weights from before step {since} are kept")
        budget.used, budget.since, budget.restored = budget.used + 1, self.step, restored
        self._detector.reset_after_rollback()
        self._unjudged = WindowStatistics()
        if self._probes is not None:
            self._probes.window.begin_anew()
        self._follow_budget()
        evidence = (
            f"back to the weights of step {restored}; the learning rate is {budget.learning_rate_factor**budget.used:g} of what it was, "
            f"after {budget.warmup_steps} steps of warm-up; rollback {budget.used} of {budget.max_rollbacks}"
        )
        values = {
            "restored_step": float(restored),
            "learning_rate_factor": budget.learning_rate_factor**budget.used,
            "count": float(budget.used),
            "max_rollbacks": float(budget.max_rollbacks),
            "warmup_steps": float(budget.warmup_steps),
        }
        self._declare(self.step, "rollback", evidence, values)
        return True

    def _cannot_roll_back(self, why: str) -> bool:
        self._declare(self.step, "no_rollback", why)
        return False

    def _declare(self, step: int, kind: str, evidence: str, values: Mapping[str, float] | None = None) -> Event:
        event = self._detector.record(Event(step, kind, "", evidence, values=values or {}))
        self._on_event(event)
        return event

    def _arm(self) -> None:
        if self._probes is not None and self._bundles is not None:
            self._probes.window.set_alarms(self._detector.compute_alarm_thresholds(), self._bundles.can_save(self.step))

    def _put_back(self) -> None:
        if self._probes is not None:
            self._probes.window.put_back(self._kept)
            self._probes.before = self.step - self._kept["steps"]
            self._kept = {"steps": 0, "signals": {}}

    def _follow_budget(self) -> None:
        if self._rate is not None:
            self._rate.set(self._budget.share_at(self.step))

    def _of_optimizer(self) -> dict[str, float]:
        optimizer = unwrap_optimizer(self.model.optimizer)
        skipped = getattr(optimizer, "skipped_steps", None)
        if skipped is None:
            return {}
        metrics: dict[str, float] = {"nonfinite_steps": skipped - (self._skipped or 0)}
        self._skipped = skipped
        if not optimizer.explain:
            return metrics
        squares: dict[str, float] = {}
        for name, explained in optimizer.read_explanations().items():
            layer = get_layer_name(name, self.model.name)
            if explained.rule != "none":
                factor, last, steps = (
                    f"{k}/{layer}" for k in ("clipping_factor", "clipping_factor_last", "clipped_steps")
                )
                metrics[factor] = min(metrics.get(factor, 1.0), explained.smallest_factor)
                metrics[last] = min(metrics.get(last, 1.0), explained.factor)
                metrics[steps] = max(metrics.get(steps, 0), explained.clipped_steps)
            for kind in ("gradient", "update", "parameter"):
                key = f"norm/{kind}/{layer}"
                squares[key] = squares.get(key, 0.0) + getattr(explained, f"{kind}_norm") ** 2
        return metrics | {key: math.sqrt(total) for key, total in squares.items()}

    # Keras's hooks.

    def set_model(self, model: Any) -> None:
        """Keras hands the model over, before it compiles the training step."""
        super().set_model(model)  # type: ignore[misc]
        if self._on_full == "rollback":
            if self._rate is None:
                self._snapshots = self._snapshots or MemorySnapshots(model)
                self._rate = LearningRateScale(model, self._schedules)
            self._rate.attach()
            self._follow_budget()
        if not self._wants_probes or not runs_in_tensorflow(model):
            return
        if self._probes is None or not self._probes.watches(model):
            self._probes = Probes(model, limit=self._detector.loss_ratio, bundles=self._bundles)
            self._put_back()
        self._probes.attach()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """A fit begins."""
        if self._skipped is None:
            # What was skipped before is somebody else's.
            self._skipped = getattr(unwrap_optimizer(self.model.optimizer), "skipped_steps", 0)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """An epoch begins."""
        self._epoch_began = self._looked = self.step

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Some steps are done; ``batch`` is the last one's position in this epoch."""
        before, self.step = self.step, self._epoch_began + batch + 1
        self._follow_budget()
        # At fixed steps, so that a training that was interrupted looks where an undisturbed one does.
        if self.step // self._every > before // self._every:
            self._looked = self.step
            self._look(logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Looks, unless it has just done so."""
        if self.step > self._looked:
            self._look(logs)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """The fit is over: the model is as it came."""
        if self._probes is not None:
            self._probes.detach()
        if self._rate is not None:
            self._rate.detach()

    def _look(self, logs: Mapping[str, Any] | None) -> None:
        self.check_steps()
        if self._probes is None and logs:
            self.observe_metrics(self.step, named_by_task(logs))


class _State(tf.train.experimental.PythonState):
    """A monitor's state as a part of a ``tf.train.Checkpoint``."""

    def __init__(self, monitor: MonitorBase):
        self._monitor = monitor

    def serialize(self) -> str:
        return json.dumps(self._monitor.get_state())

    def deserialize(self, string_value: str | bytes) -> None:
        self._monitor.set_state(json.loads(string_value))


def named_by_task(logs: Mapping[str, Any]) -> dict[str, float]:
    """Keras's logs under the project's keys: ``click_loss`` -> ``loss/click``, ``click_auc_1`` -> ``auc/click``."""
    metrics: dict[str, float] = {}
    for key, value in logs.items():
        task, _, kind = key.rpartition("_")
        if key.rstrip("_0123456789").endswith("_auc"):
            task, kind = key.rstrip("_0123456789").removesuffix("_auc"), "auc"
        try:
            metrics[f"{kind}/{task}" if task and kind in ("loss", "auc") else key] = float(value)
        except (TypeError, ValueError):
            continue
    return metrics


def _metrics_of(signals: Mapping[str, SignalStatistics], before: int) -> dict[str, float]:
    """Readings as metrics; steps counted as the training's."""
    metrics: dict[str, float] = {}
    for name, reading in signals.items():
        kind, slash, subject = name.partition("/")
        if reading.nonfinite and kind in ("loss", "activation"):
            metrics[f"nonfinite/{kind}{slash}{subject}"] = reading.nonfinite
        if not reading.finite:
            continue
        if kind in ("loss", "normalized_loss"):
            metrics[f"{kind}_max{slash}{subject}"] = reading.maximum
            metrics[f"{kind}_max_step{slash}{subject}"] = before + reading.at_maximum
            metrics[f"{kind}_min{slash}{subject}"] = reading.minimum
        elif kind == "calibration":
            metrics[f"calibration_max{slash}{subject}"] = reading.maximum
            metrics[f"calibration_min{slash}{subject}"] = reading.minimum
        elif kind == "auc":
            metrics[f"auc_min{slash}{subject}"] = reading.minimum
        elif kind == "dead_units":
            metrics[name] = reading.maximum
        elif kind in ("gradient", "parameter"):
            metrics[f"norm/{name}"] = reading.maximum
    return metrics
