"""Errors that a user can act on. Each carries the exit code of the command line.

The message is one sentence that names the file or the option and the remedy: it is printed as it is,
without a traceback.
"""


class GanError(Exception):
    """The base: something failed and the message says what (exit code 1)."""

    exit_code = 1


class UsageError(GanError):
    """An option is wrong, or options contradict one another (exit code 2)."""

    exit_code = 2


class DataError(GanError):
    """The data cannot be used (exit code 3)."""

    exit_code = 3


class CheckpointError(GanError):
    """There is no usable checkpoint, or it does not match what was asked (exit code 4)."""

    exit_code = 4


class DivergedError(GanError):
    """Training produced numbers that are not finite, too often to go on (exit code 5)."""

    exit_code = 5
