"""Signals that ask a run to end: it finishes its step, and is saved."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any

from gan_core.runtime import dist


class Stopped(BaseException):
    """A signal asked the run to end; it was saved. `code` is the exit code of the process.

    Like KeyboardInterrupt it is no Exception: it may interrupt scoring, where nobody should take it for a failure.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


class Signals:
    """SIGINT and SIGTERM as they come. A second one ends the process at once.

    number: of the signal that came, 0 for none. interrupting: whether a signal raises `Stopped` where it comes, as it
    may while samples are scored: that takes minutes, changes nothing, and can be done at any time.
    """

    def __init__(self) -> None:
        self.number = 0
        self.interrupting = False

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Note the signals that come until the block ends."""

        def handle(number: int, frame: Any) -> None:
            self.number = number
            print(f"\n{signal.Signals(number).name}: saving; once more to quit at once", file=sys.stderr, flush=True)
            if dist.size() == 1:  # torchrun itself passes a signal on once more
                signal.signal(number, signal.SIG_DFL)
            if self.interrupting:
                raise Stopped(number)

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def agreed(self, late: bool = False) -> bool:
        """Whether a signal came to any process, or one is `late`: then all stop after the same step."""
        code = dist.largest(2 * self.number + late)
        self.number = code // 2
        return code > 0

    def check(self) -> None:
        """Raise `Stopped` if a signal came."""
        if self.number:
            raise Stopped(self.number)

    def between(self) -> None:
        """Called between batches of samples: if one of several processes got a signal, all stop at the same batch."""
        if dist.size() > 1 and self.agreed():
            raise Stopped(self.number)

    def interruptible(self) -> None:
        """After this call a signal interrupts scoring immediately; so does one that has already arrived."""
        self.interrupting = True
        self.check()
