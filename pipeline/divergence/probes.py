"""Looks into the training step of any Keras model, Keras 2 or Keras 3 on TensorFlow, without the model's help.

:class:`Probes` puts thin wrappers around a model's ``train_step``, its loss, its optimizer and its layers. While a step is
traced they note scalars, which become part of the step's graph and are kept in it (:mod:`.windows`) until they are read. The
signals, by name:

| signal | what | of which models |
|---|---|---|
| ``loss`` | the batch's loss | all |
| ``loss/<task>`` | the task's | several outputs |
| ``normalized_loss``, ``normalized_loss/<task>`` | the loss in units of the best constant prediction's | cross entropy and squared error |
| ``calibration/<task>`` | mean prediction over mean label | likewise |
| ``auc/<task>`` | of the batch's rows | binary tasks |
| ``feature/<name>``, ``spread/<name>``, ``missing/<name>`` | what came in, see :mod:`.features` | all |
| ``activation/<layer>`` | mean output: not finite when any number of it is not | all layers that compute |
| ``dead_units/<layer>`` | share of the units that are 0 in all rows of the batch | layers with ReLU |
| ``gradient`` | the norm over all variables, of large matrices over some rows | with bundles |
| ``gradient/<layer>``, ``parameter/<layer>`` | norms, before the step | optimizers that do not explain themselves |

A *task* is an output of the model by its name; a model with one output has one task without a name. A model that measures its
steps itself has an attribute ``on_step_metrics``, a function or None, and calls it in its ``train_step`` before the optimizer with a
mapping from signal to scalar; ``examples/<task>`` in it says how many rows of the batch had a label. A model whose features come in
one mapping with other columns has an attribute ``feature_names``.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from ...foundation.auc import auc_from_rank_sum
from ...foundation.constant_baseline import constant_cross_entropy, smoothed_share
from .bundle import Bundles, save_in_graph
from .features import batch_statistics
from .keras_compat import (
    get_layer_name,
    get_strategy,
    get_variable_path,
    has_relu,
    list_computing_layers,
    unwrap_optimizer,
)
from .signal_statistics import SignalStatistics
from .windows import Signal, Window

# Fewer labelled rows than this say nothing of a loss in units of a constant's.
_ENOUGH_ROWS = 32
# A gradient with so many numbers is looked at in every so-manieth row.
_LARGE, _EVERY_ROW = 1 << 18, 16


class _Notes(threading.local):
    """What the step that this thread traces has noted so far; None outside of a step."""

    def __init__(self) -> None:
        self.signals: list[Signal] | None = None
        self.data: Any = None
        self.early: dict[int, tf.Tensor] = {}


class Probes(tf.Module):
    """Wrappers around one model, and the window that keeps what they note.

    Args:
      model: A compiled Keras model; built or not.
      limit: A loss of more than so many times the best constant prediction's is out of range.
      bundles: Where steps that raise an alarm are saved, see :mod:`.bundle`; only while there is one replica, and not inside
        a training step that XLA compiles.

    Attributes:
      before: Training steps before the last reading.
    """

    def __init__(self, model: Any, *, limit: float, bundles: Bundles | None = None):
        super().__init__(name="probes")
        self._model = [model]  # in a list, so that tf.Module does not count the model's variables as its own
        self._limit = limit
        self._notes = _Notes()
        self._undo: list[Callable[[], None]] = []
        self.before = 0
        self._bundles = bundles if bundles is not None and _can_save(model, bundles) else None
        with get_strategy(model).scope():
            self.window = Window()

    def watches(self, model: Any) -> bool:
        """Whether the wrappers are for this model."""
        return self._model[0] is model

    def attach(self) -> None:
        """Puts the wrappers on; a step that was compiled without them is compiled anew."""
        model = self._model[0]
        if self._undo:
            return
        self._wrap(model, "train_step", self._train_step)
        if hasattr(model, "on_step_metrics"):
            self._set(model, "on_step_metrics", self._measured)
        else:
            self._wrap(model, "compute_loss", self._compute_loss)
        self._takes_norms = not getattr(unwrap_optimizer(model.optimizer), "explain", False)
        name = "apply" if hasattr(model.optimizer, "apply") else "apply_gradients"
        self._wrap(model.optimizer, name, self._apply)
        for layer in list_computing_layers(model):
            self._wrap(layer, "call", functools.partial(self._call, layer))
        if getattr(model, "train_function", None) is not getattr(self, "_compiled", self):
            model.train_function = None

    def detach(self) -> None:
        """Takes the wrappers off; the compiled step keeps what it has noted, and is used again after :meth:`attach`."""
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        self._compiled = self._model[0].train_function

    def read(self) -> tuple[int, dict[str, SignalStatistics]]:
        """See :meth:`.windows.Window.read`."""
        return self.window.read()

    def _wrap(self, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return wrapper(original, *args, **kwargs)

        self._set(owner, name, wrapped)

    def _set(self, owner: Any, name: str, value: Any) -> None:
        had = vars(owner).get(name, self)
        object.__setattr__(owner, name, value)

        def undo() -> None:
            if had is self:
                object.__delattr__(owner, name)
            else:
                object.__setattr__(owner, name, had)

        self._undo.append(undo)

    # The wrappers. Each calls what it is put around with the arguments that came.

    def _train_step(self, original: Callable[..., Any], data: Any) -> Any:
        with self._noting() as signals:
            self._notes.data = data
            if self._bundles is not None:
                # Moving averages and the state of random numbers change before the optimizer is called.
                written = self._model[0].non_trainable_variables
                self._notes.early = {id(variable): tf.convert_to_tensor(variable) for variable in written}
            for name, value in batch_statistics(*self._inputs_of(data)).items():
                self._note(name, value)
            results = original(data)
            self.window.take([signal for signal in signals if _is_of_this_step(signal.value)])
        return results

    def _inputs_of(self, data: Any) -> tuple[Any, Sequence[str] | None]:
        """What of a step's data is features, and the names of those among more."""
        inputs = data[0] if isinstance(data, tuple) and data else data
        model = self._model[0]
        if isinstance(inputs, list | tuple) and len(getattr(model, "input_names", ())) == len(inputs):
            return dict(zip(model.input_names, inputs, strict=True)), None
        return inputs, getattr(model, "feature_names", None)

    def _measured(self, measures: Mapping[str, tf.Tensor]) -> None:
        if self._notes.signals is not None:
            self._notes.signals += _signals_of(measures, self._limit)

    def _compute_loss(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        loss = original(*args, **kwargs)
        if self._notes.signals is not None:
            given = dict(zip(("x", "y", "y_pred", "sample_weight"), args, strict=False)) | kwargs
            self._note("loss", tf.reduce_mean(loss))
            measures = of_outputs(self._model[0], given.get("y"), given.get("y_pred"))
            self._measured(measures)
        return loss

    def _apply(self, original: Callable[..., Any], given: Any, *args: Any, **kwargs: Any) -> Any:
        # Keras 2 hands over pairs, which may be an iterator, Keras 3 gradients and variables.
        given = list(given)
        pairs = given
        if given and not isinstance(given[0], tuple):
            variables = args[0] if args else kwargs.get("trainable_variables")
            pairs = list(zip(given, variables or self._model[0].trainable_variables, strict=True))
        norms = self._norms_of(pairs) if self._notes.signals is not None and self._takes_norms else []
        if self._notes.signals is not None and self._bundles is not None:
            self._save_if_alarmed([gradient for gradient, _ in pairs])
        if get_strategy(self._model[0]).num_replicas_in_sync > 1:
            return original(given, *args, **kwargs)
        # TensorFlow would copy each variable that is still read when it is written.
        with tf.control_dependencies(norms):
            return original(given, *args, **kwargs)

    def _save_if_alarmed(self, gradients: Sequence[Any]) -> None:
        assert self._bundles is not None
        assert self._notes.signals is not None
        there = [gradient for gradient in gradients if gradient is not None]
        self._note("gradient", tf.linalg.global_norm([_sampled(gradient) for gradient in there]))
        self._note("learning_rate", tf.convert_to_tensor(unwrap_optimizer(self._model[0].optimizer).learning_rate))
        signals = [signal for signal in self._notes.signals if _is_of_this_step(signal.value)]
        alarms = self.window.alarms(signals)

        def save() -> tf.Tensor:
            assert self._bundles is not None
            place = tf.convert_to_tensor(self.window.steps) + 1
            saved = save_in_graph(
                self._bundles,
                self._model[0],
                self._notes.data,
                self._notes.early,
                there,
                signals,
                alarms,
                place,
                lambda p: self.before + p,
            )
            with tf.control_dependencies([saved]):
                self.window.armed.assign(False)
            return saved

        tf.cond(self.window.armed & tf.reduce_any(alarms), save, lambda: tf.constant(0, tf.int64))

    def _call(self, layer: Any, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        output = original(*args, **kwargs)
        if self._notes.signals is None or not tf.is_tensor(output) or not output.dtype.is_floating:
            return output
        numbers = tf.stop_gradient(output)
        if numbers.dtype != tf.float64:
            # A sum in half precision leaves its range.
            numbers = tf.cast(numbers, tf.float32)
        if not has_relu(layer):
            self._note(f"activation/{self._name_of(layer)}", tf.reduce_mean(numbers))
            return output
        # One look: the sums tell what is not finite, since nothing below 0 can cancel it, and which units are 0 throughout.
        rows = tf.reshape(numbers, [-1, numbers.shape[-1] or 1])
        # As a product, which is three times as fast as TensorFlow's sum over rows.
        of_units = tf.linalg.matvec(rows, tf.ones([tf.shape(rows)[0]], rows.dtype), transpose_a=True)
        count = tf.cast(tf.size(rows), of_units.dtype)
        self._note(f"activation/{self._name_of(layer)}", tf.reduce_sum(of_units) / count)
        self._note(f"dead_units/{self._name_of(layer)}", tf.reduce_mean(tf.cast(of_units == 0, tf.float32)))
        return output

    def _norms_of(self, pairs: Sequence[tuple[Any, Any]]) -> list[tf.Tensor]:
        squares: dict[str, list[tf.Tensor]] = {}
        for gradient, variable in pairs:
            if gradient is None:
                continue
            layer = get_layer_name(get_variable_path(variable), self._model[0].name)
            values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
            squares.setdefault(f"gradient/{layer}", []).append(tf.nn.l2_loss(tf.cast(values, tf.float32)))
            if not isinstance(gradient, tf.IndexedSlices):
                weights = tf.cast(tf.convert_to_tensor(variable), tf.float32)
                squares.setdefault(f"parameter/{layer}", []).append(tf.nn.l2_loss(weights))
        norms = {name: tf.sqrt(2.0 * tf.add_n(halves)) for name, halves in squares.items()}
        for name, norm in norms.items():
            self._note(name, norm)
        return list(norms.values())

    def _name_of(self, layer: Any) -> str:
        """By its weights; by its own name where it has none."""
        return (
            get_layer_name(get_variable_path(layer.weights[0]), self._model[0].name)
            if layer.weights
            else str(layer.name)
        )

    def _note(self, name: str, value: tf.Tensor) -> None:
        if self._notes.signals is not None:
            self._notes.signals.append(Signal(name, value))

    @contextlib.contextmanager
    def _noting(self) -> Iterator[list[Signal]]:
        self._notes.signals = []
        try:
            yield self._notes.signals
        finally:
            self._notes.signals = self._notes.data = None
            self._notes.early = {}


def _sampled(gradient: Any) -> Any:
    """Of a large matrix some rows: what is not finite behind a layer is so in all rows of its gradient, and reading all would
    be most of what watching costs.
    """
    if (
        isinstance(gradient, tf.IndexedSlices)
        or (gradient.shape.num_elements() or 0) < _LARGE
        or gradient.shape.rank < 2
    ):
        return gradient
    return gradient[::_EVERY_ROW]


def of_outputs(model: Any, labels: Any, predictions: Any) -> dict[str, tf.Tensor]:
    """What can be measured of a compiled model's outputs: loss, normalized_loss and calibration of each, from one batch.

    An output is measured whose loss is known by name or is one of Keras's cross entropies or squared errors; of others
    nothing is said.

    Args:
      model: A Keras model that was compiled with a loss.
      labels: One tensor, or several by name or in the order of the outputs.
      predictions: Likewise.
    """
    names, several = _named(model, predictions)
    ys, _ = _named(model, labels)
    if not names or set(ys) != set(names):
        return {}
    measures: dict[str, tf.Tensor] = {}
    for name, prediction in names.items():
        kind, logits = _kind_of_loss(_loss_of(model, name))
        if not kind:
            continue
        y, p = (tf.cast(tf.reshape(each, [-1]), tf.float32) for each in (ys[name], prediction))
        measures |= _of_one(kind, logits, y, p, f"/{name}" if several else "")
    return measures


def _of_one(kind: str, logits: bool, y: tf.Tensor, p: tf.Tensor, suffix: str) -> dict[str, tf.Tensor]:
    if kind == "binary":
        raw = p if logits else tf.math.log(tf.maximum(p, 1e-7)) - tf.math.log(tf.maximum(1.0 - p, 1e-7))
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=raw))
        p = tf.sigmoid(p) if logits else p
        rows = tf.cast(tf.size(y), tf.float32)
        smoothed = smoothed_share(tf.reduce_sum(y), rows)
        constant = constant_cross_entropy(tf.reduce_mean(y), smoothed, tf.math.log)
        others = {f"auc{suffix}": area_under_curve(y, raw)}
    else:
        loss = tf.reduce_mean(tf.square(y - p))
        constant, others = tf.math.reduce_variance(y), {}
    return others | {
        f"loss{suffix}": loss,
        f"normalized_loss{suffix}": tf.where(constant > 0, loss / constant, 0.0),
        f"calibration{suffix}": tf.reduce_mean(p) / tf.reduce_mean(y),
        f"examples{suffix}": tf.cast(tf.size(y), tf.float32),
    }


def area_under_curve(labels: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """AUC of some rows, exactly: the share of pairs of a positive and a negative that are ranked right, ties counting half.

    Args:
      labels: 0 or 1, ``[B]``.
      scores: ``[B]``; those that are not finite count as 0.

    Returns:
      A scalar; 0.5 without both classes.
    """
    scores = tf.where(tf.math.is_finite(scores), scores, 0.0)[tf.newaxis]
    ordered = tf.sort(scores, axis=1)
    # Twice the middle of the places that equal scores share.
    places = tf.searchsorted(ordered, scores, "left") + tf.searchsorted(ordered, scores, "right")
    ranks = (tf.cast(places[0], tf.float64) + 1.0) / 2.0
    labels = tf.cast(labels, tf.float64)
    positives = tf.reduce_sum(labels)
    negatives = tf.cast(tf.size(labels), tf.float64) - positives
    auc = auc_from_rank_sum(tf.reduce_sum(labels * ranks), positives, negatives)
    return tf.where(positives * negatives > 0, auc, 0.5)


def _signals_of(measures: Mapping[str, tf.Tensor], limit: float) -> list[Signal]:
    signals = []
    for name, value in measures.items():
        kind, slash, task = name.partition("/")
        examples = measures.get(f"examples{slash}{task}")
        if kind == "examples":
            continue
        least = _ENOUGH_ROWS if kind == "normalized_loss" else 1
        there = None if examples is None else examples >= least
        signals.append(Signal(name, value, there=there, **({"limit": limit} if kind == "normalized_loss" else {})))
    return signals


def _named(model: Any, given: Any) -> tuple[dict[str, tf.Tensor], bool]:
    """Tensors by the outputs' names, and whether there are several; nothing for what is nested otherwise."""
    if isinstance(given, Mapping):
        named = dict(given)
    elif isinstance(given, list | tuple):
        names = getattr(model, "output_names", None) or [f"output_{i}" for i in range(len(given))]
        named = dict(zip(names, given, strict=False))
    else:
        return ({"": given}, False) if tf.is_tensor(given) else ({}, False)
    return (named, True) if all(tf.is_tensor(each) for each in named.values()) else ({}, False)


def _loss_of(model: Any, name: str) -> Any:
    loss = getattr(model, "loss", None)
    if isinstance(loss, Mapping):
        return loss.get(name)
    if isinstance(loss, list | tuple):
        names = getattr(model, "output_names", None) or [f"output_{i}" for i in range(len(loss))]
        return dict(zip(names, loss, strict=False)).get(name)
    return loss


def _kind_of_loss(loss: Any) -> tuple[str, bool]:
    """``binary``, ``squared`` or "" for another loss; and whether the predictions are logits."""
    name = loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", "")
    plain = str(name).replace("_", "").lower()
    if plain == "binarycrossentropy":
        config = loss.get_config() if hasattr(loss, "get_config") else {}
        return "binary", bool(config.get("from_logits", getattr(loss, "from_logits", False)))
    return ("squared", False) if plain in ("mse", "meansquarederror") else ("", False)


def _is_of_this_step(value: tf.Tensor) -> bool:
    """Whether a tensor belongs to the graph that is traced, and not to that of a loop or a branch within."""
    return tf.executing_eagerly() or getattr(value, "graph", None) is tf.compat.v1.get_default_graph()


def _can_save(model: Any, bundles: Bundles) -> bool:
    if getattr(model, "jit_compile", False):
        bundles.problems.append(
            "the training step is compiled by XLA, which saves nothing; compile with jit_compile=False"
        )
        return False
    if get_strategy(model).num_replicas_in_sync > 1:
        bundles.problems.append("bundles are saved by one replica alone, the strategy has several")
        return False
    return True
