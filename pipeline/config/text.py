"""One setting as a text on the command line.

A text alone does not say its type: ``1`` may be a number, a name or a list of one. The field's type decides. Numbers
stay texts here, since :func:`.tree.build` reads them; what a text cannot say without its field's type is true and
false, a list, and null.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import yaml

from .errors import ConfigError
from .tree import is_union

_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "off", "0"), False),
}


def is_boolean(annotation: Any) -> bool:
    """Whether a setting of this type may stand without a value, which then means true."""
    return annotation is bool or (is_union(annotation) and set(typing.get_args(annotation)) == {bool, type(None)})


def from_text(annotation: Any, text: str, where: str) -> Any:
    """Reads a text as the plain value of a field.

    Args:
      annotation: The field's type. ``bool`` takes ``true`` and ``false`` (and ``yes``, ``on``, ``1`` …); a tuple takes
        ``a,b``, or a YAML list ``[a, 'b,c']`` where an element holds a comma or starts with a bracket, or nothing for
        the empty tuple; an optional field takes ``null``. Other fields take the text as it is.
      text: What the user wrote.
      where: The setting's dotted path, for the message.

    Returns:
      A plain value for :func:`.tree.build`.

    Raises:
      ConfigError: The text does not have the form that the type asks for.
    """
    if is_union(annotation):
        kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        optional = len(kinds) < len(typing.get_args(annotation))
        if optional and text.lower() == "null":
            return None
        return from_text(kinds[0], text, where) if len(kinds) == 1 else text
    if annotation is bool:
        if text.lower() not in _BOOLEANS:
            raise ConfigError(f"{where} must be true or false, got {text!r}")
        return _BOOLEANS[text.lower()]
    if typing.get_origin(annotation) is tuple:
        item = typing.get_args(annotation)[0]
        if dataclasses.is_dataclass(item):
            raise ConfigError(f"{where} is a list of sections, which a YAML file can hold and the command line cannot")
        return [from_text(item, part, f"{where}[{i}]") for i, part in enumerate(_parts(text, where))]
    return text


def to_text(value: Any) -> str:
    """The text that :func:`from_text` and :func:`.tree.build` read as ``value``."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, (tuple, list)):
        return str(value)
    parts = [to_text(item) for item in value]
    if any(not part or part != part.strip() or "," in part or part.startswith("[") for part in parts):
        # Not with allow_unicode: PyYAML then writes U+0085 and U+2028 as they are, and reads them as spaces.
        return yaml.safe_dump(parts, default_flow_style=True, width=float("inf")).strip()
    return ",".join(parts)


def _parts(text: str, where: str) -> list[str]:
    if not text.strip():
        return []
    if not text.lstrip().startswith("["):
        parts = [part.strip() for part in text.split(",")]
        if not all(parts):
            raise ConfigError(f"{where} must be values with a comma between them, got {text!r}, which has an empty one")
        return parts
    try:
        # BaseLoader leaves every scalar a text, so that the field's type decides here too.
        listed = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        listed = None
    if not isinstance(listed, list) or not all(isinstance(part, str) for part in listed):
        raise ConfigError(f"{where} must be a YAML list such as [a, 'b,c'], or a,b without brackets, got {text!r}")
    return listed
