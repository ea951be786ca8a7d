"""Converts plain values, such as those of a YAML file, to frozen dataclasses, and back.

All settings pass through :func:`build`, whether they come from a file or the command line. Both therefore follow the
same rules and give the same messages. The rules are strict: a key must exist, and a value must have its field's type.
Two lossless conversions are allowed: a whole number is accepted as a float, and a float or text is accepted as a number
that it equals exactly (YAML reads ``1e5`` and ``1e-2`` as text).
"""

from __future__ import annotations

import collections.abc
import dataclasses
import difflib
import functools
import reprlib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

from .errors import ConfigError

T = TypeVar("T")

# Seeds, counts and ids end up in int64 tensors.
_INT64 = range(-(2**63), 2**63)
_NOUNS = {int: "an integer", float: "a number", bool: "true or false", str: "text", type(None): "null"}
_SHORT_REPR = reprlib.Repr()
_SHORT_REPR.maxstring = _SHORT_REPR.maxother = _SHORT_REPR.maxlong = 80
# Marks a value that could not be converted; the builder's list contains its problem.
_FAILED: Any = object()


def build(cls: type[T], mapping: Any, where: str = "") -> T:
    """Makes a dataclass from plain values, strictly.

    Args:
      cls: A dataclass. Its fields may have the types ``int``, ``float``, ``bool``, ``str``, a ``Literal`` of strings,
        another dataclass of this kind, ``tuple[X, ...]``, ``Mapping[str, X]``, and unions of these with or without
        ``None``.
      mapping: Plain values by field name: nested mappings for nested dataclasses, lists for tuples. An omitted field
        takes its default.
      where: Dotted path of ``mapping`` in the user's settings. Every message starts with it.

    Returns:
      An instance of ``cls``.

    Raises:
      ConfigError: If keys are unknown or missing, values have the wrong type, or the ``__post_init__`` of a dataclass
        raises ValueError. The error lists all problems.
      TypeError: If a field of ``cls`` has a type that is not in the list above.
    """
    builder = _Builder(root=cls)
    instance = builder.build(cls, mapping, where)
    if builder.problems:
        raise ConfigError(*builder.problems)
    return instance


def to_plain(config: Any) -> Any:
    """Converts dataclasses and mappings to dicts and tuples to lists, at any depth; the inverse of :func:`build`."""
    if dataclasses.is_dataclass(config):
        return {field.name: to_plain(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        return {key: to_plain(value) for key, value in config.items()}
    if isinstance(config, (tuple, list)):
        return [to_plain(item) for item in config]
    return config


class Replacement(dict[str, Any]):
    """A mapping that is one setting and not a section, so that :func:`merge` replaces it as a whole."""


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a new tree: ``base`` with its values replaced by those of ``override``.

    Sections are merged key by key. A list or a :class:`Replacement` is replaced as a whole.

    Example:
    >>> merge({"model": {"l2": 0.0, "shared_units": [8, 4]}}, {"model": {"shared_units": [2]}})
    {'model': {'l2': 0.0, 'shared_units': [2]}}
    """
    merged = dict(base)
    for key, value in override.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and not isinstance(value, Replacement):
            value = merge(old, value)
        merged[key] = value
    return merged


def leaves(cls: type) -> dict[str, Any]:
    """Returns the type of every setting that is not itself a section, by dotted path, in the order of the fields."""
    return dict(_iterate_leaves(cls, ""))


@functools.cache
def field_types(cls: Any) -> dict[str, Any]:
    """Returns the types of a dataclass's fields, by name."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def is_union(annotation: Any) -> bool:
    """Whether a type is ``X | Y`` or ``Optional[X]``, in either spelling."""
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def is_mapping(annotation: Any) -> bool:
    """Whether a type is ``Mapping[str, X]``."""
    return typing.get_origin(annotation) is collections.abc.Mapping


def literal_choices(annotation: Any) -> tuple[str, ...]:
    """Returns the values of a ``Literal`` type; empty for any other type."""
    return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()


def item_type(annotation: Any) -> Any:
    """Returns X for ``tuple[X, ...]``."""
    return typing.get_args(annotation)[0]


def join_path(path: str, name: Any) -> str:
    """Appends a name to a dotted path."""
    text = name if isinstance(name, str) and name.isprintable() else repr(name)
    return f"{path}.{text}" if path else text


def as_number(kind: type, value: Any) -> Any:
    """Converts a value to ``int`` or ``float`` if that loses nothing; returns it unchanged otherwise.

    Example:
    >>> as_number(float, "1e-2"), as_number(int, 3.0), as_number(int, 3.5), as_number(float, "x")
    (0.01, 3, 3.5, 'x')
    """
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


class _Builder:
    """Converts one tree and collects its problems.

    Args:
      root: The dataclass of the whole tree. Suggestions for an unknown key come from it.
    """

    def __init__(self, root: type):
        self.problems: list[str] = []
        self._root = root

    def build(self, cls: type[T], mapping: Any, where: str) -> T:
        known = field_types(typing.cast(Any, cls))
        if not isinstance(mapping, Mapping):
            subject = f"{where} is" if where else "expected"
            names = _shorten_names(known)
            return self._fail(f"{subject} a section of settings ({names}), got {_format(mapping)}; set one of these")
        unknown = [key for key in mapping if key not in known]
        for key in unknown:
            self._fail(f"{join_path(where, key)}: unknown key; {_suggest_key(key, cls, self._root)}")
        required = [f.name for f in dataclasses.fields(typing.cast(Any, cls)) if f.init and _is_required(f)]
        # If a key is unknown, it is most likely a misspelling of the missing key, so only the unknown key is reported.
        missing = [] if unknown else [name for name in required if name not in mapping]
        for name in missing:
            self._fail(f"{join_path(where, name)} is missing and has no default")
        values = {
            key: self.convert(known[key], value, join_path(where, key))
            for key, value in mapping.items()
            if key in known
        }
        if unknown or missing or any(value is _FAILED for value in values.values()):
            return _FAILED
        try:
            return cls(**values)
        except ValueError as error:
            for problem in error.problems if isinstance(error, ConfigError) else [str(error)]:
                self._fail(f"{where}: {problem}" if where else problem)
            return _FAILED

    def convert(self, annotation: Any, value: Any, where: str) -> Any:
        if is_union(annotation):
            return self._convert_union(annotation, value, where)
        if typing.get_origin(annotation) is tuple:
            return self._convert_tuple(annotation, value, where)
        if is_mapping(annotation):
            if not isinstance(value, Mapping):
                return self._fail(f"{where} must be a mapping such as {{name: value}}, got {_format(value)}")
            item = typing.get_args(annotation)[1]
            return _unless_failed({key: self.convert(item, part, join_path(where, key)) for key, part in value.items()})
        if dataclasses.is_dataclass(annotation):
            return self.build(typing.cast(type, annotation), value, where)
        kind = str if literal_choices(annotation) else annotation
        if kind not in _NOUNS:
            raise TypeError(f"{where}: settings of type {annotation} are not supported")
        if type(value) is not kind and kind in (int, float):
            value = as_number(kind, value)
        if type(value) is not kind or (kind is int and value not in _INT64):
            return self._fail(f"{where} must be {_NOUNS[kind]}, got {_format(value)}{_hint(kind, value)}")
        return value

    def _convert_tuple(self, annotation: Any, value: Any, where: str) -> Any:
        item, *rest = typing.get_args(annotation)
        if rest != [Ellipsis]:
            raise TypeError(f"{where}: a tuple must be declared as tuple[X, ...], got {annotation}")
        if not isinstance(value, (list, tuple)):
            return self._fail(f"{where} must be a list such as [a, b], got {_format(value)}")
        parts = {i: self.convert(item, part, f"{where}[{i}]") for i, part in enumerate(value)}
        converted = _unless_failed(parts)
        return converted if converted is _FAILED else tuple(converted.values())

    def _convert_union(self, annotation: Any, value: Any, where: str) -> Any:
        kinds = typing.get_args(annotation)
        # A value that already has one of the types must not be read as another: in `str | int`, "1" stays text.
        if type(value) in kinds:
            return self.convert(type(value), value, where)
        kinds = tuple(kind for kind in kinds if kind is not type(None))
        if len(kinds) == 1:
            return self.convert(kinds[0], value, where)
        for kind in kinds:
            attempt = _Builder(self._root)
            converted = attempt.convert(kind, value, where)
            if not attempt.problems:
                return converted
        hint = _hint(str, value) if str in kinds else ""
        return self._fail(f"{where} must be {' or '.join(_noun(kind) for kind in kinds)}, got {_format(value)}{hint}")

    def _fail(self, problem: str) -> Any:
        self.problems.append(problem)
        return _FAILED


def _unless_failed(parts: dict[Any, Any]) -> Any:
    return _FAILED if any(part is _FAILED for part in parts.values()) else parts


def _iterate_leaves(cls: type, path: str) -> Iterator[tuple[str, Any]]:
    for name, annotation in field_types(cls).items():
        if dataclasses.is_dataclass(annotation):
            yield from _iterate_leaves(typing.cast(type, annotation), join_path(path, name))
        else:
            yield join_path(path, name), annotation


def _suggest_key(key: Any, cls: type, root: type) -> str:
    """Suggests keys: those with a similar name in this section, or with the same name elsewhere in the tree."""
    names = list(field_types(cls))
    nearest = difflib.get_close_matches(str(key), names, n=1)
    elsewhere = [path for path in leaves(root) if path.rpartition(".")[2] == key]
    if nearest or elsewhere:
        return f"did you mean {' or '.join(repr(name) for name in nearest or elsewhere)}?"
    return f"expected one of {', '.join(names)}"


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _noun(annotation: Any) -> str:
    if annotation in _NOUNS:
        return _NOUNS[annotation]
    return "a list" if typing.get_origin(annotation) is tuple else "a section"


def _hint(kind: type, value: Any) -> str:
    if kind is str and value is not None and not isinstance(value, (list, Mapping)):
        return "; in YAML, put quotes around it"
    return "; it must fit in 64 bits" if kind is int and type(value) is int else ""


def _format(value: Any) -> str:
    """Formats a value as the user wrote it, on one short line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "a section"
    return _SHORT_REPR.repr(value)


def _shorten_names(names: Mapping[str, Any]) -> str:
    return ", ".join([*list(names)[:3], *["…"][: len(names) > 3]])
