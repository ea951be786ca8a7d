"""Generates the text of ``--help``: purpose, flags, and every setting with its default, meaning and allowed values.

The meanings come from the dataclasses' docstrings and the allowed values from their fields, so that each is written
only once.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from absl import flags

from .fields import get_constraint
from .text import to_text
from .tree import field_types, literal_choices

_WIDTH = 100
_ATTRIBUTE = re.compile(r"  (\w+): (.*)")
_ROLE = re.compile(r":\w+:`~?\.*([^`]+)`")


def attribute_docs(cls: type) -> dict[str, str]:
    """Returns the entries of the ``Attributes:`` section of a class's docstring by name, each on one line."""
    docs: dict[str, str] = {}
    name = None
    _, _, section = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
    for line in section.splitlines():
        entry = _ATTRIBUTE.fullmatch(line)
        if entry:
            name, docs[entry[1]] = entry[1], entry[2]
        elif name and line.startswith("    "):
            docs[name] += " " + line.strip()
        elif line and not line.startswith(" "):
            break
    return docs


def help_text(description: str, command_flags: Iterable[flags.Flag], config: Any = None) -> str:
    """Returns the text of ``--help``.

    Args:
      description: What the command does: its module's docstring.
      command_flags: The flags that the command itself defines.
      config: A dataclass whose settings are listed, with its values as the defaults. None: the command has no settings.
    """
    lines = [description.strip(), "", "Flags:"]
    for flag in sorted(command_flags, key=lambda flag: flag.name):
        name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
        default = "" if flag.default is None else f" (default: {to_text(flag.default)})"
        lines += [f"  {name}{default}", *_wrap(flag.help, indent=6)]
    if config is not None:
        lines += ["", "Settings, with their defaults:"]
        lines += _format_settings(config, "config")
    return "\n".join(lines) + "\n"


def _format_settings(config: Any, path: str) -> Iterator[str]:
    docs = attribute_docs(type(config))
    for field in dataclasses.fields(config):
        value, where = getattr(config, field.name), f"{path}.{field.name}"
        if dataclasses.is_dataclass(value):
            summary = inspect.cleandoc(type(value).__doc__ or "").partition("\n\n")[0]
            yield from ("", *_wrap(f"{where}: {summary}", indent=2))
            yield from _format_settings(value, where)
        else:
            yield f"  --{where}={to_text(value)}"
            yield from _wrap(f"{docs.get(field.name, '')} {_describe_values(config, field)}", indent=6)


def _describe_values(config: Any, field: dataclasses.Field[Any]) -> str:
    constraint = get_constraint(field)
    choices = constraint.choices or literal_choices(field_types(config.__class__)[field.name])
    sentences = [
        f"One of: {', '.join(choices)}." if choices else "",
        f"Allowed: {constraint.describe_range()}." if constraint.describe_range() else "",
        constraint.note,
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _wrap(text: str | None, indent: int) -> list[str]:
    # Removes the markup, which a terminal does not show.
    plain = " ".join(_ROLE.sub(r"\1", text or "").replace("``", "").split())
    # With break_on_hyphens, "latest-small" could be split after "latest-".
    return textwrap.wrap(
        plain, _WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent, break_on_hyphens=False
    )
