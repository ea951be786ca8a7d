"""Wraps the training step of a model to measure it."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from ....foundation.metric_key import MetricKey
from ..bundles import Bundles
from ..bundles.batch_structure import flatten_batch
from ..bundles.capture import TracedStep, read_variables, save_traced_step
from ..keras_compat import (
    convert_with_autograph,
    get_layer_name,
    get_strategy,
    get_variable_path,
    is_from_keras,
    list_computing_layers,
    list_model_variables,
    list_optimizers,
    read_learning_rate,
    unwrap_optimizer,
)
from ..problems import Problems
from ..signal_recorder import Signal, SignalRecorder
from ..signal_statistics import WindowStatistics
from .attribute_patches import AttributePatches
from .batch_rows import add_rows
from .input_features import measure_features
from .layer_measures import compute_sampled_norm, keep_weights_until, measure_layer_output, measure_mean, measure_norms
from .logged_losses import measure_logs
from .output_measures import make_signals, measure_outputs


class _TraceState(threading.local):
    """The measurements so far of the step that this thread traces.

    Attributes:
      is_active: Whether the thread traces a step.
      graph: The graph of the step; None in eager execution.
      signals: The signals.
      batch: The argument of ``train_step``, as :func:`~..bundles.batch_structure.flatten_batch` returns it; None if
        the step cannot be saved.
      early_values: Values before the step of the variables that the model itself changes, by ``id``.
    """

    def __init__(self) -> None:
        self.is_active = False
        self.graph: Any = None
        self.signals: list[Signal] = []
        self.batch: tuple[Any, Mapping[str, tf.Tensor]] | None = None
        self.early_values: dict[int, tf.Tensor] = {}


class Probes(tf.Module):
    """Measures every training step of a model while attached.

    Args:
      model: A compiled Keras model, built or not.
      loss_ratio: A loss above this multiple of the loss of the best constant prediction is out of range.
      bundles: Saves the steps that raise an alarm. Requires a single replica and no XLA. Default: no step is saved.
      problems: Records measurements that cannot be made. Default: a new list.

    Attributes:
      recorder: Accumulates the statistics of the signals.
      before: Number of training steps before the current window. The reader of the recorder sets it.

    Example:
    >>> import tf_keras
    >>> model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> probes = Probes(model, loss_ratio=2.0)
    >>> with probes.attached():
    ...     _ = model.fit(tf.ones([64, 3]), tf.ones([64, 1]), verbose=0)
    >>> window = probes.read()
    >>> window.steps, "loss" in window.signals
    (2, True)
    """

    def __init__(
        self, model: Any, *, loss_ratio: float, bundles: Bundles | None = None, problems: Problems | None = None
    ):
        super().__init__(name="probes")
        self._model = [model]  # A list hides the model's variables from tf.Module.
        self._loss_ratio = loss_ratio
        self._problems = Problems() if problems is None else problems
        self._trace = _TraceState()
        self._part_patches = AttributePatches()
        self._running_steps = 0
        self._lock = threading.Lock()
        self._layers: tuple[int, list[Any]] = (0, [])
        self._bundles = bundles if bundles is not None and _can_save_steps(model, bundles) else None
        self.before = 0
        with get_strategy(model).scope():
            self.recorder = SignalRecorder()

    def watches(self, model: Any) -> bool:
        """Returns whether these probes belong to a model."""
        return self._model[0] is model

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Wraps the model's ``train_step``. A step that is traced inside measures itself, also later."""
        patches = AttributePatches()
        with self._problems.guard("measure the steps of this model"):
            patches.wrap(self._model[0], "train_step", self._train_step)
        try:
            yield
        finally:
            patches.undo()

    def read(self) -> WindowStatistics:
        """Returns the statistics of the steps since the last call; see :meth:`~..signal_recorder.SignalRecorder.read`."""
        return self.recorder.read()

    @property
    def reads_logs(self) -> bool:
        """Whether losses are read from the results of the training step; see :mod:`.logged_losses`."""
        return any(MetricKey.parse(name).kind in ("logged_loss", "logged_value") for name in self.recorder.names)

    # Wrapping. The parts of a model are wrapped only inside its training step.

    @contextlib.contextmanager
    def _wrapped_parts(self) -> Iterator[None]:
        # The replicas of a strategy run the step in one thread each.
        try:
            with self._lock:
                self._running_steps += 1
                if self._running_steps == 1:
                    self._wrap_parts()
            yield
        finally:
            with self._lock:
                self._running_steps -= 1
                if not self._running_steps:
                    self._part_patches.undo()

    def _wrap_parts(self) -> None:
        model, patches = self._model[0], self._part_patches
        with self._problems.guard("measure the loss"):
            if hasattr(model, "on_step_metrics"):
                patches.set(model, "on_step_metrics", self._take_measures)
            else:
                patches.wrap(model, "compute_loss", self._compute_loss)
        with self._problems.guard("measure the gradients"):
            for optimizer in list_optimizers(model):
                name = "apply" if hasattr(optimizer, "apply") else "apply_gradients"
                patches.wrap(optimizer, name, functools.partial(self._apply, optimizer))
        with self._problems.guard("measure the layers"):
            for layer in self._list_layers():
                patches.wrap(layer, "call", functools.partial(self._call, layer))

    def _list_layers(self) -> list[Any]:
        """Lists the layers to measure. In eager execution, every step calls this, but new and newly built layers are rare."""
        model = self._model[0]
        count = sum(2 if layer.built else 1 for layer in model._flatten_layers())
        if self._layers[0] != count or not tf.executing_eagerly():
            self._layers = count, list_computing_layers(model)
        return self._layers[1]

    # The wrappers. Each calls the original method once, with the arguments of the call, and guards the measuring.

    def _train_step(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        batch = args[0] if args else next(iter(kwargs.values()), None)
        with self._wrapped_parts(), self._tracing() as signals:
            if self._bundles is not None:
                with self._problems.guard("save bad steps"):
                    # Now, because the step may change the structure: TFRS's models take the label out of the batch.
                    self._trace.batch = flatten_batch(batch)
                    self._trace.early_values = self._read_early_values()
            with self._problems.guard("measure the features"):
                self._take_features(batch)
            results = original(*args, **kwargs)
            with self._problems.guard("measure the steps of this model"):
                self.recorder.record(add_rows([*signals, *measure_logs(results, signals)], batch))
        return results

    def _read_early_values(self) -> dict[int, tf.Tensor]:
        """Reads moving averages and the states of random generators, which change before the optimizer is called."""
        variables = list_model_variables(self._model[0])
        return {id(variable): tf.convert_to_tensor(variable) for variable in variables if not variable.trainable}

    def _compute_loss(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        loss = original(*args, **kwargs)
        if self._is_in_step:
            with self._problems.guard("measure the loss"):
                if tf.is_tensor(loss) and loss.dtype.is_floating:
                    self._add({"loss": measure_mean(loss)})
            # The loss function of a user's own method is unknown, and so are the shapes that it supports.
            if self._has_keras_loss:
                with self._problems.guard("measure the outputs"):
                    arguments = dict(zip(("x", "y", "y_pred", "sample_weight"), args, strict=False)) | kwargs
                    outputs = (arguments.get(name) for name in ("y", "y_pred", "sample_weight"))
                    self._take_measures(measure_outputs(self._model[0], *outputs))
        return loss

    def _apply(self, optimizer: Any, original: Callable[..., Any], first: Any, *args: Any, **kwargs: Any) -> Any:
        first = list(first) if isinstance(first, Iterator) else first
        if self._is_in_step:
            with self._problems.guard("measure the gradients"):
                self._measure_gradients(optimizer, first, *args, **kwargs)
        return original(first, *args, **kwargs)

    def _measure_gradients(self, optimizer: Any, first: Any, trainable_variables: Any = None, **_: Any) -> None:
        """Measures the arguments of an optimizer: in Keras 2 pairs, in Keras 3 gradients and variables."""
        pairs = list(first)
        if pairs and not isinstance(pairs[0], tuple | list):
            pairs = list(zip(pairs, trainable_variables or self._model[0].trainable_variables, strict=True))
        explains = getattr(unwrap_optimizer(optimizer), "explain", False)
        norms = {} if explains else measure_norms(pairs, self._model[0].name)
        # A loss-scaling optimizer skips gradients that overflow, which is no sign of a divergence.
        self._add(norms, only_finite=unwrap_optimizer(optimizer) is not optimizer)
        if self._bundles is not None and self._trace.batch is not None:
            with self._problems.guard("save bad steps"):
                gradients = [gradient for gradient, _ in pairs if gradient is not None]
                self._save_if_alarmed(self._bundles, self._trace.batch, optimizer, gradients)
            # A second optimizer is called too late: the first one has changed variables.
            self._trace.batch = None
        if get_strategy(self._model[0]).num_replicas_in_sync == 1:
            keep_weights_until([variable for gradient, variable in pairs if gradient is not None], list(norms.values()))

    def _call(self, layer: Any, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        output = convert_with_autograph(layer, original)(*args, **kwargs)
        if self._is_in_step:
            with self._problems.guard(f"measure the layer {layer.name!r}"):
                # Name a layer after its weights, because their names contain the path in the model.
                weights = layer.weights
                name = (
                    get_layer_name(get_variable_path(weights[0]), self._model[0].name) if weights else str(layer.name)
                )
                self._add(measure_layer_output(layer, name, output))
        return output

    # Signals.

    @property
    def _has_keras_loss(self) -> bool:
        """Whether the loss is computed by Keras, or by a model that reports its own measures."""
        model = self._model[0]
        return hasattr(model, "on_step_metrics") or is_from_keras(type(model).compute_loss)

    @property
    def _is_in_step(self) -> bool:
        """Whether operations now belong to the step itself, and not to a loop, a branch or a function inside it."""
        return self._trace.is_active and _get_graph() is self._trace.graph

    def _take_features(self, batch: Any) -> None:
        inputs = batch[0] if isinstance(batch, tuple) and batch else batch
        model = self._model[0]
        names = getattr(model, "feature_names", None)
        input_names = getattr(model, "input_names", None) or ()
        if isinstance(inputs, list | tuple) and len(input_names) == len(inputs):
            inputs, names = dict(zip(input_names, inputs, strict=True)), None
        can_hash_strings = not getattr(model, "jit_compile", False)
        self._add(measure_features(inputs, names, can_hash_strings=can_hash_strings), only_finite=True)

    def _take_measures(self, measures: Mapping[str, tf.Tensor]) -> None:
        if self._is_in_step:
            self._trace.signals.extend(make_signals(measures, self._loss_ratio))

    def _add(self, measures: Mapping[str, tf.Tensor], *, only_finite: bool = False) -> None:
        """Adds signals to the step; if ``only_finite``, the step has no value for a signal that is not finite."""
        for name, value in measures.items():
            is_present = tf.math.is_finite(value) if only_finite else None
            self._trace.signals.append(Signal(name, value, is_present=is_present))

    def _save_if_alarmed(
        self, bundles: Bundles, batch: tuple[Any, Mapping[str, tf.Tensor]], optimizer: Any, gradients: Sequence[Any]
    ) -> None:
        """Adds an operation that saves the step if a signal raises an alarm."""
        self._add(
            {"gradient": compute_sampled_norm(gradients)}, only_finite=unwrap_optimizer(optimizer) is not optimizer
        )
        learning_rate = read_learning_rate(optimizer)
        if learning_rate is not None:
            self._add({"learning_rate": learning_rate})
        trace, signals = self._trace, list(self._trace.signals)
        alarms = self.recorder.check_alarms(signals)
        read = functools.partial(read_variables, self._model[0], trace.early_values, gradients)
        # Reading variables in the branch below lets the optimizer wait for the alarms, and so for the loss. A user's own
        # loss may wait for other operations, such as a metric of TFRS that reads the variables in a tf.data pipeline
        # while the optimizer changes them. To keep this order, the step then reads all values in advance.
        variables_read_early = None if self._has_keras_loss else read()

        def save() -> tf.Tensor:
            step = TracedStep(*batch, signals, alarms, tf.convert_to_tensor(self.recorder.steps) + 1)
            saved = save_traced_step(
                bundles, step, variables_read_early or read(), lambda window_step: self.before + window_step
            )
            with tf.control_dependencies([saved]):
                self.recorder.armed.assign(False)
            return saved

        tf.cond(self.recorder.armed & tf.reduce_any(alarms), save, lambda: tf.constant(0, tf.int64))

    @contextlib.contextmanager
    def _tracing(self) -> Iterator[list[Signal]]:
        trace = self._trace
        trace.is_active, trace.graph, trace.signals = True, _get_graph(), []
        try:
            yield trace.signals
        finally:
            trace.is_active, trace.graph, trace.signals, trace.batch, trace.early_values = False, None, [], None, {}


def _get_graph() -> Any:
    """Returns the graph to which new operations belong; None in eager execution."""
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def _can_save_steps(model: Any, bundles: Bundles) -> bool:
    """Returns whether steps of a model can be saved. If not, adds the reason to ``bundles.problems``."""
    if getattr(model, "jit_compile", False):
        bundles.problems.record(
            "Bad steps are not saved: XLA compiles the training step and cannot write files. Compile the model with "
            "jit_compile=False."
        )
        return False
    replicas = get_strategy(model).num_replicas_in_sync
    if replicas > 1:
        bundles.problems.record(f"Bad steps are not saved: this requires one replica, but the strategy has {replicas}.")
        return False
    return True
