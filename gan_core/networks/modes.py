"""Temporary states of a network: frozen parameters, evaluation mode, saved buffers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


def remembered(*nets: nn.Module) -> Callable[[], None]:
    """Return a function that restores the networks' buffers to their current values.

    Batch norm updates its statistics in every forward pass, even in a step that is then skipped.
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
    """Freeze a network during the other player's step: gradients flow through it, its parameters receive none."""
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
    """Put a network into evaluation mode; restore its previous mode on exit."""
    was_training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(was_training)
