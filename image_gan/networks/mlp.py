"""A perceptron, for toy data and as the weak generator of Gulrajani et al. 2017, arXiv 1704.00028, section 5.2.

The widths count units a layer. The paper's generator is "a 4-layer 512-dim ReLU MLP". In the authors' code
(gan_64x64.py) it has four hidden layers and an output layer; the critic has four hidden layers with LeakyReLU.
"""

from itertools import pairwise

from torch import nn

from gan_core.networks.batch_norm import BatchNorm1d
from gan_core.ops.activations import LeakyReLU, ReLU
from image_gan.networks.base import Architecture
from image_gan.networks.layers import Layers, Pixels, ToMap, ToRow, Trunk, biased, norm
from image_gan.networks.shape import Shape


class Mlp(Architecture, name="mlp"):
    """A perceptron for images of any size."""

    published_depth = 4
    norms = ("none", "batch", "layer")  # instance norm of one value per unit would give 0

    def generator(self, inputs: int, shape: Shape) -> nn.Module:
        """Hidden layers with ReLU, a linear layer, tanh."""
        units, kind = shape.generator_width, shape.generator_norm
        layers = hidden(inputs, units, self.depth(shape), kind, ReLU(), shape.num_classes)
        pixels = nn.Linear(units, shape.size**2 * shape.channels)
        return Layers(*layers, pixels, ToMap(shape.size, shape.channels), Pixels())

    def trunk(self, shape: Shape) -> Trunk:
        """Hidden layers with LeakyReLU."""
        inputs = shape.size**2 * shape.channels
        layers = hidden(inputs, shape.width, self.depth(shape), shape.critic_norm, LeakyReLU(0.2))
        return Trunk(ToRow(), *layers, features=shape.width)


def hidden(inputs: int, units: int, depth: int, kind: str, activation: nn.Module, classes: int = 0) -> list[nn.Module]:
    """`depth` linear layers, each with its normalisation and activation."""
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *[units] * depth]):
        layer = nn.Linear(before, after, bias=biased(kind))
        layers += [layer, *norm(kind, after, classes, BatchNorm1d), activation]
    return layers
