"""Batch norm over the rows of all processes."""

from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_core.runtime.dist import size


class Summed(torch.autograd.Function):
    """The sum of a tensor over all processes. Its gradient is summed too: every loss depends on the statistics."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


class WholeBatch(_BatchNorm):
    """Batch norm (Ioffe and Szegedy 2015) with the mean and the variance of the rows of all processes."""

    def forward(self, x: Tensor) -> Tensor:
        if size() == 1 or not self.training:
            return super().forward(x)
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        rows, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
        count = wide.numel() // wide.shape[1] * size()
        mean = Summed.apply(wide.sum(rows)) / count
        centred = wide - mean.view(shape)
        variance = Summed.apply(centred.square().sum(rows)) / count
        self._follow(mean.detach(), variance.detach() * count / max(1, count - 1))
        out = centred * torch.rsqrt(variance + self.eps).view(shape)
        return (out * self.weight.view(shape) + self.bias.view(shape) if self.affine else out).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class BatchNorm1d(WholeBatch, nn.BatchNorm1d):
    """Batch norm of rows (B, C) over all processes."""


class BatchNorm2d(WholeBatch, nn.BatchNorm2d):
    """Batch norm of feature maps (B, C, H, W) over all processes."""
