"""BEGAN's networks: Berthelot et al. 2017, arXiv 1703.10717, section 3.5 and figure 1.

3x3 convolutions with ELU, two a stage; the encoder's channels grow by `width` with every halving, the decoder keeps
`generator_width`. Nothing bounds the output and nothing is normalised (critic_norm and generator_norm "none"). The
generator and the critic's decoder are the same network with weights of their own. The paper's vanishing residuals are
left out: their share falls with the steps, which a network does not know.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from gan_core.ops.precision import upcast
from image_gan.networks.layers import ToMap, ToRow, Trunk, biased, conv, halvings, norm
from image_gan.networks.shape import Shape

SMALLEST = 7
DEPTH = 2
GENERATOR_NORMS = ("none", "batch")  # the paper has none: no layer of these networks takes labels


def convolutions(inputs: int, outputs: int, depth: int, kind: str, stride: int = 1) -> list[nn.Module]:
    """Convolutions with ELU, the first of which changes the channels."""
    layers: list[nn.Module] = []
    for number in range(depth):
        layer = conv(outputs if number else inputs, outputs, stride, biased(kind))
        layers += [layer, *norm(kind, outputs), nn.ELU()]
    return layers


class Decoder(nn.Module):
    """Codes or noise (B, inputs) -> images (B, C, H, W).

    With `skip`, the first map is enlarged and shown to every later stage, beside the output of the one before.
    """

    def __init__(self, inputs: int, shape: Shape) -> None:
        super().__init__()
        count, width, depth = halvings(shape.size, SMALLEST), shape.generator_width, shape.depth or DEPTH
        base = shape.size >> count
        self.skip = shape.skip
        self.first = nn.Sequential(nn.Linear(inputs, base**2 * width), ToMap(base, width))
        seen = [width, *[2 * width if shape.skip else width] * count]
        self.stages = nn.ModuleList(nn.Sequential(*convolutions(n, width, depth, shape.generator_norm)) for n in seen)
        self.pixels = conv(width, shape.channels)

    def forward(self, code: Tensor) -> Tensor:
        first = self.first(code)
        x = self.stages[0](first)
        for stage in self.stages[1:]:
            x = interpolate(x, scale_factor=2.0)
            x = stage(torch.cat([x, interpolate(first, x.shape[2:])], 1) if self.skip else x)
        return upcast(self.pixels(x))


def generator(inputs: int, shape: Shape) -> nn.Module:
    """The decoder."""
    return Decoder(inputs, shape)


def trunk(shape: Shape) -> Trunk:
    """The encoder below its linear layer: each stage ends with a convolution of stride 2, but the last."""
    count, width, depth = halvings(shape.size, SMALLEST), shape.width, shape.depth or DEPTH
    kind = shape.critic_norm
    layers = convolutions(shape.channels, width, 1, "none")
    for level in range(1, count + 1):
        layers += convolutions(level * width, level * width, depth, kind)
        layers += convolutions(level * width, (level + 1) * width, 1, kind, stride=2)
    last = (count + 1) * width
    layers += convolutions(last, last, depth, kind)
    return Trunk(*layers, ToRow(), features=(shape.size >> count) ** 2 * last)
