"""Dataclasses as YAML files: a configuration, or any other tree of settings that a user writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml

from .errors import ConfigError
from .tree import build, to_plain

T = TypeVar("T")

_MERGE = "tag:yaml.org,2002:merge"


def read(cls: type[T], path: str | Path) -> T:
    """Reads a dataclass from a YAML file; what the file leaves out takes its default.

    Args:
      cls: See :func:`.tree.build`.
      path: The file; ``~`` is the home folder.

    Raises:
      ConfigError: The file is missing, empty, not YAML, or does not fit ``cls``; one line that starts with the path,
        and with the line where YAML itself is malformed.
    """
    plain = _read_plain(Path(path).expanduser(), path)
    try:
        return build(cls, plain)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def to_yaml(config: Any) -> str:
    """The text of a file that :func:`read` reads back as an equal object; every setting stands in it, in order."""
    # Not with allow_unicode: PyYAML then writes U+0085 and U+2028 as they are, and reads them as spaces.
    return yaml.safe_dump(to_plain(config), sort_keys=False)


def _read_plain(file: Path, shown: str | Path) -> Any:
    try:
        plain = yaml.load(file.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except FileNotFoundError as error:
        raise ConfigError(f"{shown}: there is no such file") from error
    except OSError as error:
        raise ConfigError(f"{shown}: the file cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: the file is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{shown}{line}: malformed YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        # ValueError: a scalar that looks like a date or a number and is none, such as 2024-13-45.
        raise ConfigError(f"{shown}: malformed YAML: {' '.join(str(error).split())}") from error
    if plain is None:
        raise ConfigError(f"{shown}: the file is empty; expected settings as 'name: value'")
    if not isinstance(plain, dict):
        what = "a list" if isinstance(plain, list) else "a single value"
        raise ConfigError(f"{shown}: expected settings as 'name: value' at the top of the file, got {what}")
    return plain


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, but a key that stands twice is an error: the first of two sections would silently be lost."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands twice", key.start_mark)
            seen.add(key.value)
        return node
