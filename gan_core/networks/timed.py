"""Networks that change as training goes on."""

from abc import abstractmethod

from torch import nn


class Timed(nn.Module):
    """A module that is told the step. What changes with it is a buffer, and a pure function of the step.

    A buffer is filled in place, so a compiled step is not compiled again, and it lies in checkpoints: sampling from one
    needs no step.
    """

    @abstractmethod
    def at_step(self, step: int) -> None:
        """Set the buffers for a generator step, counted from 0."""


def at_step(net: nn.Module, step: int) -> None:
    """Tell every `Timed` module of a network the step."""
    for module in net.modules():
        if isinstance(module, Timed):
            module.at_step(step)
