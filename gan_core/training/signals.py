"""Signals that end a run: it is saved first."""

import signal


class Stopped(BaseException):
    """A signal asked the run to end; it was saved. `code` is the exit code of the process.

    Like KeyboardInterrupt it is no Exception: it may interrupt scoring, where nobody should take it for a failure.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number
