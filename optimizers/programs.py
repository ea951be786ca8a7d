"""XLA programs for large dense variables.

For every operation, TensorFlow's kernels write a temporary array as large as the variable. A compiled program does not,
which halves the time of a step on a CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import tensorflow as tf

from .tensorflow_ops import Ops
from .variable_spec import VariableSpec

# With fewer coordinates in total, starting a program costs more than it saves.
_SMALLEST_PROGRAM = 1 << 16


class Programs:
    """Functions compiled by XLA, once per key.

    Args:
      is_enabled: Whether to compile; if False, no variable is worth a program.
    """

    def __init__(self, is_enabled: bool):
        self.is_enabled = is_enabled
        self._compiled: dict[Hashable, Callable[..., Any]] = {}

    @property
    def keys(self) -> list[Hashable]:
        """The keys of all programs so far."""
        return list(self._compiled)

    def is_worthwhile(self, shapes: Sequence[tf.TensorShape]) -> bool:
        """Whether arrays of these shapes are large enough in total; False if a shape is unknown before the step."""
        sizes = [shape.num_elements() for shape in shapes]
        return self.is_enabled and None not in sizes and sum(sizes) >= _SMALLEST_PROGRAM

    def run(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> Any:
        """Compiles ``function`` once and calls it. Every value that changes between steps must be an argument."""
        if key not in self._compiled:
            self._compiled[key] = tf.function(function, jit_compile=True, autograph=False)
        return self._compiled[key](*arguments)

    def call_each(
        self,
        function: Callable[..., list[Any]],
        specs: Sequence[VariableSpec],
        *values: Sequence[Any],
        shared: Sequence[tf.Tensor],
        is_compiled: bool,
    ) -> list[Any]:
        """Calls ``function`` once for the dense variables and once for the sparse ones.

        Args:
          function: Receives :class:`~.tensorflow_ops.Ops`, the specs, the matching entries of each of ``values``, and
            ``shared``. Returns one result per spec.
          specs: All variables.
          *values: Lists with one entry for each variable.
          shared: Values that are the same for all variables.
          is_compiled: Whether to compile the call for the dense variables.

        Returns:
          One result for each variable.
        """
        results: list[Any] = [None] * len(specs)
        for is_sparse in (False, True):
            positions = [i for i, spec in enumerate(specs) if spec.is_sparse == is_sparse]
            if not positions:
                continue
            call = functools.partial(function, Ops, [specs[i] for i in positions])
            arguments = [[column[i] for i in positions] for column in values] + list(shared)
            if is_compiled and not is_sparse:
                key = (function.__name__, *(specs[i].index for i in positions))
                part = self.run(key, call, *arguments)
            else:
                part = call(*arguments)
            for i, result in zip(positions, part, strict=True):
                results[i] = result
        return results


def sum_repeated_rows(gradient: tf.Tensor | tf.IndexedSlices, programs: Programs) -> tf.Tensor | tf.IndexedSlices:
    """Sums the repeated rows of a sparse gradient; returns a dense gradient unchanged."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    values = tf.convert_to_tensor(gradient.values)
    rows, position = tf.unique(gradient.indices)
    if programs.is_worthwhile([values.shape]):
        # Takes a third of the time of TensorFlow's kernel. The shape of a program's result must be known, so the
        # program returns as many rows as it received.
        count = values.shape[0]
        summed = programs.run(
            ("sum rows", count),
            lambda values, position: tf.math.unsorted_segment_sum(values, position, count),
            values,
            position,
        )
        summed = summed[: tf.size(rows)]
    else:
        summed = tf.math.unsorted_segment_sum(values, position, tf.size(rows))
    return tf.IndexedSlices(summed, rows, gradient.dense_shape)
