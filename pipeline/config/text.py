"""Converts a setting to and from text on the command line.

Text alone does not determine a type: ``1`` may be a number, a name or a list of one number. The field's type decides.
This module reads Booleans, lists, mappings and null. Numbers remain text, because :func:`.tree.build` converts them.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

import yaml

from .errors import ConfigError
from .tree import Replacement, is_mapping, is_union, item_type

_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "off", "0"), False),
}


def is_boolean(annotation: Any) -> bool:
    """Whether a setting of this type may be written without a value, which then means true."""
    return annotation is bool or (is_union(annotation) and set(typing.get_args(annotation)) == {bool, type(None)})


def from_text(annotation: Any, text: str, where: str) -> Any:
    """Converts text to the plain value of a field.

    | type of the field | text |
    |---|---|
    | ``bool`` | ``true`` or ``false`` (also ``yes``, ``on``, ``1`` …) |
    | ``tuple[X, ...]`` | ``a,b``; nothing for the empty list; ``[a, 'b,c']`` if an item has a comma or starts with a bracket |
    | ``Mapping[str, X]`` | ``name=value,other=value``; nothing for the empty mapping |
    | ``X | None`` | ``null``, or the text of X |
    | any other | the text itself |

    Args:
      annotation: The field's type.
      text: The text that the user wrote.
      where: The setting's dotted path, for the message.

    Returns:
      A plain value for :func:`.tree.build`.

    Raises:
      ConfigError: If the text does not have the form that the type needs.

    Example:
    >>> from_text(tuple[int, ...], "512,256", "model.shared_units")
    ['512', '256']
    """
    if is_union(annotation):
        kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        is_optional = len(kinds) < len(typing.get_args(annotation))
        if is_optional and text.lower() == "null":
            return None
        return from_text(kinds[0], text, where) if len(kinds) == 1 else text
    if annotation is bool:
        if text.lower() not in _BOOLEANS:
            raise ConfigError(f"{where} must be true or false, got {text!r}")
        return _BOOLEANS[text.lower()]
    if is_mapping(annotation):
        return _read_mapping(text, where)
    if typing.get_origin(annotation) is tuple:
        item = item_type(annotation)
        if dataclasses.is_dataclass(item):
            raise ConfigError(
                f"{where} is a list of sections; set it in a YAML file, because the command line cannot express it"
            )
        return [from_text(item, part, f"{where}[{i}]") for i, part in enumerate(_split_list(text, where))]
    return text


def to_text(value: Any) -> str:
    """Returns the text that :func:`from_text` and :func:`.tree.build` read as ``value``.

    Example:
    >>> to_text((512, 256)), to_text({"relative": 0.25, "granularity": "row"})
    ('512,256', 'relative=0.25,granularity=row')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return ",".join(f"{name}={to_text(item)}" for name, item in value.items())
    if not isinstance(value, (tuple, list)):
        return str(value)
    parts = [to_text(item) for item in value]
    if any(not part or part != part.strip() or "," in part or part.startswith("[") for part in parts):
        # Without allow_unicode: PyYAML would write U+0085 and U+2028 unescaped and read them back as spaces.
        return yaml.safe_dump(parts, default_flow_style=True, width=float("inf")).strip()
    return ",".join(parts)


def _read_mapping(text: str, where: str) -> Replacement:
    mapping = Replacement()
    for entry in text.split(",") if text.strip() else []:
        name, separator, value = (part.strip() for part in entry.partition("="))
        if not name or not separator or not value:
            raise ConfigError(f"{where} must be written name=value,name=value, got {text!r}")
        if name in mapping:
            raise ConfigError(f"{where} sets {name!r} twice, got {text!r}")
        mapping[name] = value
    return mapping


def _split_list(text: str, where: str) -> list[str]:
    if not text.strip():
        return []
    if not text.lstrip().startswith("["):
        parts = [part.strip() for part in text.split(",")]
        if not all(parts):
            raise ConfigError(f"{where} must be values separated by commas, got {text!r}, which has an empty value")
        return parts
    try:
        # BaseLoader reads every scalar as text, so that the field's type decides here too.
        items = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ConfigError(f"{where} must be a YAML list such as [a, 'b,c'], or a,b without brackets, got {text!r}")
    return items
