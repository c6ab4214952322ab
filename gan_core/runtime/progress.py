"""How far a long task is: a bar on a terminal, and elsewhere a line now and then, on standard error."""

import sys
import threading
import time

EVERY = 10.0  # seconds between lines


class Progress:
    """The progress of a task; `advance` may be called by several threads.

    Args of the constructor:
        task: its name, in a word.
        total: how much there is to do, in `unit`s.
        unit: "B" for bytes, or a word with a space before it.
        shown: whether to show anything.
        done: how much of it was done before.
        delay: seconds before a bar appears, so that short tasks have none.
    """

    def __init__(
        self, task: str, total: int, unit: str = "B", shown: bool = True, done: int = 0, delay: float = 0.0
    ) -> None:
        from tqdm import tqdm  # only now that it is needed

        hidden = not (shown and sys.stderr.isatty())
        self.bar = tqdm(desc=task, total=total, initial=done, unit=unit, unit_scale=True, disable=hidden, delay=delay)
        self.task, self.total, self.unit = task, total, unit
        self.lines = shown and hidden
        self.done = self.before = done
        self.began = self.told = time.monotonic()
        self.lock = threading.Lock()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def advance(self, amount: int) -> None:
        """So much more is done."""
        with self.lock:
            self.done += amount
            self.bar.update(amount)
            now = time.monotonic()
            if self.lines and now - self.told >= EVERY:
                self.told = now
                print(self.line(now - self.began), file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """The line after so many seconds."""
        share = self.done / max(1, self.total)
        left = seconds * (self.total - self.done) / max(1, self.done - self.before)
        return f"{self.task}: {share:.0%} of {self.bar.format_sizeof(self.total)}{self.unit}, {left:.0f} s left"
