"""How steep the loss bends, and whether the tasks pull the shared layers apart; works on any Keras model on TensorFlow.

The *sharpness* is the largest eigenvalue of the loss's Hessian H. Gradient descent with rate eta is stable on a quadratic
up to ``2 / eta``; full-batch training drifts up to that bound and stays there (Cohen et al. 2021, "Gradient Descent on
Neural Networks Typically Occurs at the Edge of Stability"). For Adagrad, whose step is ``eta * P g`` with
``P = diag(1 / sqrt(G + epsilon))``, the bound ``2 / eta`` is that of the *preconditioned* sharpness, the largest eigenvalue
of ``P H`` (Cohen et al. 2022, "Adaptive Gradient Methods at the Edge of Stability").

The *conflict* of tasks is told by their gradients over the variables that they share: how long each is, and the cosines
between them.

Nothing here trains: weights stay as they are. But the loss is run as it is given, so that a metric or a moving average that
it updates is updated, and with dropout it is the loss under one mask. It is run outside of any replica: under a strategy,
on the first replica's variables.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from .keras_compat import get_layer_name, get_variable_path, unwrap_optimizer

# A residual with less than this share of the squared length is too near to rounding to make a second direction of.
_LEAST_RESIDUAL = 1e-3


@dataclasses.dataclass(frozen=True)
class Sharpness:
    """The largest eigenvalue of a Hessian, by magnitude.

    Attributes:
      sharpness: The eigenvalue of H with its sign; NaN when a number on the way was not finite. Its magnitude is
        at most the true one's, and below it when it has not converged.
      preconditioned: That of P H; None without accumulators.
      iterations: Products with the Hessian that were taken, for both together.
      converged: Whether every eigenvalue asked for settled within the tolerance.
    """

    sharpness: float
    preconditioned: float | None
    iterations: int
    converged: bool


@dataclasses.dataclass(frozen=True, eq=False)
class GradientConflict:
    """How the tasks' gradients over some variables go together. T tasks.

    Attributes:
      tasks: In the order of the matrix.
      norms: By task, the gradient's L2 norm over all variables; 0 without a gradient, NaN when it is not finite.
      shares: By task, the norm over the sum of all tasks' norms; NaN when that sum is 0 or not finite.
      cosines: ``[T, T]``, the cosine between every two tasks' gradients: -1 opposite, 0 independent, 1 the same way; NaN
        for a task whose norm is 0 or NaN.
      layers: By layer and task, the norm over the layer's variables.
    """

    tasks: tuple[str, ...]
    norms: dict[str, float]
    shares: dict[str, float]
    cosines: np.ndarray
    layers: dict[str, dict[str, float]]

    def cosine(self, first: str, second: str) -> float:
        """The cosine between two tasks, by their names."""
        return float(self.cosines[self.tasks.index(first), self.tasks.index(second)])


class SharpnessProbe:
    """Measures the sharpness of one loss again and again, with one compiled function.

    By power iteration. One pass forward and one backward are made for each call, and each iteration differentiates that
    gradient once more along a vector (reverse over reverse, ``H v = d<g, v>/dw``); an iteration takes about twice a gradient's
    time. The eigenvalue is read off the plane that two successive vectors span (Lanczos in two steps, from numbers which the
    iteration has anyway), so that two eigenvalues of equal magnitude and opposite sign are no trap; it equals the Rayleigh
    quotient once the vector has settled.

    Sparse gradients of embedding tables (``tf.IndexedSlices``) are followed through their rows, and only the product is made
    dense. The vectors are as large as the variables: leave large tables out where memory is short. A variable without a
    gradient contributes nothing.

    Memory: during a call up to four vectors as large as the variables, float32 or float64 as they are, beside what a
    training step takes, and six with accumulators; between calls, with ``warm_start``, one such vector, and a second one for
    the preconditioned sharpness.

    Args:
      loss_fn: Computes the loss, a scalar, from the variables and a batch. Called with what the probe is called with, and
        traced once for batches of the same structure and shapes. Autograph is off in it.
      variables: With respect to which; built variables of Keras 2 or Keras 3, or TensorFlow's.
      epsilon: Stands under the root beside the accumulators; the optimizer's. Default 1e-7.
      seed: Of the first vector. Default 0.
      warm_start: Begin with the vector that the call before ended with, which saves most of the iterations. It follows
        one direction; one that suddenly becomes steeper is found late: :meth:`forget` from time to time. Default False.

    Raises:
      ValueError: Without variables; in a call, when the loss is no scalar or depends on no variable, when there is not one
        accumulator for each variable, or when ``iterations`` or ``tolerance`` is out of range.

    Example:
    >>> w = tf.Variable([1.0, 1.0])
    >>> probe = SharpnessProbe(lambda: 10.0 * w[0] ** 2 + w[1] ** 2, [w])
    >>> round(probe().sharpness, 1)
    20.0
    """

    def __init__(
        self,
        loss_fn: Callable[..., Any],
        variables: Sequence[Any],
        *,
        epsilon: float = 1e-7,
        seed: int = 0,
        warm_start: bool = False,
    ):
        self._loss_of = loss_fn
        self._variables = _natives(variables)
        self._epsilon = epsilon
        self._seed = seed
        self._warm_start = warm_start
        self._kept: dict[str, list[tf.Tensor]] = {}
        self._compiled = tf.function(self._measure, autograph=False, reduce_retracing=True)

    def __call__(
        self, *batch: Any, accumulators: Sequence[Any] | None = None, iterations: int = 20, tolerance: float = 1e-2
    ) -> Sharpness:
        """The sharpness at the variables' present values.

        Args:
          *batch: What the loss is computed from: tensors, or structures of them.
          accumulators: Adagrad's accumulators G in the order of the variables, of their shapes; see :func:`find_adagrad_accumulators`.
            Default: none, and no preconditioned sharpness.
          iterations: Products with the Hessian at most, for each of the two. Default 20.
          tolerance: Stop when the eigenvalue changes by less than this share of itself. Default 1e-2.
        """
        if iterations < 1 or not tolerance >= 0:
            raise ValueError(
                f"iterations must be 1 or more and tolerance 0 or more, got iterations={iterations}, tolerance={tolerance}"
            )
        kinds = ["plain"]
        tensors = None
        if accumulators is not None:
            if len(accumulators) != len(self._variables):
                raise ValueError(
                    f"accumulators must have one tensor for each of {len(self._variables)} variables, got {len(accumulators)}"
                )
            kinds.append("preconditioned")
            tensors = [tf.convert_to_tensor(_native(each)) for each in accumulators]
        starts = [self._kept.get(kind) or self._first() for kind in kinds]
        found = self._compiled(starts, tensors, tf.constant(iterations), tf.constant(tolerance, tf.float64), batch)
        results = []
        for kind, (numbers, vector) in zip(kinds, found, strict=True):
            value, taken, converged = (float(number) for number in numbers.numpy())
            results.append((value, int(taken), bool(converged)))
            self._kept.pop(kind, None)
            # After 0 or NaN the vector is no direction.
            if self._warm_start and math.isfinite(value) and value:
                self._kept[kind] = vector
        return Sharpness(
            sharpness=results[0][0],
            preconditioned=results[1][0] if accumulators is not None else None,
            iterations=sum(taken for _, taken, _ in results),
            converged=all(converged for _, _, converged in results),
        )

    def forget(self) -> None:
        """The next call begins with the first vector again."""
        self._kept.clear()

    def _first(self) -> list[tf.Tensor]:
        return [
            tf.random.stateless_normal(variable.shape, seed=[self._seed, i], dtype=_own_dtype(variable))
            for i, variable in enumerate(self._variables)
        ]

    def _measure(
        self,
        starts: list[list[tf.Tensor]],
        accumulators: list[tf.Tensor] | None,
        iterations: tf.Tensor,
        tolerance: tf.Tensor,
        batch: tuple[Any, ...],
    ) -> list[tuple[tf.Tensor, list[tf.Tensor]]]:
        """For each of the starts: value, iterations and whether it converged as ``[3]``, and the last vector."""
        product = _hessian(lambda: self._loss_of(*batch), self._variables)
        products = [product]
        if accumulators is not None:
            # P^(1/2) H P^(1/2) has the eigenvalues of P H and, unlike that, is symmetric.
            roots = [
                tf.pow(tf.cast(each, _own_dtype(variable)) + self._epsilon, -0.25)
                for each, variable in zip(accumulators, self._variables, strict=True)
            ]
            products.append(lambda vector: _times(roots, product(_times(roots, vector))))
        return [
            _power_iteration(each, start, iterations, tolerance) for each, start in zip(products, starts, strict=True)
        ]


def compute_sharpness(
    loss_fn: Callable[[], Any],
    variables: Sequence[Any],
    *,
    accumulators: Sequence[Any] | None = None,
    iterations: int = 20,
    tolerance: float = 1e-2,
    seed: int = 0,
) -> Sharpness:
    """The largest eigenvalue of a loss's Hessian, once; to measure again, a :class:`SharpnessProbe` compiles only once.

    Args:
      loss_fn: Computes the loss on one fixed batch, a scalar, from the variables.
      variables, seed: See :class:`SharpnessProbe`.
      accumulators, iterations, tolerance: See :meth:`SharpnessProbe.__call__`.

    Raises:
      ValueError: As :class:`SharpnessProbe`.
    """
    return SharpnessProbe(loss_fn, variables, seed=seed)(
        accumulators=accumulators, iterations=iterations, tolerance=tolerance
    )


class ConflictProbe:
    """Measures again and again how the tasks' gradients go together, with one compiled function; one pass backward a task.

    Sparse gradients are made dense.

    Args:
      losses_fn: Computes the tasks' losses from a batch: a mapping from task to scalar, weighted as in the sum that is
        trained. Called with what the probe is called with. Autograph is off in it.
      variables: Of the layers that the tasks share, see :func:`shared_variables`; the model's own, for their paths.
      model_name: Left out of the layers' names. Default: nothing is left out.

    Raises:
      ValueError: Without variables; in a call, when a loss is no scalar.

    Example:
    >>> w = tf.Variable([1.0, 2.0], name="w")
    >>> probe = ConflictProbe(lambda: {"up": 3.0 * w[0], "down": -w[0]}, [w])
    >>> conflict = probe()
    >>> conflict.cosine("up", "down"), conflict.shares["up"]
    (-1.0, 0.75)
    """

    def __init__(self, losses_fn: Callable[..., Mapping[str, Any]], variables: Sequence[Any], *, model_name: str = ""):
        self._losses_of = losses_fn
        self._variables = _natives(variables)
        self._layers = [get_layer_name(get_variable_path(variable), model_name) for variable in variables]
        self._tasks: tuple[str, ...] = ()
        self._compiled = tf.function(self._measure, autograph=False, reduce_retracing=True)

    def __call__(self, *batch: Any) -> GradientConflict:
        """The conflict at the variables' present values, on one batch."""
        return _conflict(self._compiled(batch).numpy(), self._tasks, self._layers)

    def _measure(self, batch: tuple[Any, ...]) -> tf.Tensor:
        gradients = _gradients_by_task(lambda: self._losses_of(*batch), self._variables)
        self._tasks = tuple(gradients)
        return _inner_products(list(gradients.values()))


def compute_conflict(
    gradients_by_task: Mapping[str, Sequence[Any]], layers: Sequence[str] | None = None
) -> GradientConflict:
    """How gradients that are there already go together.

    Args:
      gradients_by_task: For each task its gradients, in the same order of variables; a tensor, ``tf.IndexedSlices``, or
        None for no gradient.
      layers: The layer of each variable. Default: the variables' places, ``"0"``, ``"1"`` …

    Raises:
      ValueError: When the tasks have gradients of different numbers of variables.
    """
    gradients = [list(each) for each in gradients_by_task.values()]
    count = len(gradients[0]) if gradients else 0
    names = [str(i) for i in range(count)] if layers is None else list(layers)
    if any(len(each) != len(names) for each in gradients):
        raise ValueError(
            f"each task must have one gradient for each of {len(names)} variables, got {list(map(len, gradients))}"
        )
    return _conflict(_inner_products(gradients).numpy(), tuple(gradients_by_task), names)


def find_shared_variables(model: Any, losses_fn: Callable[..., Mapping[str, Any]], *batch: Any) -> list[Any]:
    """The trainable dense variables of a built model that at least two tasks have a gradient for.

    Embedding tables are left out: those with sparse gradients, and those by Keras's name ``embeddings``. The losses are traced,
    not computed.

    Args:
      model: A built Keras model.
      losses_fn: See :class:`ConflictProbe`.
      *batch: What it is called with.
    """
    variables = list(model.trainable_variables)
    users = [0] * len(variables)
    tables = {i for i, variable in enumerate(variables) if _last_part(variable) == "embeddings"}

    def trace(batch: tuple[Any, ...]) -> None:
        for gradients in _gradients_by_task(lambda: losses_fn(*batch), [_native(each) for each in variables]).values():
            for i, gradient in enumerate(gradients):
                users[i] += gradient is not None
                if isinstance(gradient, tf.IndexedSlices):
                    tables.add(i)

    tf.function(trace, autograph=False).get_concrete_function(batch)
    return [variable for i, variable in enumerate(variables) if users[i] >= 2 and i not in tables]


def find_adagrad_accumulators(optimizer: Any, variables: Sequence[Any]) -> list[Any] | None:
    """Adagrad's accumulators G for the variables, in their order, of their shapes.

    Knows Adagrad as Keras 2 and Keras 3 have it, and what derives from it or keeps the same lists; also within an optimizer
    that scales the loss.

    Args:
      optimizer: A Keras optimizer, built or not.
      variables: Variables of the model.

    Returns:
      The optimizer's own variables; None when it is no Adagrad, is not built, or does not have one of the variables.
    """
    optimizer = unwrap_optimizer(optimizer)
    accumulators = getattr(optimizer, "_accumulators", None)
    # FTRL keeps accumulators too, and divides by something else.
    if not accumulators or hasattr(optimizer, "_linears"):
        return None
    if hasattr(optimizer, "_index_dict"):
        places, keys = optimizer._index_dict, [getattr(variable, "_unique_id", None) for variable in variables]
    else:
        places = {id(_native(each)): i for i, each in enumerate(getattr(optimizer, "_trainable_variables", ()))}
        keys = [id(_native(variable)) for variable in variables]
    if not all(key in places and places[key] < len(accumulators) for key in keys):
        return None
    found = [accumulators[places[key]] for key in keys]
    fits = all(tuple(a.shape) == tuple(variable.shape) for a, variable in zip(found, variables, strict=True))
    return found if fits else None


def _hessian(
    loss_fn: Callable[[], Any], variables: Sequence[tf.Variable]
) -> Callable[[Sequence[tf.Tensor]], list[tf.Tensor]]:
    """The function from v to H v. The gradient is computed here, once for all products."""
    # Persistent, since the products of one graph, in a loop each, all differentiate the same gradient.
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as tape:
            loss = _scalar(loss_fn(), "the loss")
        gradients = tape.gradient(loss, variables)
        there = [(i, gradient) for i, gradient in enumerate(gradients) if gradient is not None]
        parts = [gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient for _, gradient in there]
    if not there:
        raise ValueError("the loss depends on none of the variables")

    def product(vector: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        along = [
            tf.cast(tf.gather(vector[i], g.indices) if isinstance(g, tf.IndexedSlices) else vector[i], g.dtype)
            for i, g in there
        ]
        products = outer.gradient(parts, variables, output_gradients=along)
        return [
            tf.zeros_like(old)
            if new is None
            else tf.ensure_shape(tf.cast(tf.convert_to_tensor(new), old.dtype), old.shape)
            for new, old in zip(products, vector, strict=True)
        ]

    return product


class _Iteration(NamedTuple):
    """Where a power iteration stands. Scalars, but for the last."""

    taken: tf.Tensor
    settled: tf.Tensor
    bad: tf.Tensor
    value: tf.Tensor
    quotient: tf.Tensor
    length: tf.Tensor
    vector: list[tf.Tensor]


def _power_iteration(
    product: Callable[[Sequence[tf.Tensor]], list[tf.Tensor]],
    start: Sequence[tf.Tensor],
    iterations: tf.Tensor,
    tolerance: tf.Tensor,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Value, iterations and whether it converged as ``[3]``, float64; and the last vector, of length 1."""
    nan, zero = tf.constant(math.nan, tf.float64), tf.zeros([], tf.float64)

    def goes_on(now: _Iteration) -> tf.Tensor:
        return (now.taken < iterations) & ~now.settled & ~now.bad

    def iterate(now: _Iteration) -> tuple[_Iteration]:
        turned = product(now.vector)
        quotient, length = _dot(now.vector, turned), tf.sqrt(_dot(turned, turned))
        bad = ~(tf.math.is_finite(quotient) & tf.math.is_finite(length))
        flat = length == 0
        first = now.taken == 0
        value = tf.where(first, quotient, _of_plane(now.quotient, now.length, quotient))
        near = ~first & (tf.abs(value - now.value) < tolerance * tf.abs(value))
        following = _Iteration(
            taken=now.taken + 1,
            settled=~bad & (flat | near),
            bad=bad,
            value=tf.where(bad, nan, tf.where(flat, zero, value)),
            quotient=quotient,
            length=length,
            vector=_over(turned, length),
        )
        return (following,)

    no = tf.constant(False)
    unit = _over(start, tf.sqrt(_dot(start, start)))
    begin = _Iteration(tf.constant(0), no, no, nan, nan, nan, unit)
    (end,) = tf.while_loop(goes_on, iterate, (begin,), parallel_iterations=1)
    return tf.stack([end.value, *(tf.cast(each, tf.float64) for each in (end.taken, end.settled))]), end.vector


def _of_plane(quotient: tf.Tensor, length: tf.Tensor, next_quotient: tf.Tensor) -> tf.Tensor:
    """The eigenvalue of larger magnitude of H within the plane of v and H v, for a v of length 1.

    Args:
      quotient: ``<v, H v>``.
      length: ``|H v|``.
      next_quotient: ``<u, H u>`` for ``u = H v / |H v|``.
    """
    # In the basis of v and of what H v has beside it, H is [[a, b], [b, c]].
    a, square = quotient, tf.square(length)
    b_square = square - tf.square(a)
    c = (square * next_quotient - a * tf.square(a) - 2.0 * a * b_square) / b_square
    middle = (a + c) / 2.0
    radius = tf.sqrt(tf.square((a - c) / 2.0) + b_square)
    outer = tf.where(middle < 0, middle - radius, middle + radius)
    return tf.where(b_square > _LEAST_RESIDUAL * square, outer, next_quotient)


def _gradients_by_task(
    losses_fn: Callable[[], Mapping[str, Any]], variables: Sequence[tf.Variable]
) -> dict[str, list[Any]]:
    with tf.GradientTape(persistent=True) as tape:
        losses = {task: _scalar(loss, f"the loss of task {task!r}") for task, loss in losses_fn().items()}
    return {task: tape.gradient(loss, variables) for task, loss in losses.items()}


def _inner_products(gradients: Sequence[Sequence[Any]]) -> tf.Tensor:
    """Of every two tasks' gradients, by variable: ``[variables, T, T]``, float64."""
    by_variable = []
    for of_tasks in zip(*gradients, strict=True):
        like = next((gradient for gradient in of_tasks if gradient is not None), None)
        if like is None:
            by_variable.append(tf.zeros([len(of_tasks)] * 2, tf.float64))
            continue
        dense = tf.convert_to_tensor(like)
        dtype = tf.float64 if dense.dtype == tf.float64 else tf.float32
        rows = tf.stack(
            [
                tf.zeros([tf.size(dense)], dtype)
                if gradient is None
                else tf.reshape(tf.cast(tf.convert_to_tensor(gradient), dtype), [-1])
                for gradient in of_tasks
            ]
        )
        # Of the gradients in units of their largest number, since squares of large or small ones leave float32's range.
        unit = tf.reduce_max(tf.abs(rows), axis=1, keepdims=True)
        rows /= tf.where(unit > 0, unit, tf.ones_like(unit))
        # Not by a matrix product, which a GPU would round to ten bits.
        products = tf.stack([tf.reduce_sum(rows * row, axis=1) for row in tf.unstack(rows, num=len(of_tasks))])
        units = tf.cast(unit, tf.float64)
        by_variable.append(tf.cast(products, tf.float64) * units * tf.transpose(units))
    return tf.stack(by_variable) if by_variable else tf.zeros([0, len(gradients), len(gradients)], tf.float64)


def _conflict(products: np.ndarray, tasks: tuple[str, ...], layers: Sequence[str]) -> GradientConflict:
    total = products.sum(axis=0)
    norms = np.sqrt(np.diagonal(total))
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = norms / norms.sum()
        cosines = np.clip(total / norms[:, None] / norms[None, :], -1.0, 1.0)
    np.fill_diagonal(cosines, np.where(norms > 0, 1.0, math.nan))
    of_layers: dict[str, np.ndarray] = {}
    for layer, product in zip(layers, products, strict=True):
        of_layers[layer] = of_layers.get(layer, 0.0) + np.diagonal(product)
    return GradientConflict(
        tasks=tasks,
        norms=_by_task(tasks, norms),
        shares=_by_task(tasks, shares),
        cosines=cosines,
        layers={layer: _by_task(tasks, np.sqrt(squares)) for layer, squares in of_layers.items()},
    )


def _by_task(tasks: Sequence[str], numbers: np.ndarray) -> dict[str, float]:
    return dict(zip(tasks, numbers.tolist(), strict=True))


def _times(factors: Sequence[tf.Tensor], vector: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    return [factor * part for factor, part in zip(factors, vector, strict=True)]


def _over(vector: Sequence[tf.Tensor], length: tf.Tensor) -> list[tf.Tensor]:
    return [part / tf.cast(length, part.dtype) for part in vector]


def _dot(first: Sequence[tf.Tensor], second: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.add_n([tf.cast(tf.reduce_sum(a * b), tf.float64) for a, b in zip(first, second, strict=True)])


def _scalar(loss: Any, what: str) -> tf.Tensor:
    loss = tf.convert_to_tensor(loss)
    if loss.shape.rank != 0:
        raise ValueError(f"{what} must be a scalar, got shape {loss.shape}")
    return loss


def _natives(variables: Sequence[Any]) -> list[tf.Variable]:
    if not variables:
        raise ValueError("there must be at least one variable")
    return [_native(variable) for variable in variables]


def _native(variable: Any) -> Any:
    """TensorFlow's variable within Keras 3's; anything else as it is."""
    value = getattr(variable, "value", variable)
    return variable if callable(value) else value


def _own_dtype(variable: tf.Variable) -> tf.DType:
    """float64 for a variable of that, else float32: sums of squares do not fit half precision."""
    return tf.float64 if variable.dtype == tf.float64 else tf.float32


def _last_part(variable: Any) -> str:
    return get_variable_path(variable).partition(":")[0].rpartition("/")[2]
