"""The character-level networks of Gulrajani et al. 2017 (arXiv 1704.00028, section 5.4, and the authors' code).

Nothing is sampled: the critic sees the generator's softmax itself.
"""

import torch
from torch import Tensor, nn

from gan_core.ops.activations import relu
from gan_core.ops.precision import upcast
from seqgan_gp.networks.base import Shape, TextNetwork
from seqgan_gp.networks.layers import Conv, maps, sequences


class WganGp(TextNetwork, name="wgan-gp"):
    """Residual blocks along the sequence (Gulrajani et al. 2017)."""

    def generator(self, inputs: int) -> nn.Module:
        return Generator(inputs, self.shape)

    def trunk(self, more: int = 0) -> tuple[nn.Module, int]:
        trunk = Trunk(self.shape.symbols + more, self.shape)
        return trunk, trunk.features


class ResBlock(nn.Module):
    """x + scale * conv(relu(conv(relu(x)))), with equal numbers of channels, without normalisation.

    The ReLUs are not in place: the first one would overwrite the shortcut's x.
    """

    def __init__(self, channels: int, kernel: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.conv1 = Conv(channels, channels, kernel)
        self.conv2 = Conv(channels, channels, kernel)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.conv2(relu(self.conv1(relu(x)))), alpha=self.scale)


class Generator(nn.Module):
    """Noise (B, inputs) -> softmax (B, V, L): linear, blocks, a convolution of width 1, softmax over the symbols."""

    def __init__(self, inputs: int, shape: Shape) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, shape.width * shape.length)
        self.blocks = nn.Sequential(*blocks(shape))
        self.symbols = Conv(shape.width, shape.symbols, 1)
        self.width, self.length = shape.width, shape.length

    def forward(self, z: Tensor) -> Tensor:
        hidden = maps(self.linear(z).view(-1, self.length, self.width).transpose(1, 2))
        logits = sequences(self.symbols(self.blocks(hidden)))
        return torch.softmax(upcast(logits).transpose(1, 2), dim=2).transpose(1, 2)


class Trunk(nn.Module):
    """The critic below its linear score: (B, channels, L) -> (B, L * width)."""

    def __init__(self, channels: int, shape: Shape) -> None:
        super().__init__()
        self.symbols = Conv(channels, shape.width, 1)
        self.blocks = nn.Sequential(*blocks(shape))
        self.features = shape.width * shape.length

    def forward(self, x: Tensor) -> Tensor:
        return sequences(self.blocks(self.symbols(maps(x)))).transpose(1, 2).flatten(1)


def blocks(shape: Shape) -> list[ResBlock]:
    """Return `shape.depth` new residual blocks."""
    return [ResBlock(shape.width, shape.kernel, shape.res_scale) for _ in range(shape.depth)]
