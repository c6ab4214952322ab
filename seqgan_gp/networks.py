"""The character-level networks of Gulrajani et al. 2017 (arXiv 1704.00028, section 5.4, and the authors' code).

Symbols are channels: x is (B, V, L), one-hot for real text, a softmax over V at every position for generated text.
Nothing is ever sampled: the critic is shown the softmax itself.
"""

import math

import torch
from torch import Tensor, nn

from gan_core.critic import wide

INITS = ("paper", "torch")


class ResBlock(nn.Module):
    """x + scale * conv(relu(conv(relu(x)))), channels kept; no normalisation, and no ReLU in place.

    In place, the first ReLU would overwrite the shortcut's x.
    """

    def __init__(self, channels: int, kernel: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.conv1 = nn.Conv1d(channels, channels, kernel, padding="same")
        self.conv2 = nn.Conv1d(channels, channels, kernel, padding="same")

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.conv2(torch.relu(self.conv1(torch.relu(x))))


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
        self.symbols = nn.Conv1d(width, symbols, 1)
        self.width, self.length = width, length

    def forward(self, z: Tensor) -> Tensor:
        hidden = self.linear(z).view(-1, self.width, self.length)
        return torch.softmax(wide(self.symbols(self.blocks(hidden))), dim=1)


class Trunk(nn.Module):
    """The critic below its linear score: (B, V, L) -> (B, width * L)."""

    def __init__(self, symbols: int, length: int, width: int, depth: int, kernel: int = 5, scale: float = 0.3) -> None:
        super().__init__()
        self.symbols = nn.Conv1d(symbols, width, 1)
        self.blocks = nn.Sequential(*[ResBlock(width, kernel, scale) for _ in range(depth)])
        self.features = width * length

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.symbols(x)).flatten(1)


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
