"""Fields of parts and settings that are options: their limits, their help, and how a value is read."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gan_core.errors import UsageError, named
from gan_core.text import choose


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: Sequence[str] = (),
    metavar: str | None = None,
    section: str = "training",
) -> Any:
    """A dataclass field that is also an option of a run.

    help: a text that is understood alone; it writes another option as `key`, in backticks.
    low, high: the inclusive limits of a number; above: an exclusive lower limit.
    section: the section of the help that lists a setting: "data", "networks", "training", "written" or "speed".
    """
    limits = {"low": low, "high": high, "above": above, "choices": tuple(choices), "metavar": metavar}
    return dataclasses.field(default=default, metadata={"help": help, "section": section, **limits})


def buffer() -> Any:
    """The declaration of a buffer, which `__post_init__` registers; it is no option."""
    return dataclasses.field(init=False)


def options_of(kind: Any) -> list[dataclasses.Field]:
    """The fields of a part or of settings that are options."""
    return [field for field in dataclasses.fields(kind) if field.init]


def parse(key: str, option: dataclasses.Field, raw: Any) -> Any:
    """The value of an option, as text or as a value of TOML or JSON, in the type of the option.

    Raises:
        UsageError: it is not of the option's type or not within its limits.
    """
    limits = option.metadata
    if option.type is bool:
        if isinstance(raw, bool):
            return raw
        raise UsageError(f"{named(key, repr(raw))} is not true or false")
    if option.type is str:
        value = str(raw)
        if limits["choices"] and value not in limits["choices"]:
            raise UsageError(f"{named(key, repr(value))} does not exist: {choose(value, limits['choices'])}")
        return value
    wanted = "a whole number" if option.type is int else "a number"
    try:
        number = int(str(raw)) if option.type is int else float(str(raw))
    except ValueError:
        raise UsageError(f"{named(key, repr(raw))} is not {wanted}{span(limits)}") from None
    low, high, above = limits["low"], limits["high"], limits["above"]
    if (
        (isinstance(number, float) and not math.isfinite(number))
        or (low is not None and number < low)
        or (high is not None and number > high)
        or (above is not None and number <= above)
    ):
        raise UsageError(f"{named(key, raw)} is out of range: give {wanted}{span(limits)}")
    return number


def span(limits: Mapping[str, Any]) -> str:
    """The limits of a number, in words."""
    low, high, above = limits["low"], limits["high"], limits["above"]
    start = f" above {above:g}" if above is not None else f" from {low:.15g}" if low is not None else ""
    end = "" if high is None else f" up to {high:.15g}"
    return start + end
