"""The character-level networks of Gulrajani et al. 2017 (arXiv 1704.00028, section 5.4, and the authors' code).

Symbols are channels: x is (B, V, L), one-hot for real text, a softmax over V at every position for generated text.
Nothing is ever sampled: the critic is shown the softmax itself.

Inside, the channels of a position lie together in memory, and a convolution along sequences is one over maps: the form
in which PyTorch's are fastest. Each sequence is a map of height 1, (B, C, 1, L). In a compiled step on a CPU they are
the columns of one map, (1, C, L, B): for those PyTorch's gradient by a weight is faster in bfloat16, and in float32
a convolution is made of fewer products (`gan_core.ops.winograd`).
"""

import math

import torch
from torch import Tensor, nn

from gan_core.ops import winograd as toom_cook
from gan_core.ops.activations import relu
from gan_core.ops.convolution import convolve
from gan_core.ops.precision import upcast


class Conv(nn.Conv1d):
    """A convolution of odd width along sequences that lie in `maps`. Its weight is (C', C, K)."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self.weight = nn.Parameter(channels_last(self.weight.detach()))

    def forward(self, x: Tensor) -> Tensor:
        half = self.kernel_size[0] // 2
        if not in_columns(x):
            return convolve(x, self.weight.unsqueeze(2), self.bias, (1, 1), (0, half))
        if self.kernel_size[0] in toom_cook.WIDTHS and not torch.is_autocast_enabled("cpu"):
            return toom_cook.convolve(x, self.weight, self.bias)
        return convolve(x, self.weight.unsqueeze(3), self.bias, (1, 1), (half, 0))


def in_columns(x: Tensor) -> bool:
    """Whether sequences are the columns of one map, (1, C, L, B), or a map each, (B, C, 1, L)."""
    return x.device.type == "cpu" and torch.compiler.is_compiling()


def maps(x: Tensor) -> Tensor:
    """Sequences (B, C, L) as one map or as a map each, with the channels of a position together in memory."""
    laid = x.permute(1, 2, 0).unsqueeze(0) if in_columns(x) else x.unsqueeze(2)
    return laid.contiguous(memory_format=torch.channels_last)


def sequences(x: Tensor) -> Tensor:
    """The inverse of `maps`."""
    return x.squeeze(0).permute(2, 0, 1) if in_columns(x) else x.squeeze(2)


def channels_last(x: Tensor) -> Tensor:
    """The same tensor (B, C, L) with its second dimension last in memory."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)


class ResBlock(nn.Module):
    """x + scale * conv(relu(conv(relu(x)))), channels kept; no normalisation, and no ReLU in place.

    In place, the first ReLU would overwrite the shortcut's x.
    """

    def __init__(self, channels: int, kernel: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.conv1 = Conv(channels, channels, kernel)
        self.conv2 = Conv(channels, channels, kernel)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.conv2(relu(self.conv1(relu(x)))), alpha=self.scale)


class Generator(nn.Module):
    """Noise (B, Z) -> softmax (B, V, L): linear, blocks, a convolution of width 1, softmax over the symbols.

    As the decoder of an autoencoder critic it is the same network, from the encoding.
    """

    def __init__(
        self, inputs: int, symbols: int, length: int, width: int, depth: int, kernel: int = 5, scale: float = 0.3
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width * length)
        self.blocks = nn.Sequential(*[ResBlock(width, kernel, scale) for _ in range(depth)])
        self.symbols = Conv(width, symbols, 1)
        self.width, self.length = width, length

    def forward(self, z: Tensor) -> Tensor:
        hidden = maps(self.linear(z).view(-1, self.length, self.width).transpose(1, 2))
        logits = sequences(self.symbols(self.blocks(hidden)))
        return torch.softmax(upcast(logits).transpose(1, 2), dim=2).transpose(1, 2)


class Trunk(nn.Module):
    """The critic below its linear score: (B, V, L) -> (B, L * width)."""

    def __init__(self, symbols: int, length: int, width: int, depth: int, kernel: int = 5, scale: float = 0.3) -> None:
        super().__init__()
        self.symbols = Conv(symbols, width, 1)
        self.blocks = nn.Sequential(*[ResBlock(width, kernel, scale) for _ in range(depth)])
        self.features = width * length

    def forward(self, x: Tensor) -> Tensor:
        return sequences(self.blocks(self.symbols(maps(x)))).transpose(1, 2).flatten(1)


@torch.no_grad()
def initialise(net: nn.Module, init: str) -> None:
    """`paper`: the authors' initialisation; `torch`: PyTorch's defaults, left as they are.

    The authors' code: convolutions uniform with std sqrt(4 / (fan_in + fan_out)), the fans counting the kernel;
    linear layers uniform with std sqrt(2 / (fan_in + fan_out)) (Glorot); biases 0.
    """
    if init == "torch":
        return
    for module in net.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            kernel = math.prod(module.weight.shape[2:])
            fans = kernel * (module.weight.shape[0] + module.weight.shape[1])
            bound = math.sqrt(3 * (4 if isinstance(module, nn.Conv1d) else 2) / fans)
            module.weight.uniform_(-bound, bound)
            module.bias.zero_()
