"""Validation of any dataclass by the constraints of its fields."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from steadyrank.pipeline.config.fields import setting
from steadyrank.pipeline.config.validation import find_problems, suggest


@dataclasses.dataclass(frozen=True)
class Leaf:
    share: float = setting(0.5, minimum=0, maximum=1)


@dataclasses.dataclass(frozen=True)
class Tree:
    mode: Literal["fast", "slow"] = "fast"
    color: str = setting("red", choices=("red", "blue"))
    widths: tuple[int, ...] = setting((1,), minimum=1)
    patterns: tuple[str, ...] = setting((), is_pattern=True)
    leaf: Leaf = Leaf()
    leaves: tuple[Leaf, ...] = ()
    free: float = 0.0


def test_valid_values_have_no_problems():
    assert list(find_problems(Tree(mode="slow", widths=(1, 2), patterns=("a+",), leaves=(Leaf(0.0), Leaf(1.0))))) == []


def test_every_problem_is_found_at_any_depth():
    tree = Tree(
        mode="slwo",
        color="green",
        widths=(0, 2, -1),
        patterns=("(",),
        leaf=Leaf(math.nan),
        leaves=(Leaf(), Leaf(2.0)),
        free=math.inf,
    )
    assert list(find_problems(tree, "tree")) == [
        "tree.mode must be one of fast, slow, got 'slwo'; did you mean 'slow'?",
        "tree.color must be one of red, blue, got 'green'",
        "tree.widths[0] must be an integer of 1 or more, got 0",
        "tree.widths[2] must be an integer of 1 or more, got -1",
        "tree.patterns[0] must be a regular expression, got '(': missing ), unterminated subpattern at position 0",
        "tree.leaf.share must be a finite number from 0 to 1, got nan",
        "tree.leaves[1].share must be a finite number from 0 to 1, got 2.0",
        "tree.free must be a finite number, got inf",
    ]


def test_only_a_similar_name_is_suggested():
    assert suggest("relatve", ["relative", "absolute"]) == "; did you mean 'relative'?"
    assert suggest("zzz", ["relative", "absolute"]) == ""
