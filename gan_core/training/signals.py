"""SIGINT and SIGTERM end a run after its current step; the run is saved."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any

from gan_core.runtime import dist


class Stopped(BaseException):
    """A signal ended the run, which has been saved. `code` is the exit code of the process.

    Like KeyboardInterrupt it is a BaseException, so that scoring, which it may interrupt, does not handle it as an
    error.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


class Signals:
    """Records SIGINT and SIGTERM. A second signal ends the process immediately.

    number: the number of the signal that arrived, 0 for none.
    interrupting: whether a signal raises `Stopped` immediately. This is allowed while samples are scored, which takes
        minutes, changes nothing and can be repeated later.
    """

    def __init__(self) -> None:
        self.number = 0
        self.interrupting = False

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Record signals until the context ends."""

        def handle(number: int, frame: Any) -> None:
            self.number = number
            print(f"\n{signal.Signals(number).name}: saving; once more to quit at once", file=sys.stderr, flush=True)
            if dist.size() == 1:  # torchrun forwards a signal that its processes may already have received
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
        """Whether any process got a signal or is `late` (its time is up). All processes agree, and stop together."""
        code = dist.largest(2 * self.number + late)
        self.number = code // 2
        return code > 0

    def check(self) -> None:
        """Raise `Stopped` if a signal has arrived."""
        if self.number:
            raise Stopped(self.number)

    def between(self) -> None:
        """Called between batches of samples: if any process got a signal, all processes stop at the same batch."""
        if dist.size() > 1 and self.agreed():
            raise Stopped(self.number)

    def interruptible(self) -> None:
        """After this call a signal interrupts scoring immediately; so does one that has already arrived."""
        self.interrupting = True
        self.check()
