"""The ResNets of WGAN-GP and SNGAN for CIFAR-10.

WGAN-GP: Gulrajani et al. 2017, arXiv 1704.00028, after the authors' gan_cifar_resnet.py: width 128 in both networks,
mean pooling. SNGAN: Miyato et al. 2018, arXiv 1802.05957, table 4: width 256 in the generator and 128 in the critic,
sum pooling. A network has the same width in every layer. At other sizes than 32 the generator doubles as often as the
size requires, and the critic halves until 7 to 13 pixels a side are left (8 at 32 pixels, as published).
"""

from torch import Tensor, nn

from gan_core.ops.activations import ReLU
from gan_core.ops.convolution import Halve
from gan_core.parts.fields import option
from image_gan.networks.base import Architecture
from image_gan.networks.layers import (
    Labelled,
    Layers,
    Pixels,
    ToMap,
    Trunk,
    conv,
    conv_halved,
    doubled_conv,
    halvings,
    norm,
    pointwise,
)
from image_gan.networks.shape import Shape

SMALLEST_IN_CRITIC = 7


class Resnet(Architecture, name="resnet"):
    """Residual blocks, as WGAN-GP and SNGAN have them for CIFAR-10."""

    smallest = 4

    pool: str = option("mean", "how the critic pools its last map over the pixels", choices=("mean", "sum"))

    def generator(self, inputs: int, shape: Shape) -> nn.Module:
        """A linear layer, blocks that double the size, normalisation, ReLU, a 3x3 convolution, tanh."""
        count, kind, classes = halvings(shape.size, self.smallest), shape.generator_norm, shape.num_classes
        width, base = shape.generator_width, shape.size >> count
        blocks = [up_block(width, kind, classes) for _ in range(count)]
        start = [nn.Linear(inputs, base**2 * width), ToMap(base, width)]
        end = [*norm(kind, width, classes), ReLU(), conv(width, shape.channels), Pixels()]
        return Layers(*start, *blocks, *end)

    def trunk(self, shape: Shape) -> Trunk:
        """A first block and others that halve the size, two blocks that keep it, ReLU, pooling over all pixels."""
        width, kind = shape.width, shape.critic_norm
        halving = [down_block(width, kind) for _ in range(halvings(shape.size, SMALLEST_IN_CRITIC) - 1)]
        keeping = [plain_block(width, kind) for _ in range(2)]
        first = first_block(shape.channels, width)
        return Trunk(first, *halving, *keeping, ReLU(), Pool(self.pool), features=width)


class Residual(Labelled):
    """residual(x) + shortcut(x)."""

    def __init__(self, residual: list[nn.Module], shortcut: list[nn.Module]) -> None:
        super().__init__()
        self.residual = Layers(*residual)
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.residual(x, y) + self.shortcut(x)


# A 1x1 convolution commutes with nearest-neighbour upsampling and with mean pooling. The shortcuts apply it to the
# smaller map, at a quarter of the cost; the authors' code applies it to the larger one.


def up_block(width: int, kind: str, classes: int = 0) -> Residual:
    """A block that doubles the size by nearest neighbours."""
    before = [*norm(kind, width, classes), ReLU(), doubled_conv(width, width)]
    after = [*norm(kind, width, classes), ReLU(), conv(width, width)]
    return Residual([*before, *after], [pointwise(width, width), nn.Upsample(scale_factor=2)])


def plain_block(width: int, kind: str) -> Residual:
    """A block that keeps the size; the shortcut is the identity."""
    before = [*norm(kind, width), ReLU(), conv(width, width)]
    after = [*norm(kind, width), ReLU(), conv(width, width)]
    return Residual([*before, *after], [])


def down_block(width: int, kind: str) -> Residual:
    """A block that halves the size by 2x2 means."""
    before = [*norm(kind, width), ReLU(), conv(width, width)]
    after = [*norm(kind, width), ReLU(), conv_halved(width, width)]
    return Residual([*before, *after], [Halve(), pointwise(width, width)])


def first_block(channels: int, width: int) -> Residual:
    """The critic's first block, which halves the size. It starts with a convolution ("optimised" in the authors' code).

    Pixels are neither normalised nor activated.
    """
    branch = [conv(channels, width), ReLU(), conv_halved(width, width)]
    return Residual(branch, [Halve(), pointwise(channels, width)])


class Pool(nn.Module):
    """Maps (B, C, H, W) -> (B, C), their mean or their sum over the pixels."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) if self.how == "mean" else x.sum((2, 3))
