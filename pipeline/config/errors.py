"""The errors that tell a user what to change. Everything else that is raised is a fault of the program."""

from __future__ import annotations


class UserError(Exception):
    """The user can mend it: one line that says what was expected, what came and how to mend it.

    A command shows the line without a traceback and ends with exit code 2. Raise it wherever a flag, a setting, a file
    or a folder that the user named is not what the command needs.
    """


class ConfigError(UserError, ValueError):
    """A setting is unknown, of the wrong type, or contradicts another; the message names it by its dotted path."""
