"""From a tree of plain values, as a YAML file holds it, to frozen dataclasses, and back.

Whatever a user writes, in a file or on the command line, comes in through :func:`build`: there is one set of rules and
one wording of each mistake. The rules are strict. A key must exist; a value must have its field's type, with two
exceptions that lose nothing: a whole number may stand for a float, and a float or a text may stand for a number that it
is exactly (YAML reads ``1e5`` and ``1e-2`` as texts).
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import reprlib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from .errors import ConfigError

T = TypeVar("T")

# Seeds, counts and ids end up in int64 tensors.
_INT64 = range(-(2**63), 2**63)
_NOUNS = {int: "an integer", float: "a number", bool: "true or false", str: "text", type(None): "null"}
_SHOW = reprlib.Repr()
_SHOW.maxstring = _SHOW.maxother = _SHOW.maxlong = 80


def build(cls: type[T], mapping: Any, where: str = "") -> T:
    """Makes a dataclass from plain values, strictly.

    Args:
      cls: A dataclass whose fields are ``int``, ``float``, ``bool``, ``str``, such dataclasses, ``tuple[X, ...]`` and
        unions of these, with or without ``None``.
      mapping: Plain values by field name; nested mappings for nested dataclasses, lists for tuples. What is left out
        takes the field's default.
      where: Dotted path of ``mapping`` in what the user wrote; starts every message.

    Returns:
      An instance of ``cls``.

    Raises:
      ConfigError: An unknown key, a missing one, a value of the wrong type, or a ValueError of a dataclass's own
        ``__post_init__``; one line that starts with the dotted path.
      TypeError: A field of ``cls`` has a type that is not among those above.
    """
    return _build(cls, mapping, where, root=cls)


def to_plain(config: Any) -> Any:
    """The inverse of :func:`build`: dataclasses become dicts, tuples lists, the rest stays."""
    if dataclasses.is_dataclass(config):
        return {field.name: to_plain(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, (tuple, list)):
        return [to_plain(item) for item in config]
    return config


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """A new tree: ``base`` with the values of ``override`` laid over it, key by key; a list is replaced as a whole."""
    merged = dict(base)
    for key, value in override.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def leaves(cls: type) -> dict[str, Any]:
    """The type of every setting that is not itself a section, by dotted path, in the order of the fields."""
    return dict(_leaves(cls, ""))


@functools.cache
def field_types(cls: Any) -> dict[str, Any]:
    """The types of a dataclass's fields, by name."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def is_union(annotation: Any) -> bool:
    """Whether a type is ``X | Y`` or ``Optional[X]``, however it is spelt."""
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _leaves(cls: type, where: str) -> Iterator[tuple[str, Any]]:
    for name, annotation in field_types(cls).items():
        if dataclasses.is_dataclass(annotation):
            yield from _leaves(typing.cast(type, annotation), _join(where, name))
        else:
            yield _join(where, name), annotation


def _build(cls: type[T], mapping: Any, where: str, root: type) -> T:
    known = field_types(typing.cast(Any, cls))
    if not isinstance(mapping, Mapping):
        what = f"{where} is" if where else "expected"
        raise ConfigError(f"{what} a section of settings ({_some(known)}), got {_shown(mapping)}; set one of those")
    for key in mapping:
        if key not in known:
            raise ConfigError(f"{_join(where, key)}: unknown key; {_suggestion(key, cls, root)}")
    required = (f.name for f in dataclasses.fields(typing.cast(Any, cls)) if f.init and _is_required(f))
    missing = [name for name in required if name not in mapping]
    if missing:
        raise ConfigError(f"{_join(where, missing[0])} is missing and has no default")
    values = {key: _convert(known[key], value, _join(where, key), root) for key, value in mapping.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from error


def _convert(annotation: Any, value: Any, where: str, root: type) -> Any:
    if is_union(annotation):
        return _convert_union(annotation, value, where, root)
    if typing.get_origin(annotation) is tuple:
        item, *rest = typing.get_args(annotation)
        if rest != [Ellipsis]:
            raise TypeError(f"{where}: a tuple must be declared as tuple[X, ...], got {annotation}")
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where} must be a list such as [a, b], got {_shown(value)}")
        return tuple(_convert(item, part, f"{where}[{i}]", root) for i, part in enumerate(value))
    if dataclasses.is_dataclass(annotation):
        return _build(typing.cast(type, annotation), value, where, root)
    if annotation not in _NOUNS:
        raise TypeError(f"{where}: settings of type {annotation} are not supported")
    if type(value) is not annotation and annotation in (int, float):
        value = _number(annotation, value)
    if type(value) is not annotation or (annotation is int and value not in _INT64):
        raise ConfigError(f"{where} must be {_noun(annotation)}, got {_shown(value)}{_hint(annotation, value)}")
    return value


def _convert_union(annotation: Any, value: Any, where: str, root: type) -> Any:
    kinds = typing.get_args(annotation)
    # A value that is of one of the types as it stands must not be read as another: in `str | int`, "1" stays text.
    if type(value) in kinds:
        return _convert(type(value), value, where, root)
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    if len(kinds) == 1:
        return _convert(kinds[0], value, where, root)
    for kind in kinds:
        try:
            return _convert(kind, value, where, root)
        except ConfigError:
            continue
    raise ConfigError(f"{where} must be {' or '.join(_noun(kind) for kind in kinds)}, got {_shown(value)}")


def _number(kind: type, value: Any) -> Any:
    """The same number as ``kind`` where that loses nothing, else the value as it came."""
    if type(value) not in (int, float, str):
        return value
    if kind is int and isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return value
    if kind is float:
        return number
    return int(number) if number.is_integer() else value


def _suggestion(key: Any, cls: type, root: type) -> str:
    """What the user may have meant: a near name of this section, or the same name elsewhere in the tree."""
    names = list(field_types(cls))
    near = difflib.get_close_matches(str(key), names, n=1)
    elsewhere = [path for path in leaves(root) if path.rpartition(".")[2] == key]
    if near or elsewhere:
        return f"did you mean {' or '.join(repr(name) for name in near or elsewhere)}?"
    return f"expected one of {', '.join(names)}"


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _join(where: str, key: Any) -> str:
    name = key if isinstance(key, str) and key.isprintable() else repr(key)
    return f"{where}.{name}" if where else name


def _noun(annotation: Any) -> str:
    if annotation in _NOUNS:
        return _NOUNS[annotation]
    return "a list" if typing.get_origin(annotation) is tuple else "a section"


def _hint(annotation: Any, value: Any) -> str:
    if annotation is str and value is not None and not isinstance(value, (list, Mapping)):
        return "; in YAML, put quotes around it"
    return "; it must fit 64 bits" if annotation is int and type(value) is int else ""


def _shown(value: Any) -> str:
    """A value as the user wrote it, on one line and not too long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "a section"
    return _SHOW.repr(value)


def _some(names: Mapping[str, Any]) -> str:
    return ", ".join([*list(names)[:3], *["…"][: len(names) > 3]])
