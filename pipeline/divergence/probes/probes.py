"""Wraps the training step of a model to measure it."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from ..bundles import Bundles
from ..bundles.capture import TracedStep, save_traced_step
from ..keras_compat import get_layer_name, get_strategy, get_variable_path, list_computing_layers, unwrap_optimizer
from ..problems import Problems
from ..signal_recorder import Signal, SignalRecorder
from ..signal_statistics import WindowStatistics
from .attribute_patches import AttributePatches
from .input_features import measure_features
from .layer_measures import compute_sampled_norm, measure_layer_output, measure_norms
from .output_measures import make_signals, measure_outputs


class _TraceState(threading.local):
    """The measurements so far of the step that this thread traces.

    Attributes:
      signals: The signals; None outside of a step.
      batch: The argument of ``train_step``.
      early_values: Values before the step of the variables that the model itself changes, by ``id``.
    """

    def __init__(self) -> None:
        self.signals: list[Signal] | None = None
        self.batch: Any = None
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
    >>> probes.attach()
    >>> _ = model.fit(tf.ones([64, 3]), tf.ones([64, 1]), verbose=0)
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
        self._patches = AttributePatches()
        self._measures_norms = False
        self._compiled_step: Any = None
        self._bundles = bundles if bundles is not None and _can_save_steps(model, bundles) else None
        self.before = 0
        with get_strategy(model).scope():
            self.recorder = SignalRecorder()

    def watches(self, model: Any) -> bool:
        """Returns whether these probes belong to a model."""
        return self._model[0] is model

    def attach(self) -> None:
        """Wraps the model's methods. Keras then recompiles a training step that was compiled without them."""
        model = self._model[0]
        if self._patches:
            return
        self._patches.wrap(model, "train_step", self._train_step)
        if hasattr(model, "on_step_metrics"):
            self._patches.set(model, "on_step_metrics", self._take_measures)
        else:
            self._patches.wrap(model, "compute_loss", self._compute_loss)
        self._measures_norms = not getattr(unwrap_optimizer(model.optimizer), "explain", False)
        name = "apply" if hasattr(model.optimizer, "apply") else "apply_gradients"
        self._patches.wrap(model.optimizer, name, self._apply)
        for layer in list_computing_layers(model):
            self._patches.wrap(layer, "call", functools.partial(self._call, layer))
        if self._compiled_step is None or getattr(model, "train_function", None) is not self._compiled_step:
            model.train_function = None

    def detach(self) -> None:
        """Unwraps the model's methods. The compiled step keeps its probes for the next :meth:`attach`."""
        self._patches.undo()
        self._compiled_step = self._model[0].train_function

    def read(self) -> WindowStatistics:
        """Returns the statistics of the steps since the last call; see :meth:`~..signal_recorder.SignalRecorder.read`."""
        return self.recorder.read()

    # The wrappers. Each calls the original method once, with the arguments of the call, and guards the measuring.

    def _train_step(self, original: Callable[..., Any], batch: Any, *args: Any, **kwargs: Any) -> Any:
        with self._tracing(batch) as signals:
            if self._bundles is not None:
                with self._problems.guard("save bad steps"):
                    self._trace.early_values = self._read_early_values()
            with self._problems.guard("measure the features"):
                self._add(measure_features(*self._select_inputs(batch)))
            results = original(batch, *args, **kwargs)
            with self._problems.guard("measure the steps of this model"):
                self.recorder.record([signal for signal in signals if _is_in_current_graph(signal.value)])
        return results

    def _read_early_values(self) -> dict[int, tf.Tensor]:
        """Reads moving averages and the states of random generators, which change before the optimizer is called."""
        return {id(variable): tf.convert_to_tensor(variable) for variable in self._model[0].non_trainable_variables}

    def _compute_loss(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        loss = original(*args, **kwargs)
        if self._trace.signals is not None:
            with self._problems.guard("measure the loss"):
                self._add({"loss": tf.reduce_mean(loss)})
            with self._problems.guard("measure the outputs"):
                arguments = dict(zip(("x", "y", "y_pred", "sample_weight"), args, strict=False)) | kwargs
                self._take_measures(measure_outputs(self._model[0], arguments.get("y"), arguments.get("y_pred")))
        return loss

    def _apply(self, original: Callable[..., Any], first: Any, *args: Any, **kwargs: Any) -> Any:
        first = list(first) if isinstance(first, Iterator) else first
        norms: dict[str, tf.Tensor] = {}
        if self._trace.signals is not None:
            with self._problems.guard("measure the gradients"):
                norms = self._measure_gradients(first, *args, **kwargs)
        # Without this order, TensorFlow may read a variable after writing it, and then it copies the variable.
        with tf.control_dependencies(list(norms.values())):
            return original(first, *args, **kwargs)

    def _measure_gradients(self, first: Any, trainable_variables: Any = None, **_: Any) -> dict[str, tf.Tensor]:
        """Measures the arguments of an optimizer: in Keras 2 pairs, in Keras 3 gradients and variables.

        Returns:
          The norms that must be computed before the optimizer changes variables.
        """
        pairs = list(first)
        if pairs and not isinstance(pairs[0], tuple):
            pairs = list(zip(pairs, trainable_variables or self._model[0].trainable_variables, strict=True))
        norms = measure_norms(pairs, self._model[0].name) if self._measures_norms else {}
        self._add(norms)
        if self._bundles is not None:
            with self._problems.guard("save bad steps"):
                gradients = [gradient for gradient, _ in pairs if gradient is not None]
                self._save_if_alarmed(self._bundles, self._trace.signals or [], gradients)
        return {} if get_strategy(self._model[0]).num_replicas_in_sync > 1 else norms

    def _call(self, layer: Any, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        output = original(*args, **kwargs)
        if self._trace.signals is not None:
            with self._problems.guard(f"measure the layer {layer.name!r}"):
                # Name a layer after its weights, because their names contain the path in the model.
                weights = layer.weights
                name = (
                    get_layer_name(get_variable_path(weights[0]), self._model[0].name) if weights else str(layer.name)
                )
                self._add(measure_layer_output(layer, name, output))
        return output

    def _take_measures(self, measures: Mapping[str, tf.Tensor]) -> None:
        if self._trace.signals is not None:
            self._trace.signals += make_signals(measures, self._loss_ratio)

    def _save_if_alarmed(self, bundles: Bundles, signals: list[Signal], gradients: Sequence[Any]) -> None:
        """Adds an operation that saves the step if a signal raises an alarm."""
        learning_rate = unwrap_optimizer(self._model[0].optimizer).learning_rate
        self._add({"gradient": compute_sampled_norm(gradients), "learning_rate": tf.convert_to_tensor(learning_rate)})
        known = [signal for signal in signals if _is_in_current_graph(signal.value)]
        alarms = self.recorder.check_alarms(known)

        def save() -> tf.Tensor:
            window_step = tf.convert_to_tensor(self.recorder.steps) + 1
            step = TracedStep(
                self._model[0], self._trace.batch, self._trace.early_values, gradients, known, alarms, window_step
            )
            saved = save_traced_step(bundles, step, lambda window_step: self.before + window_step)
            with tf.control_dependencies([saved]):
                self.recorder.armed.assign(False)
            return saved

        tf.cond(self.recorder.armed & tf.reduce_any(alarms), save, lambda: tf.constant(0, tf.int64))

    def _select_inputs(self, batch: Any) -> tuple[Any, Sequence[str] | None]:
        """Returns the inputs in a step's batch, and the feature names if the inputs include other columns."""
        inputs = batch[0] if isinstance(batch, tuple) and batch else batch
        model = self._model[0]
        if isinstance(inputs, list | tuple) and len(getattr(model, "input_names", ())) == len(inputs):
            return dict(zip(model.input_names, inputs, strict=True)), None
        return inputs, getattr(model, "feature_names", None)

    def _add(self, measures: Mapping[str, tf.Tensor]) -> None:
        if self._trace.signals is not None:
            self._trace.signals += [Signal(name, value) for name, value in measures.items()]

    @contextlib.contextmanager
    def _tracing(self, batch: Any) -> Iterator[list[Signal]]:
        self._trace.signals, self._trace.batch = [], batch
        try:
            yield self._trace.signals
        finally:
            self._trace.signals = self._trace.batch = None
            self._trace.early_values = {}


def _is_in_current_graph(value: tf.Tensor) -> bool:
    """Returns whether a tensor belongs to the current graph, and not to the graph of a loop or branch inside it."""
    return tf.executing_eagerly() or getattr(value, "graph", None) is tf.compat.v1.get_default_graph()


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
