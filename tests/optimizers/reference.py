"""A reference implementation in NumPy and float64, and sequences of gradients for the comparison.

Written from the paper's formulas, variable by variable and as slowly as they read. A rule is a mapping with all its fields, so
that no default is shared with the code under test. Two facts of float32 are taken over: the learning rate is rounded to it, and
a square below its smallest number is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Gradient = np.ndarray | tuple[Sequence[int], np.ndarray] | None
"""A dense array; or ids, which may repeat, and their rows; or None."""

_SMALLEST_SQUARE = float(np.finfo(np.float32).tiny)


class Reference:
    """Adagrad under one rule, over several variables.

    ``sigmas`` are the factors of the last step that was taken, the smallest one where rows or units have their own; ``bad``
    counts for each variable how often its gradient was bad.
    """

    def __init__(
        self,
        rule: Mapping[str, Any],
        *,
        weights: Sequence[Any],
        learning_rate: float | Callable[[int], float],
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        weight_decay: float = 0.0,
        gradient_limit: float = 1e10,
        delayed: bool = False,
        clip_accumulator: bool = False,
    ):
        self.rule = rule
        self.weights = [np.array(w, np.float64) for w in weights]
        self.accumulators = [np.full(w.shape, np.float64(np.float32(initial_accumulator_value))) for w in self.weights]
        self.gammas: list[float | None] = [None] * len(self.weights)
        self.sigmas: list[float] = [1.0] * len(self.weights)
        self.bad = [0] * len(self.weights)
        self.iterations = self.skipped = self.skipped_in_a_row = 0
        self.learning_rate = learning_rate
        self.epsilon = epsilon
        self.weight_decay = weight_decay
        self.gradient_limit = gradient_limit
        self.delayed = delayed
        self.clip_accumulator = clip_accumulator

    def step(self, gradients: Sequence[Gradient]) -> None:
        """Takes one step with a gradient for each variable, or skips it for all variables."""
        positions, values = {}, {}
        for i, gradient in enumerate(gradients):
            if gradient is not None:
                positions[i], values[i] = _find_coordinates(gradient, self.weights[i].shape)
        with np.errstate(invalid="ignore"):
            bad = [i for i, g in values.items() if not (np.abs(g) <= self.gradient_limit).all()]
        if bad:
            self.skipped += 1
            self.skipped_in_a_row += 1
            for i in bad:
                self.bad[i] += 1
        else:
            self.skipped_in_a_row = 0
            self._take(positions, values)
        self.iterations += 1

    def _take(self, positions: Mapping[int, Any], gradients: Mapping[int, np.ndarray]) -> None:
        rate = self.learning_rate(self.iterations) if callable(self.learning_rate) else self.learning_rate
        eta = float(np.float32(rate))
        w = {i: self.weights[i][position] for i, position in positions.items()}
        past = {i: self.accumulators[i][position] for i, position in positions.items()}
        sigmas = self._sigmas(w, gradients, past, eta)
        for i, position in positions.items():
            g, before = gradients[i], self.rule.get("order") == "before"
            used = sigmas[i] * g if before else g
            taken = sigmas[i] * g if before or self.clip_accumulator else g
            now = past[i] + taken**2
            r = self._direction(w[i], used, past[i] if self.delayed else now)
            self.weights[i][position] = w[i] - eta * (r if before else sigmas[i] * r)
            self.accumulators[i][position] = now
            self.sigmas[i] = float(np.min(sigmas[i], initial=np.inf)) if np.size(sigmas[i]) else 1.0

    def _direction(self, w: np.ndarray, g: np.ndarray, accumulator: np.ndarray) -> np.ndarray:
        root = np.sqrt(accumulator + self.epsilon)
        return np.where(g == 0, 0.0, g / np.where(root == 0, 1.0, root)) + self.weight_decay * w

    def _sigmas(
        self, w: Mapping[int, np.ndarray], g: Mapping[int, np.ndarray], past: Mapping[int, np.ndarray], eta: float
    ) -> dict[int, Any]:
        rule = self.rule
        if rule["rule"] == "none":
            return dict.fromkeys(g, 1.0)
        if rule["rule"] == "adagc":
            return self._adagc({i: _norm(one) for i, one in g.items()})
        if rule["rule"] == "gc":
            norms = {i: _norm(one) for i, one in g.items()}
            total = np.sqrt(sum(norm**2 for norm in norms.values()))
            return {i: _ratio(rule["threshold"], total if rule["granularity"] == "global" else norms[i]) for i in g}
        if rule["rule"] == "agc":
            results = {}
            for i in g:
                inner = tuple(range(g[i].ndim - 1)) if rule["granularity"] == "unit" and g[i].ndim > 1 else None
                results[i] = _ratio(rule["threshold"] * np.maximum(_norm(w[i], inner), 1e-3), _norm(g[i], inner))
            return results
        divisors = {i: past[i] if self.delayed else past[i] + g[i] ** 2 for i in g}
        r = {i: self._direction(w[i], g[i], divisors[i]) for i in g}
        if rule["rule"] == "lamb":
            norms = {i: (_norm(w[i]), _norm(r[i])) for i in g}
            return {i: of_w / of_r if of_w > 0 and of_r > 0 else 1.0 for i, (of_w, of_r) in norms.items()}
        assert rule["rule"] == "clippy"
        results = {}
        for i in g:
            allowed = rule["relative"] * np.abs(w[i]) + rule["absolute"]
            allowed = allowed + rule["accumulator_relative"] / np.sqrt(divisors[i] + self.epsilon)
            ratio = _ratio(allowed, eta * np.abs(r[i]))
            by_row = rule["granularity"] == "row" and ratio.ndim > 0
            results[i] = (
                ratio.min(axis=tuple(range(1, ratio.ndim)), keepdims=True) if by_row else ratio.min(initial=1.0)
            )
        return results

    def _adagc(self, norms: Mapping[int, np.ndarray]) -> dict[int, float]:
        rule, results = self.rule, {}
        total = np.sqrt(sum(norm**2 for norm in norms.values()))
        for i, norm in norms.items():
            gamma, starting = self.gammas[i], self.iterations < rule["start"]
            if starting:
                results[i] = _ratio(rule["absolute"], total)
            else:
                results[i] = 1.0 if gamma is None else _ratio(rule["relative"] * gamma, norm)
            clipped = float(results[i] * norm)
            if norm == 0:
                continue
            if gamma is None:
                self.gammas[i] = clipped
            elif starting:
                self.gammas[i] = min(gamma, clipped)
            else:
                self.gammas[i] = rule["beta"] * gamma + (1 - rule["beta"]) * clipped
        return results


def _find_coordinates(
    gradient: np.ndarray | tuple[Sequence[int], np.ndarray], shape: tuple[int, ...]
) -> tuple[Any, np.ndarray]:
    """The index and the values of the touched coordinates; repeated ids are summed."""
    if not isinstance(gradient, tuple):
        return (..., np.asarray(gradient, np.float64))
    ids, position = np.unique(np.asarray(gradient[0], np.int64), return_inverse=True)
    summed = np.zeros((len(ids), *shape[1:]))
    with np.errstate(invalid="ignore"):
        np.add.at(summed, position.reshape(-1), np.asarray(gradient[1], np.float64))
    return ids, summed


def _norm(x: np.ndarray, axis: tuple[int, ...] | None = None) -> np.ndarray:
    squares = np.where(x**2 < _SMALLEST_SQUARE, 0.0, x**2)
    return np.sqrt(squares.sum(axis=axis, keepdims=axis is not None))


def _ratio(allowed: Any, size: Any) -> np.ndarray:
    """``min(1, allowed / size)``; 1 for a size of 0."""
    size = np.asarray(size)
    return np.where(size == 0, 1.0, np.minimum(1.0, allowed / np.where(size == 0, 1.0, size)))


NAMES = ("matrix", "vector", "scalar", "table")
"""The variables of the cases; the gradients of the table are sparse."""

_rng = np.random.default_rng(20)
WEIGHTS = (
    0.1 * _rng.normal(size=(3, 4)),
    np.array([1.0, -0.5, 0.0, 1e-3, 30.0]),
    np.array(0.25),
    0.1 * _rng.normal(size=(6, 2)),
)


def _noise(rng: np.random.Generator, ids: Sequence[int] = (4, 1, 2), spread: float = 1.0) -> list[Gradient]:
    """Gradients for all variables, each with its own scale, up to ``spread`` powers of ten from 1."""
    scales = 10.0 ** rng.uniform(-spread, spread, size=4)
    shapes = [w.shape for w in WEIGHTS[:3]]
    dense = [np.array(scale * rng.normal(size=shape)) for scale, shape in zip(scales[:3], shapes, strict=True)]
    return [*dense, (list(ids), scales[3] * rng.normal(size=(len(ids), 2)))]


def _replace_coordinate(gradients: list[Gradient], variable: str, position: Any, value: float) -> list[Gradient]:
    """The gradients with one coordinate set to a value."""
    i = NAMES.index(variable)
    target = gradients[i][1] if isinstance(gradients[i], tuple) else gradients[i]
    target[position] = value
    return gradients


def _cases() -> dict[str, list[list[Gradient]]]:
    rng = np.random.default_rng(4)
    zeros = [np.zeros(w.shape) for w in WEIGHTS[:3]]
    no_rows: Gradient = ([], np.zeros((0, 2)))
    return {
        "noise over scales from 1e-3 to 1e3": [_noise(rng, spread=3.0) for _ in range(6)],
        "spikes of 1e4 and 1e6": [
            _noise(rng),
            _replace_coordinate(_noise(rng), "matrix", (1, 2), 1e4),
            _noise(rng),
            _replace_coordinate(_replace_coordinate(_noise(rng), "table", (0, 1), -1e6), "vector", 4, 1e6),
            _replace_coordinate(_noise(rng), "scalar", (), -1e4),
            _noise(rng),
        ],
        "NaN, infinity and 1e30": [
            _replace_coordinate(_noise(rng), "vector", 2, np.nan),
            _noise(rng),
            _replace_coordinate(_noise(rng), "table", (1, 0), np.inf),
            _replace_coordinate(_replace_coordinate(_noise(rng), "scalar", (), -np.inf), "matrix", (2, 3), np.nan),
            _noise(rng),
            _replace_coordinate(_noise(rng), "matrix", (0, 0), 1e30),
            _replace_coordinate(_noise(rng), "matrix", (0, 0), 1.0),
        ],
        "zeros": [
            [*zeros, (range(6), np.zeros((6, 2)))],
            _noise(rng),
            [zeros[0], *_noise(rng)[1:]],
            [*zeros, no_rows],
        ],
        "numbers below the smallest normal one": [
            _replace_coordinate(_noise(rng), "vector", 1, 1e-40),
            [np.full((3, 4), 1e-42), *_noise(rng)[1:3], ([0, 5], np.full((2, 2), -1e-45))],
            _noise(rng),
        ],
        "repeated ids": [
            _noise(rng, ids=[3, 3, 3]),
            _noise(rng, ids=[0, 5, 0, 5, 1]),
            [*zeros, ([2, 4, 2], np.array([[1.0, 2.0], [3.0, 4.0], [-1.0, -2.0]]))],
            [*zeros, ([1, 1], np.array([[np.inf, 0.0], [-np.inf, 0.0]]))],
            [*zeros, ([1, 1], np.array([[6e9, 0.0], [6e9, 0.0]]))],
            _noise(rng, ids=[1]),
        ],
        "no rows": [_noise(rng), [*_noise(rng)[:3], no_rows], [*zeros, no_rows], _noise(rng)],
        "a variable without gradient": [
            _noise(rng),
            [_noise(rng)[0], None, *_noise(rng)[2:]],
            [_replace_coordinate(_noise(rng), "matrix", (0, 1), np.nan)[0], None, *_noise(rng)[2:]],
            [None, _noise(rng)[1], *_noise(rng)[2:]],
            [*_noise(rng)[:3], None],
            _noise(rng),
        ],
    }


CASES = _cases()
"""Sequences of steps by name; each step has a gradient for each variable of :data:`NAMES`, which start at :data:`WEIGHTS`."""
