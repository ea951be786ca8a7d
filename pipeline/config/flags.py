"""The command line of every command: ``--config=NAME|FILE.yaml``, ``--config.SETTING=VALUE`` and a command's own flags.

Each setting is an absl flag that only keeps its text. The texts become a tree, are laid over the tree of the named
configuration, and :func:`.tree.build` reads the result: the same rules and the same messages hold for a file and for
the command line.

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
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, overload

from absl import app, flags

from . import presets
from .errors import ConfigError, UserError
from .help import help_text
from .settings import Config
from .text import from_text, is_boolean
from .tree import build, leaves, merge, to_plain

EXIT_USER_ERROR = 2

_LEAVES = leaves(Config)
_PREFIX = "config."
_HELP = {"--help", "-help", "--helpshort", "-helpshort", "-?", "--?"}
# absl's own words for three common mistakes, and ours. What is not here is shown in absl's words.
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
    argument: str = "",
    arguments: Sequence[str] = (),
) -> NoReturn:
    """Runs a command as this process, and ends it.

    Args:
      main: Gets absl's parsed flags and, where ``default_config`` is given, the resolved configuration; returns the
        process's exit code.
      define_flags: Defines the command's own flags with ``flags.DEFINE_…``. They are not defined when the command's
        module is imported, since several commands define the same names and may be imported together.
      default_config: What ``--config`` is when it is not given: a preset's name or a file. None: the command takes no
        configuration.
      argument: What the one argument that is no flag is called; ``main`` gets it after the flags. Empty: there is none.
      arguments: The same for several of them, in their order.

    The process ends with what ``main`` returns; with 2 and one line ``error: …`` on stderr when the command line is
    wrong or ``main`` raises a :class:`UserError`; with 0 after ``--help``; with a traceback and 1 after any other error.
    """
    wanted = [argument] if argument else list(arguments)
    before = set(flags.FLAGS)
    if define_flags is not None:
        define_flags()
    if default_config is not None:
        define_config(flags.FLAGS, default_config)
    # A flag with a short name stands twice among the names.
    own = {flags.FLAGS[name].name: flags.FLAGS[name] for name in set(flags.FLAGS) - before}
    own = {name: flag for name, flag in own.items() if not name.startswith(_PREFIX)}
    # Flags after a stray word are read too, so that the stray word is what the message is about.
    flags.FLAGS.set_gnu_getopt(True)

    def read_command_line(argv: Sequence[str]) -> tuple[Any, ...]:
        if _HELP.intersection(argv[1:]):
            about = sys.modules[main.__module__].__doc__ or ""
            print(
                help_text(about, own.values(), None if default_config is None else presets.load(default_config)), end=""
            )
            sys.exit(0)
        try:
            (_, *stray), overrides = parse(argv)
            if len(stray) < len(wanted):
                raise UserError(f"{wanted[len(stray)]} is missing")
            if stray[len(wanted) :]:
                wrong = stray[len(wanted)]
                raise UserError(f"unexpected argument {wrong!r}; flags start with -- and are written --name=value")
            return (*stray, *(() if default_config is None else (resolve(flags.FLAGS.config, overrides),)))
        except UserError as error:
            sys.exit(_refuse(error))

    def run(configuration: tuple[Any, ...]) -> int:
        try:
            return main(flags.FLAGS, *configuration)
        except UserError as error:
            return _refuse(error)

    app.run(run, flags_parser=read_command_line)


def define_config(flag_values: flags.FlagValues, default: str) -> None:
    """Defines ``--config`` and one flag for each setting."""
    flags.DEFINE_string(
        "config",
        default,
        f"The configuration: one of {', '.join(presets.PRESETS)}, or a YAML file, such as the config.yaml of an earlier "
        "run. Any of its settings is replaced by --config.SETTING=VALUE; a list is written a,b.",
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
      flag_values: Where the command's flags, and those of :func:`define_config`, are defined.

    Returns:
      The program's name and the arguments that are not flags; and the settings that were given, as a tree of plain
      values. Of a setting that was given twice the last one holds.

    Raises:
      UserError: An unknown flag, one without its value or with a wrong one, or a required one that is not there.
      ConfigError: A setting that does not exist, or a text that is not of its form.
    """
    try:
        arguments = flag_values(list(argv))
    except flags.UnrecognizedFlagError as error:
        raise _unknown(error, flag_values) from error
    except (flags.Error, ValueError) as error:
        raise UserError(_reworded(str(error))) from error
    overrides: dict[str, Any] = {}
    for path, annotation in _LEAVES.items():
        name = _PREFIX + path
        if name in flag_values and flag_values[name].present:
            overrides = merge(overrides, _nested(path, from_text(annotation, getattr(flag_values, name), path)))
    return arguments, overrides


def resolve(name_or_path: str, overrides: dict[str, Any]) -> Config:
    """The configuration of that name or file, with ``overrides``, a tree of plain values, laid over it.

    Raises:
      ConfigError: See :func:`.presets.load` and :func:`.tree.build`.
    """
    return build(Config, merge(to_plain(presets.load(name_or_path)), overrides))


def is_configured(flag_values: flags.FlagValues) -> bool:
    """Whether the command line names a configuration or any of its settings."""
    return any((name == "config" or name.startswith(_PREFIX)) and flag_values[name].present for name in flag_values)


class _SettingParser(flags.ArgumentParser):
    """Keeps the text: what it means is the field's matter, and is decided once all of the command line is known."""

    def __init__(self, name: str):
        super().__init__()
        self._name = name

    def parse(self, argument: str) -> str:
        # absl takes the next argument, whatever it is, for the value of a flag that ends without one.
        if argument.startswith("--"):
            raise UserError(f"--{self._name} has no value; write --{self._name}=VALUE")
        return argument


def _unknown(error: flags.UnrecognizedFlagError, flag_values: flags.FlagValues) -> UserError:
    name = error.flagname
    if name.startswith(_PREFIX) and "config" in flag_values:
        path, value = name.removeprefix(_PREFIX), error.flagvalue.partition("=")[2]
        try:
            # Every setting that exists is a flag, so this one cannot be built, and the builder knows why.
            build(Config, _nested(path, value), where="--config")
        except ConfigError as reason:
            return reason
    near = difflib.get_close_matches(name, flag_values, n=1)
    settings = [known for known in flag_values if known.startswith(_PREFIX) and known.endswith("." + name)]
    meant = " or ".join(f"--{known}" for known in settings or near)
    return UserError(f"unknown flag --{name}; " + (f"did you mean {meant}?" if meant else "--help lists the flags"))


def _reworded(message: str) -> str:
    for pattern, ours in _REWORDED:
        match = re.fullmatch(pattern, message)
        if match:
            return match.expand(ours)
    return message


def _nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def _refuse(error: UserError) -> int:
    print("error:", " ".join(str(error).splitlines()), file=sys.stderr)
    return EXIT_USER_ERROR
