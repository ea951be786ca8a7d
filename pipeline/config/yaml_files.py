"""Reads and writes dataclasses as YAML: a configuration, a schema, or any other tree of settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml

from .errors import ConfigError
from .paths import expand_home
from .tree import build, to_plain

T = TypeVar("T")

# Octal and sexagesimal integers.
_MISREAD = re.compile(r"[-+]?(0[0-7_]*[0-7][0-7_]*|[0-9_]+(:[0-5]?[0-9])+)")
_MERGE_TAG = "tag:yaml.org,2002:merge"


def read(cls: type[T], path: str | Path) -> T:
    """Reads a dataclass from a YAML file. An omitted field takes its default.

    Args:
      cls: The dataclass; see :func:`.tree.build`.
      path: The file. ``~`` is the home folder.

    Raises:
      ConfigError: If the file is missing, empty or not YAML, or does not fit ``cls``. The message starts with the path;
        for malformed YAML also with the line.
    """
    plain = read_plain(path)
    try:
        return build(cls, plain)
    except ConfigError as error:
        raise ConfigError(*error.problems, source=str(path)) from error


def to_yaml(config: Any) -> str:
    """Returns YAML from which :func:`read` makes an equal object. It contains every setting, in order."""
    # Without allow_unicode: PyYAML would write U+0085 and U+2028 unescaped and read them back as spaces.
    return yaml.safe_dump(to_plain(config), sort_keys=False)


def read_plain(path: str | Path) -> dict[str, Any]:
    """Reads a YAML file as plain values; see :func:`read`."""
    try:
        plain = yaml.load(expand_home(path).read_text(encoding="utf-8"), Loader=_StrictLoader)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file") from error
    except OSError as error:
        raise ConfigError(f"{path}: the file cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the file is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: malformed YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        # ValueError: a scalar that looks like a date or a number but is not a valid one, such as 2024-13-45.
        raise ConfigError(f"{path}: malformed YAML: {' '.join(str(error).split())}") from error
    if plain is None:
        raise ConfigError(f"{path}: the file is empty; expected settings as 'name: value'")
    if not isinstance(plain, dict):
        kind = "a list" if isinstance(plain, list) else "a single value"
        raise ConfigError(f"{path}: expected settings as 'name: value' at the top of the file, got {kind}")
    return plain


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader with an error for a repeated key, which PyYAML would silently accept."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE_TAG:
                continue
            if key.value in keys:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' appears twice", key.start_mark)
            keys.add(key.value)
        return node

    def construct_yaml_int(self, node: Any) -> int:
        """Refuses integers that YAML reads as other numbers than people do: ``010`` is 8, and ``12:30:00`` is 45000."""
        number = super().construct_yaml_int(node)
        if _MISREAD.fullmatch(node.value):
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"{node.value} would be the number {number}; put text in quotes: '{node.value}'",
                node.start_mark,
            )
        return number

    def construct_yaml_float(self, node: Any) -> float:
        """Refuses times with a fraction, such as ``12:30:00.5``, which YAML reads as a number of seconds."""
        number = super().construct_yaml_float(node)
        if ":" in node.value:
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"{node.value} would be the number {number}; put text in quotes: '{node.value}'",
                node.start_mark,
            )
        return number


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_yaml_int)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.construct_yaml_float)
