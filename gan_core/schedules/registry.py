"""The registry of kinds of schedule. A kind is a function in any file of this folder, decorated with `@kind(...)`."""

from collections.abc import Callable
from dataclasses import dataclass

Values = tuple[float, ...]


def no_fault(values: Values) -> str:
    """Accept any values."""
    return ""


@dataclass(frozen=True)
class Kind:
    """A kind of schedule.

    function: (done, values) -> value, with done in [0, 1]. least, most: the accepted number of values.
    example: a valid segment, for messages. fault: describes what is wrong with given values, "" if nothing is.
    """

    function: Callable[[float, Values], float]
    least: int
    most: int
    example: str
    fault: Callable[[Values], str]

    @property
    def wanted(self) -> str:
        """The accepted number of values, in words."""
        many = f"{self.least} or more" if self.most > self.least else str(self.least)
        return f"{many} value{'s' if many != '1' else ''}"


KINDS: dict[str, Kind] = {}


def kind(
    name: str, example: str, values: int = 2, most: int | None = None, fault: Callable[[Values], str] = no_fault
) -> Callable[[Callable[[float, Values], float]], Callable[[float, Values], float]]:
    """A decorator that registers a function as the kind of schedule of that name.

    values: the number of values, or the lowest number if `most` is given. most: the highest number of values.
    """

    def register(function: Callable[[float, Values], float]) -> Callable[[float, Values], float]:
        if name in KINDS:
            raise ValueError(f"two schedules are called {name!r}")
        KINDS[name] = Kind(function, values, most or values, example, fault)
        return function

    return register
