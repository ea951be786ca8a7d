"""A made-up rule, as a user would write it, and an import hook that adds it to the package without changing the package.

As a pytest plugin (``-p tests.optimizers.new_rule``) it adds the rule before any test is collected.
"""

from __future__ import annotations

import importlib.machinery
import sys
import tempfile
from pathlib import Path
from typing import Any

MODULE = '''\
"""Clipping by the mean size of the direction."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from ..coordinates import Coordinates
from ..reductions import Mean, Quantity, Tensor
from ..rule import Granularity, ReductionValues, Rule, Threshold, ratio_up_to_one


@dataclasses.dataclass(frozen=True)
class NewMeanClipping(Rule):
    """Mean clipping: ``sigma = min(1, c / mean_i |r_i|)``.

    Attributes:
      threshold: c, the largest mean of the direction. Default 0.1.
      granularity: ``variable``, ``row``, ``unit`` or ``global``. Default ``variable``.
    """

    threshold: Threshold = 0.1
    granularity: Granularity = "variable"

    name: ClassVar[str] = "new_mean"
    formula: ClassVar[str] = "min(1, c / mean |r|)"
    reference: ClassVar[str] = "made up"
    granularities: ClassVar[tuple[Granularity, ...]] = ("variable", "row", "unit", "global")
    never_grows: ClassVar[bool] = True

    def measure(self, ops: Any, x: Coordinates) -> dict[str, Quantity]:
        """``mean_i |r_i|``."""
        return {"mean_direction": Mean(ops.abs(x.r))}

    def sigma(self, ops: Any, values: ReductionValues, eta: Tensor) -> Tensor:
        """``min(1, c / mean_i |r_i|)``."""
        return ratio_up_to_one(ops, self.threshold, values["mean_direction"])
'''


class AddRule:
    """An import hook that adds a folder with ``new_mean.py`` to the search path of the package of rules."""

    PACKAGE = "steadyrank.optimizers.rules"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp())
        (self._folder / "new_mean.py").write_text(MODULE)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Returns the spec of the package of rules with the folder added; None for any other module."""
        if name != self.PACKAGE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        spec.submodule_search_locations.append(str(self._folder))
        return spec


if AddRule.PACKAGE not in sys.modules:
    sys.meta_path.insert(0, AddRule())
