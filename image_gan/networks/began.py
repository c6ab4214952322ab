"""BEGAN's networks: Berthelot et al. 2017, arXiv 1703.10717, section 3.5 and figure 1.

All convolutions are 3x3 with ELU, two in each stage. The encoder's channels grow by `width` with every halving; the
decoder has `generator_width` channels throughout. The output is unbounded, and the published networks have no
normalisation (critic_norm and generator_norm "none"). The generator and the critic's decoder have the same layers.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from gan_core.networks.timed import Timed
from gan_core.ops.precision import upcast
from gan_core.parts.fields import option
from image_gan.networks.base import Architecture
from image_gan.networks.layers import ToMap, ToRow, Trunk, biased, conv, halvings, norm
from image_gan.networks.shape import Shape


class Began(Architecture, name="began"):
    """BEGAN's encoder and decoder (Berthelot et al. 2017)."""

    smallest = 7
    published_depth = 2
    generator_norms = ("none", "batch")  # no layer of the decoder takes labels

    skip: bool = option(False, "show the decoders' first map to every later stage")
    residual_steps: int = option(
        0, "steps over which the residual connections of the stages vanish, 0 for none; 16,000 in the paper", low=0,
        metavar="STEPS",
    )  # fmt: skip

    def generator(self, inputs: int, shape: Shape) -> nn.Module:
        """The decoder."""
        count = halvings(shape.size, self.smallest)
        return Decoder(inputs, shape, count, self.depth(shape), self.skip, self.residual_steps)

    def trunk(self, shape: Shape) -> Trunk:
        """The encoder without its linear layer: every stage except the last ends with a convolution of stride 2."""
        count, width, depth = halvings(shape.size, self.smallest), shape.width, self.depth(shape)
        kind, steps = shape.critic_norm, self.residual_steps
        layers = convolutions(shape.channels, width, 1, "none")
        for level in range(1, count + 1):
            layers += vanishing(convolutions(level * width, level * width, depth, kind), steps)
            layers += convolutions(level * width, (level + 1) * width, 1, kind, stride=2)
        last = (count + 1) * width
        layers += vanishing(convolutions(last, last, depth, kind), steps)
        return Trunk(*layers, ToRow(), features=(shape.size >> count) ** 2 * last)


class Decoder(nn.Module):
    """Encodings or noise (B, inputs) -> images (B, C, H, W).

    skip: enlarge the first map and concatenate it to the input of every later stage. Such a stage has twice as many
    channels at its input as at its output, and so no residual connection.
    """

    def __init__(self, inputs: int, shape: Shape, count: int, depth: int, skip: bool, residual_steps: int) -> None:
        super().__init__()
        width, kind, base = shape.generator_width, shape.generator_norm, shape.size >> count
        self.skip = skip
        self.first = nn.Sequential(nn.Linear(inputs, base**2 * width), ToMap(base, width))
        self.stages = nn.ModuleList()
        for channels in [width, *[2 * width if skip else width] * count]:
            layers = convolutions(channels, width, depth, kind)
            self.stages.append(nn.Sequential(*vanishing(layers, residual_steps if channels == width else 0)))
        self.pixels = conv(width, shape.channels)

    def forward(self, code: Tensor) -> Tensor:
        first = self.first(code)
        x = self.stages[0](first)
        for stage in self.stages[1:]:
            x = interpolate(x, scale_factor=2.0)
            x = stage(torch.cat([x, interpolate(first, x.shape[2:])], 1) if self.skip else x)
        return upcast(self.pixels(x))


class Vanishing(nn.Sequential, Timed):
    """BEGAN's vanishing residual: c x + (1 - c) f(x), where f is the layers, whose output has the shape of x.

    The carry c falls linearly from 1 at step 0 to 0 at step `steps`, after which the layers stand alone.
    """

    carry: Tensor

    def __init__(self, *layers: nn.Module, steps: int) -> None:
        super().__init__(*layers)
        self.steps = steps
        self.register_buffer("carry", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.carry * x + (1 - self.carry) * super().forward(x)

    def at_step(self, step: int) -> None:
        self.carry.fill_(max(0.0, 1 - step / self.steps))


def vanishing(layers: list[nn.Module], steps: int) -> list[nn.Module]:
    """The layers, in one vanishing residual if `steps` is not 0."""
    return [Vanishing(*layers, steps=steps)] if steps else layers


def convolutions(inputs: int, outputs: int, depth: int, kind: str, stride: int = 1) -> list[nn.Module]:
    """`depth` convolutions with ELU; the first one changes the channels."""
    layers: list[nn.Module] = []
    for number in range(depth):
        layer = conv(outputs if number else inputs, outputs, stride, biased(kind))
        layers += [layer, *norm(kind, outputs), nn.ELU()]
    return layers
