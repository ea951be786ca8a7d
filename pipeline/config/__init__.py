"""Configuration: what a run is made of, by name, from a file, or from the command line.

* :class:`Config` is the typed tree of settings, each documented in :mod:`.settings`; checked as a whole when it is made,
  never changed after.
* :func:`load` finds one by its preset's name or reads it from a YAML file; :func:`to_yaml` writes it.
* :func:`command` gives a command its flags, ``--config`` and ``--config.SETTING=VALUE``, its ``--help`` and its exit
  codes.
* :class:`UserError` is what to raise when the user can mend it: a command then says so in one line.

:func:`build` and :func:`read` do the same for any other tree of frozen dataclasses, such as a schema:

>>> import dataclasses
>>> @dataclasses.dataclass(frozen=True)
... class Window:
...     days: int
...     share: float = 1.0
>>> build(Window, {"days": 7, "share": "1e-1"})
Window(days=7, share=0.1)
>>> build(Window, {"day": 7})
Traceback (most recent call last):
steadyrank.pipeline.config.errors.ConfigError: day: unknown key; did you mean 'days'?
"""

from .errors import ConfigError, UserError
from .flags import command
from .presets import PRESETS, load
from .settings import Config
from .tree import build, merge, to_plain
from .yaml_files import read, to_yaml

__all__ = [
    "PRESETS",
    "Config",
    "ConfigError",
    "UserError",
    "build",
    "command",
    "load",
    "merge",
    "read",
    "to_plain",
    "to_yaml",
]
