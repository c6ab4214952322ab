"""Options, declared as dataclass fields of parts, networks and settings: their limits, help and parsing."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gan_core.errors import UsageError, named
from gan_core.schedules import base as schedules
from gan_core.schedules.base import Schedule
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
    varies: bool = False,
) -> Any:
    """Declare a dataclass field that is also an option of a run.

    help: a text that is understood alone; it refers to another option as `key`, in backticks.
    low, high: inclusive limits of a number. above: an exclusive lower limit.
    choices: the allowed values of a string; () for any.
    section: the section of the help that lists a setting: "data", "networks", "training", "written" or "speed".
    varies: whether the option also accepts a schedule.
    """
    limits = {"low": low, "high": high, "above": above, "choices": tuple(choices), "metavar": metavar, "varies": varies}
    return dataclasses.field(default=default, metadata={"help": help, "section": section, **limits})


def buffer() -> Any:
    """Declare a buffer, which `__post_init__` must register. It is not an option."""
    return dataclasses.field(init=False)


def options_of(kind: Any) -> list[dataclasses.Field]:
    """The fields of a part, a network or settings that are options."""
    return [field for field in dataclasses.fields(kind) if "help" in field.metadata]


def parse(key: str, option: dataclasses.Field, raw: Any) -> Any:
    """Convert a text or a value of TOML or JSON to the option's type, and check its limits.

    Raises:
        UsageError: the value does not have the option's type or is not within its limits.
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
    if isinstance(raw, Schedule) or ":" in str(raw):
        return parse_schedule(key, option, raw)
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


def parse_schedule(key: str, option: dataclasses.Field, raw: Any) -> Schedule:
    """Parse a schedule for an option, and check that its values are within the option's limits.

    Raises:
        UsageError: the option does not accept a schedule, the text is not one, or a value is out of range.
    """
    if not option.metadata["varies"]:
        raise UsageError(f"{named(key)} cannot follow a schedule: give one value")
    try:
        schedule = raw if isinstance(raw, Schedule) else schedules.parse(str(raw))
    except UsageError as error:
        raise UsageError(f"{named(key)}: {error}") from None
    for value in schedule.values:
        parse(key, option, value)
    return schedule


def span(limits: Mapping[str, Any]) -> str:
    """The limits of a number, in words."""
    low, high, above = limits["low"], limits["high"], limits["above"]
    start = f" above {above:g}" if above is not None else f" from {low:.15g}" if low is not None else ""
    end = "" if high is None else f" up to {high:.15g}"
    return start + end
