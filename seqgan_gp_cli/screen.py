"""The display of training progress: a bar on a terminal, plain lines elsewhere."""

import sys

from tqdm import tqdm


class Terminal:
    """A screen for `gan_core.training.recorder`: a bar if standard error is a terminal, else occasional lines."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def start(self, step: int, steps: int) -> None:
        """Show a bar if standard error is a terminal."""
        if sys.stderr.isatty():
            self._bar = tqdm(total=steps, initial=step, unit="it", dynamic_ncols=True)

    def advance(self) -> None:
        """One more step is done."""
        if self._bar is not None:
            self._bar.update(1)

    def status(self, short: str, long: str) -> None:
        """Show the losses next to the bar, or as a line."""
        if self._bar is None:
            print(long, flush=True)
        else:
            self._bar.set_postfix_str(short)

    def write(self, text: str) -> None:
        """Print lines above the bar."""
        if self._bar is None:
            print(text, flush=True)
        else:
            self._bar.write(text)

    def close(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
