"""The registry of kinds of schedule. A kind is one function, in any file of this folder, with `@kind(...)` on it."""

from collections.abc import Callable
from dataclasses import dataclass

Values = tuple[float, ...]


def no_fault(values: Values) -> str:
    """Any values will do."""
    return ""


@dataclass(frozen=True)
class Kind:
    """A kind of schedule.

    function: (done, values) -> value, done in [0, 1]. least, most: how many values it takes. fault: what is wrong with
    values, in words, "" where nothing is.
    """

    function: Callable[[float, Values], float]
    least: int
    most: int
    example: str
    fault: Callable[[Values], str]

    @property
    def wanted(self) -> str:
        """How many values it takes, in words."""
        many = f"{self.least} or more" if self.most > self.least else str(self.least)
        return f"{many} value{'s' if many != '1' else ''}"


KINDS: dict[str, Kind] = {}


def kind(
    name: str, example: str, values: int = 2, most: int | None = None, fault: Callable[[Values], str] = no_fault
) -> Callable[[Callable[[float, Values], float]], Callable[[float, Values], float]]:
    """A decorator that registers a function as the schedule of that name.

    values: how many it takes; most: as many at most, where that differs.
    """

    def register(function: Callable[[float, Values], float]) -> Callable[[float, Values], float]:
        if name in KINDS:
            raise ValueError(f"two schedules are called {name!r}")
        KINDS[name] = Kind(function, values, most or values, example, fault)
        return function

    return register
