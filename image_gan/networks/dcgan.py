"""DCGAN: Radford et al. 2016, arXiv 1511.06434, figure 1 and section 3.

Every convolution is strided, with the 4x4 kernels of the authors' Torch code. Every layer is normalised except the
generator's output and the critic's input. The generator has ReLU, the critic LeakyReLU 0.2. Channels double with every
halving of the size; the layer next to the image has `width` and `generator_width` channels. 128 at 64 pixels gives the
paper's 1024-512-256-128-C. Layers before batch or instance norm have no bias.
"""

from itertools import pairwise

from torch import nn

from gan_core.ops.activations import LeakyReLU, ReLU
from image_gan.networks.base import Architecture
from image_gan.networks.layers import Layers, Pixels, ToMap, ToRow, Trunk, biased, down, halvings, norm, up
from image_gan.networks.shape import Shape


class Dcgan(Architecture, name="dcgan"):
    """Strided convolutions (Radford et al. 2016)."""

    smallest = 4

    def generator(self, inputs: int, shape: Shape) -> nn.Module:
        """A linear layer (the paper's "project and reshape"), transposed convolutions, tanh."""
        count, kind, classes = halvings(shape.size, self.smallest), shape.generator_norm, shape.num_classes
        widths = [shape.generator_width * 2**level for level in reversed(range(count))]
        base = shape.size >> count
        project = nn.Linear(inputs, base**2 * widths[0], bias=biased(kind))
        layers = [project, ToMap(base, widths[0]), *norm(kind, widths[0], classes), ReLU()]
        for before, after in pairwise(widths):
            layers += [up(before, after, biased(kind)), *norm(kind, after, classes), ReLU()]
        return Layers(*layers, up(widths[-1], shape.channels), Pixels())

    def trunk(self, shape: Shape) -> Trunk:
        """Strided convolutions down to the smallest map. The linear head replaces the paper's last convolution."""
        count, kind = halvings(shape.size, self.smallest), shape.critic_norm
        widths = [shape.width * 2**level for level in range(count)]
        layers = [down(shape.channels, widths[0]), LeakyReLU(0.2)]
        for before, after in pairwise(widths):
            layers += [down(before, after, biased(kind)), *norm(kind, after), LeakyReLU(0.2)]
        return Trunk(*layers, ToRow(), features=(shape.size >> count) ** 2 * widths[-1])
