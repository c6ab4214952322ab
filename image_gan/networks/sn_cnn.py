"""SNGAN's plain network: Miyato et al. 2018, arXiv 1802.05957, table 3.

Channels double with every halving of the size, from `width` and `generator_width` (64 as published) to 8 times as many;
at 32 pixels this gives the table's 64-128-256-512. As in DCGAN, every layer is normalised except the generator's output
and the critic's input (the table's critic has no normalisation), and layers before batch or instance norm have no bias.
The generator's dense layer is normalised and activated too, as in the authors' code (pfnet-research/chainer-gan-lib);
the table does not say so.
"""

from itertools import pairwise

from torch import nn

from gan_core.ops.activations import LeakyReLU, ReLU
from image_gan.networks.base import Architecture
from image_gan.networks.layers import Layers, Pixels, ToMap, ToRow, Trunk, biased, conv, down, halvings, norm, up
from image_gan.networks.shape import Shape


class SnCnn(Architecture, name="sn-cnn"):
    """SNGAN's plain convolutions (Miyato et al. 2018)."""

    smallest = 4

    def generator(self, inputs: int, shape: Shape) -> nn.Module:
        """A linear layer, 4x4 transposed convolutions, a 3x3 convolution, tanh."""
        count, kind, classes = halvings(shape.size, self.smallest), shape.generator_norm, shape.num_classes
        wide, *_, narrow = rising = widths(shape.generator_width, count)[::-1]
        base = shape.size >> count
        dense = nn.Linear(inputs, base**2 * wide, bias=biased(kind))
        layers = [dense, ToMap(base, wide), *norm(kind, wide, classes), ReLU()]
        for before, after in pairwise(rising):
            layers += [up(before, after, biased(kind)), *norm(kind, after, classes), ReLU()]
        return Layers(*layers, conv(narrow, shape.channels), Pixels())

    def trunk(self, shape: Shape) -> Trunk:
        """3x3 and strided 4x4 convolutions in turn, then one more 3x3 convolution, with LeakyReLU 0.1."""
        count, kind = halvings(shape.size, self.smallest), shape.critic_norm
        first, *_, last = falling = widths(shape.width, count)
        layers = [conv(shape.channels, first), LeakyReLU(0.1)]
        for before, after in pairwise(falling):
            for layer in (down(before, before, biased(kind)), conv(before, after, bias=biased(kind))):
                layers += [layer, *norm(kind, layer.out_channels), LeakyReLU(0.1)]
        return Trunk(*layers, ToRow(), features=(shape.size >> count) ** 2 * last)


def widths(width: int, count: int) -> list[int]:
    """The channels at each size, from the image's size down through `count` halvings."""
    return [width * min(2**level, 8) for level in range(count + 1)]
