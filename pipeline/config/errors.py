"""Errors that a user can fix. Any other exception is a bug."""

from __future__ import annotations


class UserError(Exception):
    """An error that the user can fix.

    The message states what was expected, what was received and how to fix it. A command prints it without a traceback
    and exits with code 2. Raise this error when a flag, a setting, a file or a folder that the user named is not what
    the command needs.
    """


class ConfigError(UserError, ValueError):
    """Settings are unknown, have the wrong type, are out of range or contradict one another.

    Args:
      problems: One line for each problem, each with the dotted path of its setting.
      source: The file that the settings come from, if any.

    Attributes:
      problems: The same lines, for callers that combine problems.

    Example:
    >>> str(ConfigError("training.seed must be an integer of 0 or more, got -1"))
    'training.seed must be an integer of 0 or more, got -1'
    >>> print(ConfigError("model.l2 must be a number, got 'x'", "modle: unknown key; did you mean 'model'?"))
    The configuration has 2 problems:
      model.l2 must be a number, got 'x'
      modle: unknown key; did you mean 'model'?
    """

    def __init__(self, *problems: str, source: str = ""):
        self.problems = problems
        if len(problems) == 1:
            super().__init__(f"{source}: {problems[0]}" if source else problems[0])
        else:
            lines = "".join(f"\n  {problem}" for problem in problems)
            super().__init__(f"{source or 'The configuration'} has {len(problems)} problems:{lines}")
