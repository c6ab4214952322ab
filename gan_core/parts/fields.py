"""Fields of parts and settings that are options: their limits, their help, and how a value is read."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gan_core.errors import UsageError


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: Sequence[str] = (),
    metavar: str | None = None,
) -> Any:
    """A dataclass field that is also a command-line option.

    low, high: the inclusive limits of a number; above: an exclusive lower limit.
    """
    limits = {"low": low, "high": high, "above": above, "choices": tuple(choices), "metavar": metavar}
    return dataclasses.field(default=default, metadata={"help": help, **limits})


def buffer() -> Any:
    """The declaration of a buffer, which `__post_init__` registers; it is no option."""
    return dataclasses.field(init=False)


def options_of(kind: Any) -> list[dataclasses.Field]:
    """The fields of a part, a network or settings that are options."""
    return [field for field in dataclasses.fields(kind) if "help" in field.metadata]


def flag(key: str) -> str:
    """The option of a setting or of a `part.field`: `gp.weight` is --gp-weight."""
    return "--" + key.replace(".", "-").replace("_", "-")


def parse(key: str, option: dataclasses.Field, raw: Any) -> Any:
    """A value for an option, from the command line or a file.

    Raises:
        UsageError: it is not of the option's type or not within its limits.
    """
    limits = option.metadata
    if option.type is bool:
        if isinstance(raw, bool):
            return raw
        raise UsageError(f"{flag(key)} {raw!r} is not true or false")
    if option.type is str:
        value = str(raw)
        if limits["choices"] and value not in limits["choices"]:
            raise UsageError(f"{flag(key)} {value!r} does not exist: choose from {', '.join(limits['choices'])}")
        return value
    wanted = "a whole number" if option.type is int else "a number"
    try:
        number = int(str(raw)) if option.type is int else float(str(raw))
    except ValueError:
        raise UsageError(f"{flag(key)} {raw!r} is not {wanted}{span(limits)}") from None
    low, high, above = limits["low"], limits["high"], limits["above"]
    if (
        (isinstance(number, float) and not math.isfinite(number))
        or (low is not None and number < low)
        or (high is not None and number > high)
        or (above is not None and number <= above)
    ):
        raise UsageError(f"{flag(key)} {raw} is out of range: give {wanted}{span(limits)}")
    return number


def span(limits: Mapping[str, Any]) -> str:
    """The limits of a number, in words."""
    low, high, above = limits["low"], limits["high"], limits["above"]
    start = f" above {above:g}" if above is not None else f" from {low:.15g}" if low is not None else ""
    end = "" if high is None else f" up to {high:.15g}"
    return start + end
