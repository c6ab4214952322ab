"""Modules that depend on the training step."""

from abc import abstractmethod

from torch import nn


class Timed(nn.Module):
    """A module with buffers that are pure functions of the generator step.

    `at_step` fills the buffers in place, so that a compiled step is not recompiled. The buffers are saved in
    checkpoints, so that sampling from a checkpoint does not need the step.
    """

    @abstractmethod
    def at_step(self, step: int) -> None:
        """Set the buffers for a generator step, counted from 0."""


def at_step(net: nn.Module, step: int) -> None:
    """Call `at_step` on every `Timed` module of a network."""
    for module in net.modules():
        if isinstance(module, Timed):
            module.at_step(step)
