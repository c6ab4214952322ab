"""Errors that a user can act on, and the way that messages write the name of an option.

A message is one sentence that names the file or the option and the remedy. The command line prints it without a
traceback and exits with the error's code.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class GanError(Exception):
    """The base class: an operation failed, and the message says which and why (exit code 1)."""

    exit_code = 1


class UsageError(GanError):
    """An option is wrong, or options contradict one another (exit code 2)."""

    exit_code = 2


class DataError(GanError):
    """The data cannot be used (exit code 3)."""

    exit_code = 3


class CheckpointError(GanError):
    """There is no usable checkpoint, or it does not match the request (exit code 4)."""

    exit_code = 4


class DivergedError(GanError):
    """Training produced non-finite numbers in too many consecutive steps (exit code 5)."""

    exit_code = 5


Writing = Callable[[str, Any], str]


def as_keyword(key: str, value: Any = None) -> str:
    """Write an option as Python code: `batch_size`, or with a value `batch_size=3`."""
    return key if value is None else f"{key}={value}"


_writing: Writing = as_keyword


def named(key: str, value: Any = None) -> str:
    """Write an option, a setting or `part.field`, for a message, with its value if one is given.

    The user interface determines the form: `as_keyword`, unless `naming_options` has set another function.
    """
    return _writing(key, value)


def current_naming() -> Writing:
    """The function by which `named` currently writes options."""
    return _writing


@contextmanager
def naming_options(writing: Writing) -> Iterator[None]:
    """Within the context, let `named` write options by another function, in all threads."""
    global _writing
    before, _writing = _writing, writing
    try:
        yield
    finally:
        _writing = before
