"""Errors that a user can act on, and how their messages name an option.

The message is one sentence that names the file or the option and the remedy. The command line prints it as it is,
without a traceback, and exits with the error's code.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


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


Writing = Callable[[str, Any], str]


def as_keyword(key: str, value: Any = None) -> str:
    """An option as Python code writes it: `batch_size`, or with a value `batch_size=3`."""
    return key if value is None else f"{key}={value}"


_writing: Writing = as_keyword


def named(key: str, value: Any = None) -> str:
    """An option as a message names it: a setting or `part.field`, with its value if one is given.

    The form is that of the interface in use: `as_keyword`, unless `naming_options` has set another one.
    """
    return _writing(key, value)


def current_naming() -> Writing:
    """The function by which `named` writes options now."""
    return _writing


@contextmanager
def naming_options(writing: Writing) -> Iterator[None]:
    """Let `named` write options by another function, in all threads, until the end of the context."""
    global _writing
    before, _writing = _writing, writing
    try:
        yield
    finally:
        _writing = before
