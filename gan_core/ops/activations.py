"""Activations that make a gradient penalty cheap.

The second derivative of a ReLU is 0, but autograd represents it by a tensor of zeros and backpropagates that through
every layer below. `torch.where` has no such second derivative, and torch.compile fuses it with its neighbours. In eager
mode it takes several passes over memory, which cost more than they save, so torch's own ReLU is used there.
"""

import torch
from torch import Tensor, nn


def relu(x: Tensor) -> Tensor:
    """Return max(0, x), elementwise."""
    return torch.where(x > 0, x, 0.0) if torch.compiler.is_compiling() else torch.relu(x)


class ReLU(nn.ReLU):
    """`relu` as a layer, never in place."""

    def forward(self, x: Tensor) -> Tensor:
        return relu(x)


class LeakyReLU(nn.LeakyReLU):
    """x where x > 0, else negative_slope * x; never in place."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.negative_slope * x) if torch.compiler.is_compiling() else super().forward(x)
