"""Configuration of a run: by name, from a YAML file, or from the command line.

* :class:`Config` is the typed tree of settings; :mod:`.settings` documents each one.
* :func:`load` finds a preset by its name or reads a YAML file; :func:`to_yaml` writes one.
* :func:`command` adds the flags ``--config`` and ``--config.SETTING=VALUE``, ``--help`` and exit codes to a command.
* :class:`UserError` is the exception for mistakes that the user can fix.

:func:`build` and :func:`read` work for any other tree of frozen dataclasses, such as a schema.

Where to start reading: :mod:`.settings.training`, a section of settings; then :mod:`.tree`, which builds it from plain
values.

Example:
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
