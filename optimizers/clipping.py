"""The rules that bound a step: what a rule measures, and the pure functions from the measures to sigma.

In the paper's frame Adagrad's step is ``w <- w - eta * r`` with ``r = g / sqrt(G + epsilon)``. A rule chooses a factor
``sigma``, usually one for each variable, and says where it stands:

* *before* the accumulator, the gradient is scaled: ``g <- sigma * g``, then ``G <- G + g^2`` and r are formed from it;
* *after* it, the step is scaled: ``G <- G + g^2``, then ``w <- w - eta * sigma * r``.

| rule | sigma | order |
|---|---|---|
| :class:`NoClipping` | 1 | |
| :class:`GradientClipping` (GC) | ``min(1, threshold / norm(g))`` | before; after by choice |
| :class:`AdaptiveGradientClipping` (AGC) | ``min(1, threshold * norm(w) / norm(g))`` | before; after by choice |
| :class:`Lamb` | ``norm(w) / norm(r)`` | after |
| :class:`Clippy` | ``min(1, min_i (relative * abs(w_i) + absolute) / (eta * abs(r_i)))`` | after |
| :class:`AdaGC` | ``min(1, relative * gamma / norm(g))``, gamma a moving average | before; after by choice |

A rule reads reductions of w, g and G alone (its *measures*), so that a table in shards and a gradient in rows need nothing
else, and one pass over memory is enough. The functions know no variable, no optimizer and no strategy; ``ops`` is a
namespace with NumPy's names (``keras.ops`` is one), so that Keras 2 and Keras 3 share them.

Legend: w weights, g gradient, G accumulator, all of one shape; eta learning rate, a scalar.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

Threshold: TypeAlias = "float | Callable[[Any], Any]"
Tensor: TypeAlias = Any

# Weight norms below this count as this in AGC, so that a variable of zeros can move (Brock et al. 2021, section 4.1).
_AGC_FLOOR = 1e-3
# No factor is larger than this: LAMB's could otherwise overflow.
_LARGEST_FACTOR = 1e30
# AdaGC's gamma of a variable whose gradient has been 0 so far.
NO_GAMMA = 1e30
# Demand of a coordinate that moves and must not: larger than any other, and finite, since infinity tells of a bad gradient.
_FORBIDDEN = 1e37
# Measures that are a maximum over the coordinates; the others are sums.
_LARGEST_COUNTS = ("demand", "sanity")
# No coordinate is allowed more than this at once.
_WIDEST = 1e18


@dataclasses.dataclass(frozen=True)
class Frame:
    """What of Adagrad the measures depend on.

    Attributes:
      epsilon: Stands under the root beside the accumulator.
      weight_decay: Each step also takes ``eta * weight_decay * w``; it is part of the step that a rule bounds.
      delayed: r is formed from the accumulator of the steps before.
      gradient_limit: A coordinate of g beyond it counts as not finite.
      tiny: Smallest normal number of the dtype in which the step is computed.
      largest: Bound of the weights, a little below the variable's largest number.
      largest_accumulator: Bound of the accumulators, likewise.
    """

    epsilon: float
    weight_decay: float
    delayed: bool
    gradient_limit: float
    tiny: float
    largest: float
    largest_accumulator: float

    def direction(self, ops: Any, w: Tensor, g: Tensor, accumulator: Tensor) -> Tensor:
        """r, with the weight decay; 0 where g and w are 0, whatever the accumulator. ``accumulator`` is the one to divide by."""
        r = g / self.root(ops, accumulator)
        return r + self.weight_decay * w if self.weight_decay else r

    def root(self, ops: Any, accumulator: Tensor) -> Tensor:
        """``sqrt(G + epsilon)``, above 0 also where nothing has been accumulated yet."""
        # Not by rsqrt, which XLA's CPU backend makes of a plain quotient by a root as well: it takes six times as long.
        return ops.maximum(ops.sqrt(accumulator + self.epsilon), math.sqrt(self.tiny))

    def squared_direction(self, ops: Any, w: Tensor, g: Tensor, accumulator: Tensor) -> Tensor:
        """The square of r."""
        if self.weight_decay or self.epsilon < 1e-30 or not self.squares_fit:
            return ops.square(self.direction(ops, w, g, accumulator))
        # Spares a root.
        return ops.square(g) / (accumulator + self.epsilon)

    def divisor(self, ops: Any, g: Tensor, accumulator: Tensor) -> Tensor:
        """The accumulator that r is formed from: with g in it, or as it was before."""
        if self.delayed:
            return accumulator
        total = accumulator + ops.square(g)
        return total if self.squares_fit else ops.minimum(total, self.largest_accumulator)

    @property
    def squares_fit(self) -> bool:
        """Whether the largest square is lost beside the largest accumulator: less than half a unit in its last place."""
        return self.gradient_limit * self.gradient_limit <= 2.0**-25 * self.largest_accumulator


def demand(ops: Any, frame: Frame, w: Tensor, g: Tensor, accumulator: Tensor, thresholds: Clippy) -> Tensor:
    """How far each coordinate would move at the rate 1, in units of what Clippy allows it; of w's shape.

    ``abs(r_i) / (relative * abs(w_i) + absolute)``, 0 for a coordinate that does not move, also where nothing is allowed;
    ``_FORBIDDEN`` where a coordinate moves that must not; infinite where g is not finite. *Squared* where
    :func:`squares_demand` says so, which spares each coordinate a root and a division; the order stays.
    """
    divisor = frame.divisor(ops, g, accumulator)
    allowed = thresholds.relative * ops.abs(w) + thresholds.absolute
    if squares_demand(frame, thresholds):
        # A weight of more than 1e18 may move less than it might, and no square overflows.
        allowed = ops.square(ops.minimum(allowed, _WIDEST))
        return marked(ops, frame, g, ops.square(g) / ((divisor + frame.epsilon) * allowed))
    if not _is_number(thresholds.accumulator_relative, at_most=0):
        allowed = allowed + thresholds.accumulator_relative / frame.root(ops, divisor)
    distance = ops.abs(frame.direction(ops, w, g, divisor))
    asked = ops.minimum(distance / allowed, _FORBIDDEN)
    return marked(ops, frame, g, ops.where(distance == 0, ops.zeros_like(distance), asked))


def squares_demand(frame: Frame, thresholds: Clippy) -> bool:
    """Whether :func:`demand` is squared: in the usual case, in which every coordinate may move and none asks for more than 1."""
    absolute, accumulator_relative = thresholds.absolute, thresholds.accumulator_relative
    if callable(absolute) or not _is_number(absolute) or not _is_number(accumulator_relative, at_most=0):
        return False
    # Their product is the least that is divided by.
    return (
        frame.epsilon * float(absolute) ** 2 >= 1e-30
        and frame.squares_fit
        and not frame.delayed
        and not frame.weight_decay
    )


def marked(ops: Any, frame: Frame, g: Tensor, value: Tensor) -> Tensor:
    """``value``, but infinite where g is NaN, infinite or beyond the limit: every reduction then tells of it."""
    return ops.where(ops.abs(g) <= frame.gradient_limit, value, math.inf)


def by_coordinate(ops: Any, what: str, frame: Frame, rule: Rule, w: Tensor, g: Tensor, accumulator: Tensor) -> Tensor:
    """What each coordinate adds to a measure, of w's shape; :func:`joined` and :func:`reduced` put it together.

    Args:
      ops: The namespace.
      what: ``sanity`` (0, or infinite when g is not finite), ``demand`` (the largest, see :func:`demand`), or the sum of the
        squares of g (``gradient``), r (``direction``) or w (``parameter``). All but the last are infinite when a coordinate
        of g is not finite.
      frame: Adagrad's side.
      rule: The rule, with its thresholds resolved; Clippy's own for ``demand``.
      w, g, accumulator: Of one shape.
    """
    if what == "parameter":
        return ops.square(w)
    if what == "demand":
        assert isinstance(rule, Clippy)
        return demand(ops, frame, w, g, accumulator, rule)
    if what == "sanity":
        return marked(ops, frame, g, ops.zeros_like(g))
    if what == "gradient":
        return marked(ops, frame, g, ops.square(g))
    return marked(ops, frame, g, frame.squared_direction(ops, w, g, frame.divisor(ops, g, accumulator)))


def joined(ops: Any, what: str, some: Tensor, others: Tensor) -> Tensor:
    """Of two arrays of a measure one, which is reduced to what both together would be."""
    return (ops.maximum if what in _LARGEST_COUNTS else ops.add)(some, others)


def reduced(ops: Any, what: str, frame: Frame, rule: Rule, values: Tensor, axis: Any) -> Tensor:
    """A measure, from what each coordinate adds to it; over all axes to a scalar (None), or with ``axis`` kept with length 1."""
    if what not in _LARGEST_COUNTS:
        return ops.sum(values, axis=axis, keepdims=axis is not None)
    found = largest(ops, values, axis)
    squared = what == "demand" and isinstance(rule, Clippy) and squares_demand(frame, rule)
    return ops.sqrt(found) if squared else found


def deltas(
    ops: Any,
    frame: Frame,
    w: Tensor,
    g: Tensor,
    accumulator: Tensor,
    *,
    eta: Tensor,
    before: Tensor | None = None,
    after: Tensor | None = None,
    accumulated: Tensor | None = None,
    at_most_one: bool = True,
    sound: Tensor,
) -> tuple[Tensor, Tensor]:
    """What one step adds to w and to G.

    Neither can leave the range of numbers: G stays at ``frame.largest_accumulator`` and w within plus and minus
    ``frame.largest``. Bounds that the arguments leave no way to reach are not computed.

    Args:
      ops: The namespace.
      frame: Adagrad's side.
      w, g, accumulator: Of one shape.
      eta: The learning rate.
      before: Factor of the gradient, before the accumulator; None for 1.
      after: Factor of the step; None for 1.
      accumulated: Factor of the gradient that the accumulator takes, where that differs from ``before``.
      at_most_one: Whether the factors are known to be at most 1.
      sound: Whether the step is taken at all; where it is False, both results are 0.
    """
    g = ops.where(sound, g, ops.zeros_like(g))
    taken = g if accumulated is None else g * accumulated
    if before is not None:
        # A factor is 0 where the gradient is not finite, and may be anything else.
        g = g * ops.where(sound, before, ops.zeros_like(before))
        taken = g if accumulated is None else taken
    gain = ops.square(taken)
    if not frame.squares_fit:
        gain = ops.minimum(gain, ops.maximum(frame.largest_accumulator - accumulator, 0.0))
    step = frame.direction(ops, w, g, accumulator if frame.delayed else accumulator + gain)
    tame = at_most_one and not frame.delayed and not frame.weight_decay
    step = eta * step if tame else _within(ops, eta * _within(ops, step, frame.largest), frame.largest)
    if after is not None:
        step = step * ops.where(sound, after, ops.zeros_like(after))
        step = step if tame else _within(ops, step, frame.largest)
    elif frame.weight_decay:
        step = ops.where(sound, step, ops.zeros_like(step))
    # What does not move stays where it is, even beyond the bound.
    return ops.where(step == 0, ops.zeros_like(step), _within(ops, w - step, frame.largest) - w), gain


def _within(ops: Any, x: Tensor, bound: float) -> Tensor:
    return ops.minimum(ops.maximum(x, -bound), bound)


def largest(ops: Any, values: Tensor, axis: Any = None) -> Tensor:
    """The maximum of numbers of 0 or more, 0 where there are none; over all axes to a scalar, or with the axes kept."""
    # Over no rows, TensorFlow's maximum is minus infinity; NumPy's needs to be told where to begin.
    return ops.max(values, axis=axis, keepdims=axis is not None, initial=0.0)


@dataclasses.dataclass(frozen=True)
class Rule:
    """Base of the rules; by itself no rule. Thresholds are numbers of 0 or more, or schedules: functions of the step.

    Attributes:
      name: Its name in configurations.
      measures: What it reads, see :func:`measure`; the first tells whether the gradient is finite.
      thresholds: The fields that are thresholds.
    """

    name: ClassVar[str] = ""
    measures: ClassVar[tuple[str, ...]] = ("sanity",)
    thresholds: ClassVar[tuple[str, ...]] = ()
    # Whether sigma depends on its own past.
    keeps_state: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for field in self.thresholds:
            value = getattr(self, field)
            if not callable(value) and not (is_real(value) and 0 <= float(value) < math.inf):
                raise ValueError(
                    f"{self.name}: {field} must be a finite number of 0 or more, or a schedule, got {value!r}"
                )
        for field, choices in self._choices().items():
            if getattr(self, field) not in choices:
                raise ValueError(
                    f"{self.name}: {field} must be one of {', '.join(choices)}, got {getattr(self, field)!r}"
                )

    @property
    def scales_gradient(self) -> bool:
        """Whether sigma scales the gradient before the accumulator, and not the step after it."""
        return getattr(self, "order", "after") == "before"

    @property
    def granularity(self) -> str:
        """What shares one sigma: ``variable``, ``row``, ``unit`` or ``global``."""
        return getattr(self, "per", "variable")

    def at(self, step: Tensor, cast: Callable[[Any], Tensor]) -> Rule:
        """The rule with its scheduled thresholds as they are at a step, each given to ``cast``."""
        scheduled = {f: cast(getattr(self, f)(step)) for f in self.thresholds if callable(getattr(self, f))}
        if not scheduled:
            return self
        resolved = object.__new__(type(self))
        for field in dataclasses.fields(self):
            object.__setattr__(resolved, field.name, scheduled.get(field.name, getattr(self, field.name)))
        return resolved

    def sigma(self, ops: Any, measured: Mapping[str, Tensor], eta: Tensor) -> Tensor:
        """The factor, from the measures. Element-wise: measures of many variables may be stacked."""
        return ops.ones_like(measured["sanity"])

    def get_config(self) -> dict[str, Any]:
        """The rule's name and fields; schedules as they are."""
        return {"rule": self.name} | {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def _choices(self) -> dict[str, tuple[str, ...]]:
        return {}


@dataclasses.dataclass(frozen=True)
class NoClipping(Rule):
    """Plain Adagrad: sigma is 1."""

    name: ClassVar[str] = "none"


@dataclasses.dataclass(frozen=True)
class GradientClipping(Rule):
    """GC: ``min(1, threshold / norm(g))`` (Pascanu et al. 2013).

    Attributes:
      threshold: Largest norm of the gradient. Default 1.
      per: ``variable``, or ``global``: the norm is taken over all variables that this rule applies to. Default
        ``variable``, as in the paper.
      order: ``before`` the accumulator, as published, or ``after`` it.
    """

    threshold: Threshold = 1.0
    per: str = "variable"
    order: str = "before"

    name: ClassVar[str] = "gc"
    measures: ClassVar[tuple[str, ...]] = ("gradient",)
    thresholds: ClassVar[tuple[str, ...]] = ("threshold",)

    def sigma(self, ops: Any, measured: Mapping[str, Tensor], eta: Tensor) -> Tensor:
        """See the class."""
        return _at_most_one(ops, self.threshold, ops.sqrt(measured["gradient"]))

    def _choices(self) -> dict[str, tuple[str, ...]]:
        return {"per": ("variable", "global"), "order": ("before", "after")}


@dataclasses.dataclass(frozen=True)
class AdaptiveGradientClipping(Rule):
    """AGC: ``min(1, threshold * max(norm(w), 0.001) / norm(g))`` (Brock et al. 2021).

    Attributes:
      threshold: Largest ratio of the two norms. Default 0.01.
      per: ``variable``, or ``unit``: for each output unit (index of the last axis) its own sigma, as published; a
        variable of one axis is one unit. Default ``variable``, as in the paper's comparison.
      order: ``before`` the accumulator, as published, or ``after`` it.
    """

    threshold: Threshold = 0.01
    per: str = "variable"
    order: str = "before"

    name: ClassVar[str] = "agc"
    measures: ClassVar[tuple[str, ...]] = ("gradient", "parameter")
    thresholds: ClassVar[tuple[str, ...]] = ("threshold",)

    def sigma(self, ops: Any, measured: Mapping[str, Tensor], eta: Tensor) -> Tensor:
        """See the class."""
        allowed = self.threshold * ops.maximum(ops.sqrt(measured["parameter"]), _AGC_FLOOR)
        return _at_most_one(ops, allowed, ops.sqrt(measured["gradient"]))

    def _choices(self) -> dict[str, tuple[str, ...]]:
        return {"per": ("variable", "unit"), "order": ("before", "after")}


@dataclasses.dataclass(frozen=True)
class Lamb(Rule):
    """LAMB's layer-wise factor on Adagrad: ``norm(w) / norm(r)``, which may exceed 1; 1 where either is 0 (You et al. 2020)."""

    name: ClassVar[str] = "lamb"
    measures: ClassVar[tuple[str, ...]] = ("direction", "parameter")

    def sigma(self, ops: Any, measured: Mapping[str, Tensor], eta: Tensor) -> Tensor:
        """See the class."""
        w, r = ops.sqrt(measured["parameter"]), ops.sqrt(measured["direction"])
        one = ops.ones_like(r)
        moves = (w > 0) & (r > 0)
        return ops.where(moves, ops.minimum(w / ops.where(moves, r, one), _LARGEST_FACTOR), one)


@dataclasses.dataclass(frozen=True)
class Clippy(Rule):
    """Clippy: no coordinate moves further than ``relative * abs(w_i) + absolute`` (Tang et al. 2023, Algorithm 1).

    Attributes:
      relative: lambda_rel: lets large weights move in proportion. Default 0.5.
      absolute: lambda_abs: lets weights near 0 move at all. Default 0.01.
      accumulator_relative: Adds this multiple of ``1 / sqrt(G + epsilon)`` to what a coordinate may move; not in the paper.
      per: ``variable``, or ``row``: each index of the first axis has its own sigma, so that one row of an embedding
        table does not slow the others.
    """

    relative: Threshold = 0.5
    absolute: Threshold = 1e-2
    accumulator_relative: Threshold = 0.0
    per: str = "variable"

    name: ClassVar[str] = "clippy"
    measures: ClassVar[tuple[str, ...]] = ("demand",)
    thresholds: ClassVar[tuple[str, ...]] = ("relative", "absolute", "accumulator_relative")

    def sigma(self, ops: Any, measured: Mapping[str, Tensor], eta: Tensor) -> Tensor:
        """See the class; exactly 0 where a coordinate would move that may not move at all."""
        asked = eta * measured["demand"]
        # Not by the quotient alone: TensorFlow's vectors make 0.99999994 of 1 / 1.
        shrunk = ops.where(asked > 1.0, 1.0 / ops.maximum(asked, 1.0), ops.ones_like(asked))
        return ops.where(measured["demand"] >= 0.99 * _FORBIDDEN, ops.zeros_like(shrunk), shrunk)

    def _choices(self) -> dict[str, tuple[str, ...]]:
        return {"per": ("variable", "row")}


@dataclasses.dataclass(frozen=True)
class AdaGC(Rule):
    """AdaGC: ``min(1, relative * gamma / norm(g))``, gamma the moving average of the clipped norms (Wang et al. 2025).

    In the first ``start`` steps the gradient is clipped by its norm over all variables, to ``absolute``, and gamma is the
    smallest clipped norm so far. A gradient of zeros leaves gamma as it is.

    Attributes:
      relative: Largest norm in units of gamma. Default 1.05.
      absolute: Largest norm of all gradients together during the start. Default 1.
      beta: Share of its past in the moving average, from 0 to below 1. Default 0.98.
      start: Steps of the start. Default 100.
      order: ``before`` the accumulator, as published, or ``after`` it.
    """

    relative: Threshold = 1.05
    absolute: Threshold = 1.0
    beta: float = 0.98
    start: int = 100
    order: str = "before"

    name: ClassVar[str] = "adagc"
    measures: ClassVar[tuple[str, ...]] = ("gradient",)
    thresholds: ClassVar[tuple[str, ...]] = ("relative", "absolute")
    keeps_state: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_real(self.beta) or not 0 <= float(self.beta) < 1:
            raise ValueError(f"adagc: beta must be from 0 to below 1, got {self.beta!r}")
        if isinstance(self.start, bool) or not isinstance(self.start, int) or self.start < 1:
            raise ValueError(f"adagc: start must be an integer of 1 or more, got {self.start!r}")

    def sigma_and_gamma(self, ops: Any, norm: Tensor, global_norm: Tensor, gamma: Tensor, step: Tensor) -> tuple:
        """The factor, and gamma after the step.

        Args:
          ops: The namespace.
          norm: Norms of the variables' gradients, ``[V]``.
          global_norm: Norm of all of them together.
          gamma: Gamma of each variable, ``[V]``; :data:`NO_GAMMA` where nothing has been seen yet.
          step: The step, counted from 0.
        """
        starting = step < self.start
        global_sigma = _at_most_one(ops, self.absolute, global_norm)
        sigma = ops.where(starting, global_sigma * ops.ones_like(norm), _at_most_one(ops, self.relative * gamma, norm))
        clipped = sigma * norm
        averaged = self.beta * gamma + (1 - self.beta) * clipped
        # A layer that saw no gradient during the start begins its average with its first one.
        averaged = ops.where(gamma < NO_GAMMA, averaged, clipped)
        after = ops.where(starting, ops.minimum(gamma, clipped), averaged)
        return sigma, ops.where(norm > 0, after, gamma)

    def _choices(self) -> dict[str, tuple[str, ...]]:
        return {"order": ("before", "after")}


RULES: dict[str, type[Rule]] = {
    rule.name: rule for rule in (NoClipping, GradientClipping, AdaptiveGradientClipping, Lamb, Clippy, AdaGC)
}


def rule_from_config(config: Mapping[str, Any]) -> Rule:
    """The inverse of :meth:`Rule.get_config`.

    Raises:
      ValueError: When there is no rule of that name.
    """
    fields = dict(config)
    name = fields.pop("rule", None)
    if name not in RULES:
        raise ValueError(f"there is no rule '{name}'; expected one of {', '.join(RULES)}")
    return RULES[name](**fields)


def is_real(value: Any) -> bool:
    """Whether a value is a number, Python's or NumPy's, and not a truth value."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _at_most_one(ops: Any, allowed: Any, norm: Tensor) -> Tensor:
    """``min(1, allowed / norm)``; 1 for a norm of 0."""
    there = norm > 0
    one = ops.ones_like(norm)
    return ops.where(there, ops.minimum(allowed / ops.where(there, norm, one), one), one)


def _is_number(threshold: Any, at_least: float = 0.0, at_most: float = math.inf) -> bool:
    """Whether a threshold is a number in these bounds, known before the step; a scheduled one is not."""
    return is_real(threshold) and at_least <= float(threshold) <= at_most
