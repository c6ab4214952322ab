"""A perceptron, for toys and as the weak generator in Gulrajani et al. 2017, arXiv 1704.00028, section 5.2.

Widths count the units of a layer. The paper's generator is "a 4-layer 512-dim ReLU MLP": in the authors' code
(gan_64x64.py) four hidden layers and the output, against a critic of four with LeakyReLU.
"""

from itertools import pairwise

from torch import nn

from gan_core.networks.batch_norm import BatchNorm1d
from gan_core.ops.activations import LeakyReLU, ReLU
from image_gan.networks.layers import Layers, Pixels, ToMap, ToRow, Trunk, biased, norm
from image_gan.networks.shape import Shape

DEPTH = 4
NORMS = ("none", "batch", "layer")  # a unit is one value: instance norm would leave nothing of it


def hidden(inputs: int, units: int, depth: int, kind: str, activation: nn.Module, classes: int = 0) -> list[nn.Module]:
    """The hidden layers."""
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *[units] * (depth or DEPTH)]):
        layer = nn.Linear(before, after, bias=biased(kind))
        layers += [layer, *norm(kind, after, classes, BatchNorm1d), activation]
    return layers


def generator(inputs: int, shape: Shape) -> nn.Module:
    """Hidden ReLU layers, a linear one, tanh."""
    layers = hidden(inputs, shape.generator_width, shape.depth, shape.generator_norm, ReLU(), shape.num_classes)
    pixels = nn.Linear(shape.generator_width, shape.size**2 * shape.channels)
    return Layers(*layers, pixels, ToMap(shape.size, shape.channels), Pixels())


def trunk(shape: Shape) -> Trunk:
    """Hidden LeakyReLU layers."""
    inputs = shape.size**2 * shape.channels
    layers = hidden(inputs, shape.width, shape.depth, shape.critic_norm, LeakyReLU(0.2))
    return Trunk(ToRow(), *layers, features=shape.width)
