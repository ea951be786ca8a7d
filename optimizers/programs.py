"""XLA programs for large dense variables.

TensorFlow's own kernels write a temporary as large as the variable for every operation; a compiled program does not, which halves
the time of a step on a CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import tensorflow as tf

from .tensorflow_ops import Ops
from .variable_spec import VariableSpec

# With fewer coordinates in all, starting a program costs more than it saves.
_SMALLEST_PROGRAM = 1 << 16


class Programs:
    """Functions compiled by XLA, each once for its key.

    Args:
      is_enabled: Whether anything is compiled; False runs every function as it is.
    """

    def __init__(self, is_enabled: bool):
        self.is_enabled = is_enabled
        self._compiled: dict[Hashable, Callable[..., Any]] = {}

    @property
    def keys(self) -> list[Hashable]:
        """The keys of the programs so far."""
        return list(self._compiled)

    def is_worthwhile(self, shapes: Sequence[tf.TensorShape]) -> bool:
        """Whether arrays of these shapes are large enough together; never where a shape is unknown before the step."""
        sizes = [shape.num_elements() for shape in shapes]
        return self.is_enabled and None not in sizes and sum(sizes) >= _SMALLEST_PROGRAM

    def run(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls ``function`` as a program; everything that changes from step to step must be in the arguments."""
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
          function: Takes :class:`~.tensorflow_ops.Ops`, specs, the entries of each of ``values`` for these specs, and ``shared``;
            returns one result for each spec.
          specs: All variables.
          *values: Lists with one entry for each variable.
          shared: Values that are the same for all variables.
          is_compiled: Whether the call for the dense variables is a program.

        Returns:
          One result for each variable.
        """
        results: list[Any] = [None] * len(specs)
        for is_sparse in (False, True):
            places = [i for i, spec in enumerate(specs) if spec.is_sparse == is_sparse]
            if not places:
                continue
            call = functools.partial(function, Ops, [specs[i] for i in places])
            arguments = [[column[i] for i in places] for column in values] + list(shared)
            if is_compiled and not is_sparse:
                key = (function.__name__, *(specs[i].index for i in places))
                part = self.run(key, call, *arguments)
            else:
                part = call(*arguments)
            for i, result in zip(places, part, strict=True):
                results[i] = result
        return results


def sum_repeated_rows(gradient: tf.Tensor | tf.IndexedSlices, programs: Programs) -> tf.Tensor | tf.IndexedSlices:
    """A sparse gradient with each row once, repeated rows summed; a dense gradient unchanged."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    values = tf.convert_to_tensor(gradient.values)
    rows, place = tf.unique(gradient.indices)
    if programs.is_worthwhile([values.shape]):
        # A third of the time of TensorFlow's own kernel. A program must know how many rows it returns, so it returns as many as
        # it received.
        count = values.shape[0]
        summed = programs.run(
            ("sum rows", count), lambda values, place: tf.math.unsorted_segment_sum(values, place, count), values, place
        )
        summed = summed[: tf.size(rows)]
    else:
        summed = tf.math.unsorted_segment_sum(values, place, tf.size(rows))
    return tf.IndexedSlices(summed, rows, gradient.dense_shape)
