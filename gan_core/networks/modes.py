"""States of a network that a step sets and restores: frozen, in evaluation mode, its buffers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


def remembered(*nets: nn.Module) -> Callable[[], None]:
    """A function that puts the buffers of networks back as they are now.

    Batch norm moves its statistics in every forward pass, in those of a step that is then not taken too.
    """
    buffers = [buffer for net in nets for buffer in net.buffers()]
    before = [buffer.clone() for buffer in buffers]

    @torch.no_grad()
    def put_back() -> None:
        for buffer, old in zip(buffers, before, strict=True):
            buffer.copy_(old)

    return put_back


@contextmanager
def frozen(net: nn.Module) -> Iterator[None]:
    """Keep a network out of the other player's step: gradients pass through it and none stay in it."""
    learning = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and back."""
    was_training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(was_training)
