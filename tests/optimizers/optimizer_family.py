"""Every optimizer for Keras 2, with every rule, and helpers for the tests that all of them must pass."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from steadyrank.optimizers import RULES, AdaGC, Adagrad, AdaptiveGradientClipping, ClippyAdagrad, GradientClipping, tfrs
from tests.optimizers.rule_variants import list_variants

# Each rule once, with the granularity that asks most of the optimizer; ClippyAdagrad covers Clippy for whole variables.
FAMILY = {name: functools.partial(Adagrad, rule=list_variants(name)[-1]) for name in RULES} | {
    "agc": functools.partial(Adagrad, rule=AdaptiveGradientClipping(0.1, granularity="unit")),
    "gc": functools.partial(Adagrad, rule=GradientClipping(1.0, granularity="global")),
    "adagc": functools.partial(Adagrad, rule=AdaGC(start=2)),
    "ClippyAdagrad": ClippyAdagrad,
    "tfrs": tfrs.ClippyAdagrad,
}
CLIPPY = ["clippy", "ClippyAdagrad", "tfrs"]


def make_factory(name):
    """A function that creates the optimizer of a name, with ``explain`` for each of them."""

    def make(learning_rate=0.1, *, explain=False, **arguments):
        switch = "export_clipping_factors" if name in ("ClippyAdagrad", "tfrs") else "explain"
        return FAMILY[name](learning_rate, **{switch: explain}, **arguments)

    return make


def take(optimizer, *pairs):
    """Takes one step, with pairs of gradient and variable."""
    optimizer.apply_gradients([(g if tf.is_tensor(g) or g is None else tf.constant(g, v.dtype), v) for g, v in pairs])


def rows(values, ids, of):
    return tf.IndexedSlices(tf.constant(values, of.dtype), tf.constant(ids, tf.int64), tuple(of.shape))


def noise(*shape, seed=3, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def read_accumulators(optimizer):
    """The values of the accumulators."""
    return [tf.convert_to_tensor(accumulator).numpy() for accumulator in optimizer._accumulators]
