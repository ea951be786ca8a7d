"""The text of ``--help``: what a command does, its flags, and every setting with its default and its meaning.

The meanings are those of the dataclasses' own docstrings, so that the settings are described in one place.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from absl import flags

from .text import to_text

_WIDTH = 100
_ATTRIBUTE = re.compile(r"  (\w+): (.*)")


def attribute_docs(cls: type) -> dict[str, str]:
    """The ``Attributes:`` section of a class's docstring: name -> meaning, on one line each."""
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


def help_text(about: str, command_flags: Iterable[flags.Flag], config: Any = None) -> str:
    """The whole text.

    Args:
      about: What the command does: its module's docstring.
      command_flags: The flags that the command itself defines.
      config: A dataclass whose settings are listed with its values as the defaults; None for a command that has none.
    """
    lines = [about.strip(), "", "Flags:"]
    for flag in sorted(command_flags, key=lambda flag: flag.name):
        name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
        default = "" if flag.default is None else f" (default: {to_text(flag.default)})"
        lines += [f"  {name}{default}", *_wrapped(flag.help, indent=6)]
    if config is not None:
        lines += ["", "Settings, with their defaults:"]
        lines += _settings(config, "config")
    return "\n".join(lines) + "\n"


def _settings(config: Any, where: str) -> Iterator[str]:
    docs = attribute_docs(type(config))
    for field in dataclasses.fields(config):
        value, path = getattr(config, field.name), f"{where}.{field.name}"
        if dataclasses.is_dataclass(value):
            about = inspect.cleandoc(type(value).__doc__ or "").partition("\n\n")[0]
            yield from ("", *_wrapped(f"{path}: {about}", indent=2))
            yield from _settings(value, path)
        else:
            yield f"  --{path}={to_text(value)}"
            yield from _wrapped(docs.get(field.name, ""), indent=6)


def _wrapped(text: str | None, indent: int) -> list[str]:
    # What a docstring marks as code is plain on a terminal, and "latest-small" must not end a line as "latest-".
    plain = " ".join((text or "").replace("``", "").split())
    return textwrap.wrap(
        plain, _WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent, break_on_hyphens=False
    )
