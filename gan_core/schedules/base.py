"""A schedule is a function step -> value, made of consecutive segments. It has no state that a resumed run could lose.

As text, a segment is KIND:VALUE:...:STEPS, and commas join segments: `linear:0:1e-4:1000,cosine:1e-4:0:9000` rises for
1,000 steps and then falls for 9,000. After the last segment, its last value stays.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from gan_core.errors import UsageError
from gan_core.schedules.registry import KINDS

LONGEST = 1 << 62  # highest number of steps of a segment


@dataclass(frozen=True)
class Segment:
    """A segment of a schedule: a kind of curve through some values over a number of steps.

    Raises:
        UsageError: the kind does not exist, or the values or the steps do not fit it.
    """

    kind: str
    values: tuple[float, ...]
    steps: int

    def __post_init__(self) -> None:
        kind = KINDS.get(self.kind)
        if kind is None:
            raise UsageError(f"there is no schedule called {self.kind!r}: choose from {', '.join(KINDS)}")
        if not kind.least <= len(self.values) <= kind.most:
            raise UsageError(f"{self.kind} takes {kind.wanted} and then steps, such as {kind.example}")
        if not all(map(math.isfinite, self.values)) or not 0 < self.steps <= LONGEST:
            raise UsageError(f"{self} has a value that is not finite, or no steps: give one such as {kind.example}")
        if wrong := kind.fault(self.values):
            raise UsageError(f"{self}: {wrong}")

    def at(self, step: int) -> float:
        """The value `step` steps after the start of the segment."""
        return KINDS[self.kind].function(min(1.0, step / self.steps), self.values)

    def __str__(self) -> str:
        return ":".join([self.kind, *(f"{value:.15g}" for value in self.values), str(self.steps)])


@dataclass(frozen=True)
class Schedule:
    """A function step -> value, made of consecutive segments."""

    segments: tuple[Segment, ...]

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        return (0, *accumulate(segment.steps for segment in self.segments))[:-1]

    def __call__(self, step: int) -> float:
        """The value at a generator step, counted from 0."""
        start, segment = next(
            (start, segment)
            for start, segment in zip(reversed(self._starts), reversed(self.segments), strict=True)
            if step >= start
        )
        return segment.at(step - start)

    @property
    def values(self) -> tuple[float, ...]:
        """The given values of all segments. All other values of the schedule lie between them."""
        return tuple(value for segment in self.segments for value in segment.values)

    def __str__(self) -> str:
        return ",".join(map(str, self.segments))


Number = float | Schedule  # what an option that may follow a schedule holds


def at(number: Number, step: int) -> float:
    """The value of a number at a step."""
    return number(step) if isinstance(number, Schedule) else number


def join(*schedules: Schedule) -> Schedule:
    """Concatenate schedules in time."""
    return Schedule(tuple(segment for schedule in schedules for segment in schedule.segments))


def parse(text: str) -> Schedule:
    """Parse a schedule.

    Raises:
        UsageError: the text is not a valid schedule.
    """
    return Schedule(tuple(map(_segment, text.split(","))))


def _segment(text: str) -> Segment:
    kind, *numbers = text.strip().split(":")
    try:
        *values, steps = map(float, numbers)
        if not steps.is_integer():
            raise ValueError
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no schedule: give KIND:FROM:TO:STEPS, such as cosine:10:1:5000") from None
    return Segment(kind, tuple(values), int(steps))


def _of_kind(kind: str) -> Callable[..., Schedule]:
    def make(*values: float, steps: int) -> Schedule:
        return Schedule((Segment(kind, tuple(map(float, values)), steps),))

    make.__doc__ = f"A schedule of kind `{kind}`: see `gan_core.schedules.kinds`."
    return make


constant, linear, cosine, exponential, steps = map(_of_kind, ("constant", "linear", "cosine", "exponential", "steps"))
