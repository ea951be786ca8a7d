"""The settings of the ranker."""

from __future__ import annotations

import dataclasses
from typing import Literal

from ..fields import setting


@dataclasses.dataclass(frozen=True)
class Model:
    """The ranker.

    Attributes:
      shared_units: Widths of the layers of the shared bottom, from input to output.
      cross_layers: Number of DCN-v2 layers before the shared bottom; 0 for none.
      cross_projection: Rank of the weight matrices of DCN-v2; 0 for full rank.
      cross_layer_norm: Whether a layer normalization precedes DCN-v2.
      tower_units: Widths of the hidden layers of each task's tower.
      l2: Factor of the L2 regularization of the shared bottom, the cross layers and the towers.
      precision: Keras's dtype policy.
    """

    shared_units: tuple[int, ...] = setting((256, 256), minimum=1)
    cross_layers: int = setting(0, minimum=0)
    cross_projection: int = setting(0, minimum=0)
    cross_layer_norm: bool = True
    tower_units: tuple[int, ...] = setting((64,), minimum=1)
    l2: float = setting(0.0, minimum=0)
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
