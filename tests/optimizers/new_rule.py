"""A made-up rule, as a user would write it, and the code that adds it to the package without touching a file of it.

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
from ..rule import Granularity, Measured, Rule, Threshold, ratio_up_to_one


@dataclasses.dataclass(frozen=True)
class MeanClipping(Rule):
    """Mean clipping: ``sigma = min(1, c / mean_i |r_i|)``.

    Attributes:
      threshold: c, the largest mean of the direction. Default 0.1.
      granularity: ``variable``, ``row``, ``unit`` or ``global``. Default ``variable``.
    """

    threshold: Threshold = 0.1
    granularity: Granularity = "variable"

    name: ClassVar[str] = "mean"
    formula: ClassVar[str] = "min(1, c / mean |r|)"
    reference: ClassVar[str] = "made up"
    granularities: ClassVar[tuple[Granularity, ...]] = ("variable", "row", "unit", "global")
    never_grows: ClassVar[bool] = True

    def measure(self, ops: Any, x: Coordinates) -> dict[str, Quantity]:
        """``mean_i |r_i|``."""
        return {"mean_direction": Mean(ops.abs(x.r))}

    def sigma(self, ops: Any, measured: Measured, eta: Tensor) -> Tensor:
        """``min(1, c / mean_i |r_i|)``."""
        return ratio_up_to_one(ops, self.threshold, measured["mean_direction"])
'''


class AddRule:
    """An import hook that puts a folder with ``mean.py`` on the path of the package of rules."""

    PACKAGE = "steadyrank.optimizers.rules"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp())
        (self._folder / "mean.py").write_text(MODULE)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The specification of the package of rules, with the folder; None for anything else."""
        if name != self.PACKAGE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        spec.submodule_search_locations.append(str(self._folder))
        return spec


if AddRule.PACKAGE not in sys.modules:
    sys.meta_path.insert(0, AddRule())
