"""The CIFAR-10 ResNets of WGAN-GP and SNGAN.

WGAN-GP: Gulrajani et al. 2017, arXiv 1704.00028, by the authors' gan_cifar_resnet.py: width 128 in both networks,
mean pooling. SNGAN: Miyato et al. 2018, arXiv 1802.05957, table 4: 256 in the generator, 128 in the critic,
sum pooling. Each network has one width from end to end. At other sizes the generator doubles as often as its size
asks for, and the critic halves until 7 to 13 pixels a side are left: 8 at 32 pixels, as published.
"""

from torch import Tensor, nn

from gan_core.ops.activations import ReLU
from gan_core.ops.convolution import Halve
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

SMALLEST = 4
SMALLEST_IN_CRITIC = 7


class Residual(Labelled):
    """residual(x) + shortcut(x)."""

    def __init__(self, residual: list[nn.Module], shortcut: list[nn.Module]) -> None:
        super().__init__()
        self.residual = Layers(*residual)
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.residual(x, y) + self.shortcut(x)


# A 1x1 convolution gives the same before an upsampling and after a pooling as on the larger map, at a quarter of the
# cost: so it stands there in the shortcuts, where the authors' code has it on the larger map.


def up_block(width: int, kind: str, classes: int = 0) -> Residual:
    """Twice the size, by nearest neighbours."""
    before = [*norm(kind, width, classes), ReLU(), doubled_conv(width, width)]
    after = [*norm(kind, width, classes), ReLU(), conv(width, width)]
    return Residual([*before, *after], [pointwise(width, width), nn.Upsample(scale_factor=2)])


def plain_block(width: int, kind: str) -> Residual:
    """The same size, with the input itself as shortcut."""
    before = [*norm(kind, width), ReLU(), conv(width, width)]
    after = [*norm(kind, width), ReLU(), conv(width, width)]
    return Residual([*before, *after], [])


def down_block(width: int, kind: str) -> Residual:
    """Half the size, by means."""
    before = [*norm(kind, width), ReLU(), conv(width, width)]
    after = [*norm(kind, width), ReLU(), conv_halved(width, width)]
    return Residual([*before, *after], [Halve(), pointwise(width, width)])


def first_block(channels: int, width: int) -> Residual:
    """Half the size, from pixels: nothing normalises or activates them ("optimised" in the authors' code)."""
    branch = [conv(channels, width), ReLU(), conv_halved(width, width)]
    return Residual(branch, [Halve(), pointwise(channels, width)])


class Pool(nn.Module):
    """Maps (B, C, H, W) -> (B, C), their mean or their sum."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) if self.how == "mean" else x.sum((2, 3))


def generator(inputs: int, shape: Shape) -> nn.Module:
    """A linear layer, blocks that double the size, normalisation, ReLU, a 3x3 convolution, tanh."""
    count, width, kind, classes = (
        halvings(shape.size, SMALLEST),
        shape.generator_width,
        shape.generator_norm,
        shape.num_classes,
    )
    base = shape.size >> count
    blocks = [up_block(width, kind, classes) for _ in range(count)]
    start = [nn.Linear(inputs, base**2 * width), ToMap(base, width)]
    return Layers(
        *start, *blocks, *norm(kind, width, classes), ReLU(), conv(width, shape.channels), Pixels()
    )  # fmt: skip


def trunk(shape: Shape) -> Trunk:
    """A first block and others that halve the size, two that keep it, ReLU, pooling over all pixels."""
    width, kind = shape.width, shape.critic_norm
    halving = [down_block(width, kind) for _ in range(halvings(shape.size, SMALLEST_IN_CRITIC) - 1)]
    keeping = [plain_block(width, kind) for _ in range(2)]
    first = first_block(shape.channels, width)
    return Trunk(first, *halving, *keeping, ReLU(), Pool(shape.pool), features=width)
