"""The typed configuration of a run: every setting with its unit, its default and its allowed values.

:class:`Config` is the whole tree; :mod:`.data`, :mod:`.model`, :mod:`.optimizer` and :mod:`.training` declare its
sections. A configuration is validated as a whole when it is made, and never changes afterwards.

To add a setting, add a field with :func:`~..fields.setting` and a line in the class's ``Attributes:``. The command
line, YAML files, ``--help`` and validation pick it up.
"""

from .config import Config
from .data import Data, Files, Movielens, Simulated
from .model import Model
from .optimizer import Group, Optimizer
from .training import Training

__all__ = ["Config", "Data", "Files", "Group", "Model", "Movielens", "Optimizer", "Simulated", "Training"]
