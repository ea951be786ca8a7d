"""TensorFlow's side of a step, piece by piece: gradients, what they touch, counts, and programs.

A dense gradient touches every coordinate of a variable, a sparse one (``tf.IndexedSlices``) some rows of an embedding table;
what differs between the two lives here. :class:`Programs` are functions compiled by XLA: TensorFlow's own kernels would write
a temporary as large as the variable for every operation. :mod:`.tensorflow_step` puts the pieces together.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from .step_plan import SKIPPED_IN_A_ROW
from .variable_spec import Operands, VariableSpec

Gradient: TypeAlias = "tf.Tensor | tf.IndexedSlices"

# Below this many coordinates in all, starting a program costs more than it saves.
_WORTH_A_PROGRAM = 1 << 16


class Ops:
    """TensorFlow under NumPy's names, as :mod:`.clipping` and :mod:`.parts` want it; ``keras.ops`` has the same."""

    abs = staticmethod(tf.abs)
    add = staticmethod(tf.add)
    all = staticmethod(tf.reduce_all)
    argmax = staticmethod(tf.argmax)
    cast = staticmethod(tf.cast)
    concatenate = staticmethod(tf.concat)
    isfinite = staticmethod(tf.math.is_finite)
    logical_and = staticmethod(tf.logical_and)
    maximum = staticmethod(tf.maximum)
    min = staticmethod(tf.reduce_min)
    minimum = staticmethod(tf.minimum)
    ones_like = staticmethod(tf.ones_like)
    reshape = staticmethod(tf.reshape)
    scatter_update = staticmethod(tf.tensor_scatter_nd_update)
    size = staticmethod(tf.size)
    slice = staticmethod(tf.slice)
    sqrt = staticmethod(tf.sqrt)
    square = staticmethod(tf.square)
    stack = staticmethod(tf.stack)
    sum = staticmethod(tf.reduce_sum)
    take = staticmethod(tf.gather)
    unstack = staticmethod(tf.unstack)
    where = staticmethod(tf.where)
    zeros_like = staticmethod(tf.zeros_like)

    @staticmethod
    def fori_loop(lower: int, upper: int, body: Callable[..., Any], value: Any) -> Any:
        """``value`` after ``value = body(i, value)`` for every i from ``lower`` to before ``upper``."""
        return tf.while_loop(lambda i, _: i < upper, lambda i, value: (i + 1, body(i, value)), (lower, value))[1]

    @staticmethod
    def pad(x: tf.Tensor, pad_width: Any, constant_values: Any = 0) -> tf.Tensor:
        """``x`` with so many constants before and behind it, along each axis."""
        return tf.pad(x, pad_width, constant_values=constant_values)

    @staticmethod
    def max(x: tf.Tensor, axis: Any = None, keepdims: bool = False, initial: float | None = None) -> tf.Tensor:
        """The maximum, and ``initial`` if that is larger."""
        found = tf.reduce_max(x, axis=axis, keepdims=keepdims)
        return found if initial is None else tf.maximum(found, tf.cast(initial, found.dtype))


def own_dtype(variable: tf.Variable) -> tf.DType:
    """The dtype in which a variable is stored; under a mixed-precision policy ``dtype`` may be another."""
    return getattr(variable, "true_dtype", variable.dtype)


def compute_dtype(variable: tf.Variable) -> str:
    """float64 for a variable of that, else float32: squares and sums do not fit half precision."""
    return "float64" if own_dtype(variable) == tf.float64 else "float32"


def read(variable: tf.Variable, accumulator: tf.Variable, gradient: Gradient) -> Operands:
    """What ``gradient`` touches."""
    dtype = compute_dtype(variable)
    if isinstance(gradient, tf.IndexedSlices):
        w, past = tf.gather(variable, gradient.indices), tf.gather(accumulator, gradient.indices)
    else:
        w, past = tf.convert_to_tensor(variable), tf.convert_to_tensor(accumulator)
    return Operands(tf.cast(w, dtype), tf.cast(values_of(gradient), dtype), tf.cast(past, dtype))


def values_of(gradient: Gradient) -> tf.Tensor:
    """A gradient's numbers."""
    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient


def with_values(gradient: Gradient, values: tf.Tensor) -> Gradient:
    """A gradient of the same kind, for the same rows, with other numbers."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return values


def without_repeated_rows(gradient: Gradient, programs: Programs) -> Gradient:
    """A sparse gradient with each row once, repeated ones summed; a dense one as it is."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    values = tf.convert_to_tensor(gradient.values)
    rows, place = tf.unique(gradient.indices)
    if programs.worth([values.shape]):
        # A third of the time of TensorFlow's own kernel, though a program must know how many rows it returns, and so
        # returns as many as it got.
        count = values.shape[0]
        summed = programs.run(("sum rows", count), functools.partial(_summed, count), values, place)
        summed = summed[: tf.size(rows)]
    else:
        summed = tf.math.unsorted_segment_sum(values, place, tf.size(rows))
    return tf.IndexedSlices(summed, rows, gradient.dense_shape)


def _summed(count: int, values: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    return tf.math.unsorted_segment_sum(values, place, count)


def fail_if_skipping(counts: tf.Tensor, is_finite: tf.Tensor, allowed: int, messages: Sequence[str]) -> None:
    """Raises, in the graph, the message of the first bad variable when more steps in a row were skipped than may be.

    Args:
      counts: See :data:`.steps.PER_VARIABLE`.
      is_finite: For each variable of the step, whether its gradient is finite.
      allowed: Steps in a row that may be skipped.
      messages: For each variable of the step; last, for a rate that is not finite.
    """
    first_bad = tf.argmin(tf.cast(is_finite, tf.int32), output_type=tf.int32)
    first_bad = tf.where(tf.reduce_all(is_finite), len(messages) - 1, first_bad)
    failed = tf.logical_and(counts[SKIPPED_IN_A_ROW] > allowed, tf.equal(first_bad, tf.range(len(messages))))
    # An assertion for each variable, without branches: XLA takes no text that is chosen at run time, leaves assertions out,
    # and crashed on a branch for each of them beside the unknown number of distinct rows of a sparse gradient.
    for condition, message in zip(tf.unstack(tf.logical_not(failed)), messages, strict=True):
        tf.debugging.Assert(condition, [message])


def skipped_too_often(error: tf.errors.OpError) -> str:
    """The words of :func:`fail_if_skipping` in an error of a training step; "" when it is another error."""
    # TensorFlow prints a message's quotes with backslashes.
    found = re.search(
        r"the (gradient of .*?|learning rate) was not finite.*? max_skipped_steps", str(error).replace("\\", "")
    )
    return found[0] if found else ""


class Programs:
    """XLA programs, each compiled once for its key.

    Args:
      enabled: False runs every function as it is.
    """

    def __init__(self, enabled: bool):
        self.enabled = enabled
        self._made: dict[Hashable, Callable[..., Any]] = {}

    def worth(self, shapes: Sequence[tf.TensorShape]) -> bool:
        """Whether arrays of these shapes are large enough together; never where a shape is not known before the step."""
        sizes = [shape.num_elements() for shape in shapes]
        return self.enabled and None not in sizes and sum(sizes) >= _WORTH_A_PROGRAM

    def run(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls ``function``, compiled: all that changes from step to step comes in the arguments."""
        if key not in self._made:
            self._made[key] = tf.function(function, jit_compile=True, autograph=False)
        return self._made[key](*arguments)

    def each(
        self,
        function: Callable[..., list[Any]],
        specs: Sequence[VariableSpec],
        *values: Sequence[Any],
        shared: Sequence[tf.Tensor],
        compiled: bool,
    ) -> list[Any]:
        """Calls ``function`` for the dense parts, compiled if wished, and for the sparse ones; one result for each part.

        Args:
          function: Called with :class:`Ops` and parts, then for each of ``values`` the parts' own, then ``shared``.
          specs: All parts.
          *values: Each one value for each part.
          shared: The same for all.
          compiled: Whether the dense parts are worth a program.
        """
        results: list[Any] = [None] * len(specs)
        for sparse in (False, True):
            places = [i for i, spec in enumerate(specs) if spec.is_sparse == sparse]
            if not places:
                continue
            call = functools.partial(function, Ops, [specs[i] for i in places])
            arguments = [[each[i] for i in places] for each in values] + list(shared)
            if compiled and not sparse:
                key = (function.__name__, *(specs[i].index for i in places))
                found = self.run(key, call, *arguments)
            else:
                found = call(*arguments)
            for i, result in zip(places, found, strict=True):
                results[i] = result
        return results
