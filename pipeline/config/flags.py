"""The command line of all commands: ``--config=NAME|FILE.yaml``, ``--config.SETTING=VALUE`` and each command's own flags.

Each setting is an absl flag that stores its value as text. The values form a tree that overrides settings of the named
configuration, and :func:`.tree.build` converts the result. A file and the command line therefore follow the same rules
and give the same messages.

A command looks like this::

    def define_flags() -> None:
        flags.DEFINE_string("model_dir", None, "Folder of the run.", required=True)


    def main(arguments: flags.FlagValues, config: Config) -> int:
        ...
        return 0


    if __name__ == "__main__":
        command(main, define_flags, default_config="demo")
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, overload

from absl import app, flags

from . import presets
from .errors import ConfigError, UserError
from .help import help_text
from .settings import Config
from .text import from_text, is_boolean
from .tree import build, leaves, merge, to_plain
from .unused import find_unused, select_source_settings
from .yaml_files import read_plain

EXIT_USER_ERROR = 2

_LEAVES = leaves(Config)
_PREFIX = "config."
_HELP = {"--help", "-help", "--helpshort", "-helpshort", "-?", "--?"}
# Clearer messages for three common mistakes. absl's other messages are shown unchanged.
_REWORDED = (
    (r"flag --(\S+)=None: Flag --\1 must have a value other than None\.", r"--\1 is missing; write --\1=VALUE"),
    (r"Missing value for flag --?(\S+)", r"--\1 has no value; write --\1=VALUE"),
    (r"flag --(\S+?)=.*: \('Non-boolean argument to boolean flag', (.*)\)", r"--\1 must be true or false, got \2"),
)


@overload
def command(main: Callable[[flags.FlagValues], int], define_flags: Callable[[], None] | None = None) -> NoReturn: ...


@overload
def command(
    main: Callable[[flags.FlagValues, Config], int],
    define_flags: Callable[[], None] | None = None,
    *,
    default_config: str,
    find_config: Callable[[flags.FlagValues], str] | None = None,
) -> NoReturn: ...


@overload
def command(
    main: Callable[[flags.FlagValues, str], int],
    define_flags: Callable[[], None] | None = None,
    *,
    argument: str,
) -> NoReturn: ...


@overload
def command(
    main: Callable[[flags.FlagValues, str, str], int],
    define_flags: Callable[[], None] | None = None,
    *,
    arguments: tuple[str, str],
) -> NoReturn: ...


def command(
    main: Callable[..., int],
    define_flags: Callable[[], None] | None = None,
    *,
    default_config: str | None = None,
    find_config: Callable[[flags.FlagValues], str] | None = None,
    argument: str = "",
    arguments: Sequence[str] = (),
) -> NoReturn:
    """Runs a command and exits the process.

    | exit code | when |
    |---|---|
    | what ``main`` returns | ``main`` returned |
    | 0 | after ``--help`` |
    | 2, with ``error: …`` on stderr | the command line is wrong, or ``main`` raised a :class:`UserError` |
    | 1, with a traceback | after any other exception |

    Args:
      main: The command. Receives absl's parsed flags, then the positional arguments, then the resolved configuration if
        ``default_config`` is set. Returns the exit code.
      define_flags: Defines the command's own flags with ``flags.DEFINE_…``. It is a function, because several commands
        define the same names and may be imported together.
      default_config: The default of ``--config``: a preset's name or a file. None: the command takes no configuration.
      find_config: Returns the configuration for a command line without ``--config``, such as the file of the run that
        another flag names. None: ``default_config``.
      argument: Name of the positional argument, if the command takes exactly one.
      arguments: Names of the positional arguments, in order, if the command takes several.
    """
    positional = [argument] if argument else list(arguments)
    before = set(flags.FLAGS)
    if define_flags is not None:
        define_flags()
    if default_config is not None:
        define_config(flags.FLAGS, default_config)
    command_flags = _find_command_flags(set(flags.FLAGS) - before)
    # With this option, absl also parses flags after an unexpected word, so that the error names that word.
    flags.FLAGS.set_gnu_getopt(True)

    def read_command_line(argv: Sequence[str]) -> tuple[Any, ...]:
        if _HELP.intersection(argv[1:]):
            description = sys.modules[main.__module__].__doc__ or ""
            config = None if default_config is None else presets.load(default_config)
            print(help_text(description, command_flags, config), end="")
            sys.exit(0)
        try:
            (_, *words), overrides = parse(argv)
            if len(words) < len(positional):
                raise UserError(f"{positional[len(words)]} is missing")
            if len(words) > len(positional):
                unexpected = words[len(positional)]
                raise UserError(f"unexpected argument {unexpected!r}; flags start with -- and are written --name=value")
            if default_config is None:
                return (*words,)
            is_named = find_config is None or flags.FLAGS["config"].present
            name = flags.FLAGS.config if is_named or find_config is None else find_config(flags.FLAGS)
            return (*words, resolve(name, overrides))
        except UserError as error:
            sys.exit(_report(error))

    def run(configuration: tuple[Any, ...]) -> int:
        try:
            return main(flags.FLAGS, *configuration)
        except UserError as error:
            return _report(error)

    app.run(run, flags_parser=read_command_line)


def define_config(flag_values: flags.FlagValues, default: str) -> None:
    """Defines ``--config`` and one flag for each setting."""
    flags.DEFINE_string(
        "config",
        default,
        f"The configuration: one of {', '.join(presets.PRESETS)}, or a YAML file such as the config.yaml of an earlier "
        "run. --config.SETTING=VALUE replaces any of its settings. Write a list as a,b and a mapping as "
        "name=value,name=value.",
        flag_values=flag_values,
    )
    for path, annotation in _LEAVES.items():
        setting = flags.Flag(
            parser=_SettingParser(_PREFIX + path),
            serializer=flags.ArgumentSerializer(),
            name=_PREFIX + path,
            default=None,
            help_string="See --help.",
            boolean=is_boolean(annotation),
        )
        flags.DEFINE_flag(setting, flag_values)


def parse(argv: Sequence[str], flag_values: flags.FlagValues = flags.FLAGS) -> tuple[list[str], dict[str, Any]]:
    """Parses a command line into ``flag_values``.

    Args:
      argv: The program's name, then its arguments.
      flag_values: Where the command's flags and those of :func:`define_config` are defined.

    Returns:
      The program's name and the arguments that are not flags; and the settings on the command line, as a tree of plain
      values. If a setting appears twice, the last value counts.

    Raises:
      UserError: If a flag is unknown, has no value or a wrong value, or a required flag is missing.
      ConfigError: If a setting does not exist, or its text does not have the form of its type.
    """
    try:
        arguments = flag_values(list(argv))
    except flags.UnrecognizedFlagError as error:
        raise _explain_unknown(error, flag_values) from error
    except (flags.Error, ValueError) as error:
        raise UserError(_reword(str(error))) from error
    overrides: dict[str, Any] = {}
    problems: list[str] = []
    for path, annotation in _LEAVES.items():
        name = _PREFIX + path
        if name not in flag_values or not flag_values[name].present:
            continue
        try:
            overrides = merge(overrides, _nest(path, from_text(annotation, getattr(flag_values, name), path)))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return arguments, overrides


def resolve(name_or_path: str, overrides: dict[str, Any]) -> Config:
    """Loads a configuration by name or from a file and replaces some of its settings.

    Args:
      name_or_path: A preset's name or a YAML file.
      overrides: The settings to replace, as a tree of plain values.

    Raises:
      ConfigError: If a setting that the file or ``overrides`` give has no effect. See also :func:`.presets.load` and
        :func:`.tree.build`.
    """
    config = build(Config, merge(to_plain(presets.load(name_or_path)), overrides))
    in_file = {} if name_or_path in presets.PRESETS else select_source_settings(read_plain(name_or_path))
    problems = list(find_unused(merge(in_file, overrides), config))
    if problems:
        raise ConfigError(*problems)
    return config


class _SettingParser(flags.ArgumentParser):
    """Stores the text. :func:`parse` interprets it by the field's type."""

    def __init__(self, name: str):
        super().__init__()
        self._name = name

    def parse(self, argument: str) -> str:
        # If a flag has no value, absl uses the next argument as its value, even if that argument is a flag.
        if argument.startswith("--"):
            raise UserError(f"--{self._name} has no value; write --{self._name}=VALUE")
        return argument


def _find_command_flags(names: Iterable[str]) -> list[flags.Flag]:
    """Returns the flags that are not settings, once each: a flag with a short name has two names."""
    by_name = {flags.FLAGS[name].name: flags.FLAGS[name] for name in names}
    return [flag for name, flag in by_name.items() if not name.startswith(_PREFIX)]


def _explain_unknown(error: flags.UnrecognizedFlagError, flag_values: flags.FlagValues) -> UserError:
    name = error.flagname
    if name.startswith(_PREFIX) and "config" in flag_values:
        path, value = name.removeprefix(_PREFIX), error.flagvalue.partition("=")[2]
        try:
            # Every existing setting is a flag, so building fails and explains the problem.
            build(Config, _nest(path, value), where="--config")
        except ConfigError as reason:
            return reason
    nearest = difflib.get_close_matches(name, flag_values, n=1)
    settings = [known for known in flag_values if known.startswith(_PREFIX) and known.endswith("." + name)]
    suggestion = " or ".join(f"--{known}" for known in settings or nearest)
    advice = f"did you mean {suggestion}?" if suggestion else "--help lists the flags"
    return UserError(f"unknown flag --{name}; {advice}")


def _reword(message: str) -> str:
    for pattern, replacement in _REWORDED:
        match = re.fullmatch(pattern, message)
        if match:
            return match.expand(replacement)
    return message


def _nest(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def _report(error: UserError) -> int:
    is_list = isinstance(error, ConfigError) and len(error.problems) > 1
    # One line, so that a script can show it. Only a list of problems takes several lines.
    print("error:", str(error) if is_list else " ".join(str(error).splitlines()), file=sys.stderr)
    return EXIT_USER_ERROR
