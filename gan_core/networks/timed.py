"""Networks that change as training goes on."""

from abc import abstractmethod

from torch import nn


class Timed(nn.Module):
    """A module that changes with the step of training.

    What changes is a buffer and a pure function of the step. A buffer is saved in the checkpoint, so that sampling
    needs no step, and torch.compile does not compile again when its value changes.
    """

    @abstractmethod
    def at_step(self, step: int) -> None:
        """Set the buffer for a step, counted from 0, in place (`fill_` or `copy_`)."""


def at_step(net: nn.Module, step: int) -> None:
    """Tell every `Timed` module of a network the step, counted from 0."""
    for module in net.modules():
        if isinstance(module, Timed):
            module.at_step(step)
