"""Progress of long tasks: a bar on a terminal if the user interface provides one, else a line on stderr every 10 s."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

EVERY = 10.0  # seconds between lines


class Bar(Protocol):
    """A bar on a terminal, such as tqdm's."""

    def update(self, n: float) -> object:
        """Advance the bar by `n` units."""

    def close(self) -> object:
        """Close the bar and leave it on the screen."""


MakeBar = Callable[..., Bar]  # takes tqdm's keywords desc, total, initial, unit, unit_scale and delay
_make_bar: MakeBar | None = None


@contextmanager
def bars_by(make_bar: MakeBar | None) -> Iterator[None]:
    """Within the context, show progress on terminals with bars made by `make_bar`; None: with lines."""
    global _make_bar
    before, _make_bar = _make_bar, make_bar
    try:
        yield
    finally:
        _make_bar = before


class Progress:
    """The progress of a task; `advance` may be called by several threads.

    Args of the constructor:
        task: the task's name, one word.
        total: the amount of work, in `unit`s.
        unit: "B" for bytes, or a word with a space before it.
        shown: whether to show anything.
        done: the amount of work already done before.
        delay: seconds before a bar appears, so that short tasks show none.
    """

    def __init__(
        self, task: str, total: int, unit: str = "B", shown: bool = True, done: int = 0, delay: float = 0.0
    ) -> None:
        self.bar = None
        if shown and _make_bar is not None and sys.stderr.isatty():
            self.bar = _make_bar(desc=task, total=total, initial=done, unit=unit, unit_scale=True, delay=delay)
        self.task, self.total, self.unit = task, total, unit
        self.lines = shown and self.bar is None
        self.done = self.before = done
        self.began = self.told = time.monotonic()
        self.lock = threading.Lock()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def advance(self, amount: int) -> None:
        """Report that `amount` more units are done."""
        with self.lock:
            self.done += amount
            if self.bar is not None:
                self.bar.update(amount)
            now = time.monotonic()
            if self.lines and now - self.told >= EVERY:
                self.told = now
                print(self.line(now - self.began), file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """The line to print `seconds` after the start: the share done and the estimated time left."""
        share = self.done / max(1, self.total)
        left = seconds * (self.total - self.done) / max(1, self.done - self.before)
        return f"{self.task}: {share:.0%} of {shortened(self.total)}{self.unit}, {left:.0f} s left"


def shortened(number: float) -> str:
    """A number with three digits and a prefix of the SI: 4.00G, 12.3k, 512."""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 999.5 or prefix == "T":
            break
        number /= 1000
    digits = 2 if number < 9.995 else 1 if number < 99.95 else 0
    return f"{number:.{digits}f}{prefix}"
