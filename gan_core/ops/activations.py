"""Activations in the form that costs a gradient penalty least.

The second derivative of a ReLU is 0, but to autograd it is a tensor of zeros, with which it runs every layer below once
more. A choice by comparison has no such derivative, and a compiler makes one loop of it and its neighbours. Uncompiled
it is several passes over memory, which cost more than they save.
"""

import torch
from torch import Tensor, nn


def relu(x: Tensor) -> Tensor:
    """max(0, x)."""
    return torch.where(x > 0, x, 0.0) if torch.compiler.is_compiling() else torch.relu(x)


class ReLU(nn.ReLU):
    """`relu` as a layer, never in place."""

    def forward(self, x: Tensor) -> Tensor:
        return relu(x)


class LeakyReLU(nn.LeakyReLU):
    """x where it is positive, else slope * x."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.negative_slope * x) if torch.compiler.is_compiling() else super().forward(x)
