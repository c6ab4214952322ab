"""The plain network of SNGAN: Miyato et al. 2018, arXiv 1802.05957, table 3.

Channels double with every halving from `width` and `generator_width` (64 as published) to 8 times as many, which at 32
pixels is the table's 64-128-256-512. As in DCGAN, normalisation is everywhere but at the generator's output and the
critic's input (the table's critic has none), and layers before batch or instance norm have no bias. The authors
normalise and activate the generator's dense layer too (pfnet-research/chainer-gan-lib), which the table does not say.
"""

from itertools import pairwise

from torch import nn

from gan_core.ops.activations import LeakyReLU, ReLU
from image_gan.networks.layers import Layers, Pixels, ToMap, ToRow, Trunk, biased, conv, down, halvings, norm, up
from image_gan.networks.shape import Shape

SMALLEST = 4


def widths(width: int, count: int) -> list[int]:
    """Channels from the image's size down, one for each size."""
    return [width * min(2**level, 8) for level in range(count + 1)]


def generator(inputs: int, shape: Shape) -> nn.Module:
    """A linear layer, 4x4 transposed convolutions, a 3x3 convolution, tanh."""
    count, kind, classes = halvings(shape.size, SMALLEST), shape.generator_norm, shape.num_classes
    wide, *_, narrow = rising = widths(shape.generator_width, count)[::-1]
    base = shape.size >> count
    dense = nn.Linear(inputs, base**2 * wide, bias=biased(kind))
    layers = [dense, ToMap(base, wide), *norm(kind, wide, classes), ReLU()]
    for before, after in pairwise(rising):
        layers += [up(before, after, biased(kind)), *norm(kind, after, classes), ReLU()]
    return Layers(*layers, conv(narrow, shape.channels), Pixels())


def trunk(shape: Shape) -> Trunk:
    """3x3 and strided 4x4 convolutions in turn, then a last 3x3 one; LeakyReLU 0.1."""
    count, kind = halvings(shape.size, SMALLEST), shape.critic_norm
    first, *_, last = falling = widths(shape.width, count)
    layers = [conv(shape.channels, first), LeakyReLU(0.1)]
    for before, after in pairwise(falling):
        for layer in (down(before, before, biased(kind)), conv(before, after, bias=biased(kind))):
            layers += [layer, *norm(kind, layer.out_channels), LeakyReLU(0.1)]
    return Trunk(*layers, ToRow(), features=(shape.size >> count) ** 2 * last)
