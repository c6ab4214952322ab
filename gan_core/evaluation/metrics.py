"""The registry of metrics. A metric is one function in one file, registered by a decorator.

A domain has a `Metrics` table and imports every module of its folder of metrics. The value of a metric then appears in
the output of `evaluate`, in its JSON under `scores`, in TensorBoard and in the curves.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

DIRECTIONS = ("lower", "higher")


@dataclass(frozen=True)
class Metric(Generic[F]):
    """A score of the quality of samples.

    name: the metric's name, as it is printed. better: the better direction, "lower" or "higher".
    beside: reference values that are printed next to it, from the domain's list, such as "floor" (the score of real
        samples), "noise" or "chains".
    function: computes the metric; the domain defines its arguments.
    """

    name: str
    better: str
    beside: tuple[str, ...]
    function: F

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]


class Metrics(Generic[F]):
    """The metrics of a domain by name, in order of registration.

    beside: the names of the domain's reference values.
    """

    def __init__(self, beside: tuple[str, ...]) -> None:
        self.beside = beside
        self._found: dict[str, Metric[F]] = {}

    def __call__(self, name: str, *, better: str, beside: tuple[str, ...] = ()) -> Callable[[F], F]:
        """A decorator that registers a function as the metric of that name.

        Raises:
            ValueError: the name is taken, or the direction or a reference value does not exist.
        """
        if name in self._found:
            raise ValueError(f"two metrics are called {name!r}")
        if better not in DIRECTIONS:
            raise ValueError(f"metric {name!r}: better is {better!r}, not one of {', '.join(DIRECTIONS)}")
        if unknown := set(beside) - set(self.beside):
            raise ValueError(f"metric {name!r}: there is no {min(unknown)!r} here, only {', '.join(self.beside)}")

        def register(function: F) -> F:
            self._found[name] = Metric(name, better, beside, function)
            return function

        return register

    def __iter__(self) -> Iterator[Metric[F]]:
        return iter(self._found.values())

    def __getitem__(self, name: str) -> Metric[F]:
        return self._found[name]
