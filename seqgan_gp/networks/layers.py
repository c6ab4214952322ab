"""Convolutions along sequences, in the memory layouts in which PyTorch computes them fastest.

The channels of a position are contiguous in memory, and a convolution along sequences is computed as one over maps.
Each sequence is a map of height 1, (B, C, 1, L). In a compiled step on a CPU, all sequences are the columns of one map,
(1, C, L, B): in this layout PyTorch computes the gradient of a weight faster in bfloat16, and Winograd's algorithm
(`gan_core.ops.winograd`) saves products in float32.
"""

import torch
from torch import Tensor, nn

from gan_core.ops import winograd
from gan_core.ops.convolution import convolve


class Conv(nn.Conv1d):
    """A convolution of odd width along sequences in the layout of `maps`. Its weight is (C', C, K)."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self.weight = nn.Parameter(channels_last(self.weight.detach()))

    def forward(self, x: Tensor) -> Tensor:
        half = self.kernel_size[0] // 2
        if not in_columns(x):
            return convolve(x, self.weight.unsqueeze(2), self.bias, (1, 1), (0, half))
        if self.kernel_size[0] in winograd.WIDTHS and not torch.is_autocast_enabled("cpu"):
            return winograd.convolve(x, self.weight, self.bias)
        return convolve(x, self.weight.unsqueeze(3), self.bias, (1, 1), (half, 0))


def in_columns(x: Tensor) -> bool:
    """Whether sequences are the columns of one map, (1, C, L, B), instead of one map each, (B, C, 1, L)."""
    return x.device.type == "cpu" and torch.compiler.is_compiling()


def maps(x: Tensor) -> Tensor:
    """Lay sequences (B, C, L) out as one map or as one map each, with the channels of a position contiguous."""
    laid = x.permute(1, 2, 0).unsqueeze(0) if in_columns(x) else x.unsqueeze(2)
    return laid.contiguous(memory_format=torch.channels_last)


def sequences(x: Tensor) -> Tensor:
    """Invert `maps`."""
    return x.squeeze(0).permute(2, 0, 1) if in_columns(x) else x.squeeze(2)


def channels_last(x: Tensor) -> Tensor:
    """Return an equal tensor (B, C, L) whose second dimension is contiguous in memory."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)
