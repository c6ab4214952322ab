"""The small pieces that the architectures share.

Feature maps are channels-last in memory throughout: a row of features becomes a map, and a map a row, without a copy.
No activation works in place, since at the head of a residual branch it would overwrite the shortcut.
"""

import torch
from torch import Tensor, nn

from gan_core.networks.batch_norm import BatchNorm2d
from gan_core.ops.convolution import Conv2d, DoublingConv2d, HalvingConv2d
from gan_core.ops.precision import upcast


def halvings(size: int, smallest: int) -> int:
    """How often a size is halved to come to `smallest` pixels or just above; 0 where that cannot be.

    At most one number leaves at least `smallest` and less than twice as many: 28 is 7 * 2^2 and 32 is 4 * 2^3
    for a smallest of 4; 28 is 7 * 2^2 and 64 is 8 * 2^3 for one of 7.
    """
    count = (size // smallest).bit_length() - 1
    return count if count > 0 and size % 2**count == 0 else 0


def norm(kind: str, channels: int, num_classes: int = 0, batch: type[nn.Module] = BatchNorm2d) -> list[nn.Module]:
    """A normalisation layer, or none: each has a scale and a shift per channel, as in the publications.

    Layer and instance norm are group norms, of one group and of a group a channel: no sample sees another one.
    Conditional batch norm has them for each of `num_classes`. `batch`: the class of batch norm, by the rank of x.
    """
    if kind == "none":
        return []
    if kind == "conditional":
        return [ConditionalBatchNorm(num_classes, channels, batch)]
    return [batch(channels) if kind == "batch" else nn.GroupNorm({"layer": 1, "instance": channels}[kind], channels)]


def biased(kind: str) -> bool:
    """Whether a layer before this normalisation has a bias: a mean taken per channel would take it away again."""
    return kind in ("none", "layer")


def conv(inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, or with stride 2 halves it."""
    return Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)


def conv_halved(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, then the means of squares of 2x2."""
    return HalvingConv2d(inputs, outputs, 3, padding=1)


def doubled_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Twice the size by nearest neighbours, then a 3x3 convolution that keeps it."""
    return DoublingConv2d(inputs, outputs, 3, padding=1)


def pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1x1 convolution."""
    return Conv2d(inputs, outputs, 1)


def down(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    """A 4x4 convolution that halves the size."""
    return Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)


def up(inputs: int, outputs: int, bias: bool = True) -> nn.ConvTranspose2d:
    """A 4x4 transposed convolution that doubles the size."""
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)


class Labelled(nn.Module):
    """A layer that takes the labels (B,) beside x, -1 for an unknown one; None where nothing in it looks at them."""


class ConditionalBatchNorm(Labelled):
    """Batch norm with a scale and a shift a class: scale[y] * (x - mean) / std + shift[y], x (B, C) or (B, C, H, W).

    De Vries et al. 2017, arXiv 1707.00683; as tables by class like those of Dumoulin et al. 2017, arXiv 1610.07629,
    which stand over instance norm; in the generators of Miyato and Koyama 2018, arXiv 1802.05637. Mean and std, and
    their running averages, are those of the batch whatever its labels: classes differ in scale and shift alone. An
    unknown label has the mean of the classes' scales and that of their shifts.
    """

    def __init__(self, num_classes: int, channels: int, batch: type[nn.Module] = BatchNorm2d) -> None:
        super().__init__()
        self.normalise = batch(channels, affine=False)
        # Tables, and no nn.Embedding: constraints and initial weights take every embedding for a weight matrix, and
        # these are (K, C) scales and shifts, which are no more that than batch norm's are.
        self.scale = nn.Parameter(torch.ones(num_classes, channels))
        self.shift = nn.Parameter(torch.zeros(num_classes, channels))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        scale, shift = (rows(table, y).view(*x.shape[:2], *[1] * (x.ndim - 2)) for table in (self.scale, self.shift))
        return torch.addcmul(shift, scale, self.normalise(x)).to(x.dtype)  # which autocast made wide


def rows(table: Tensor, y: Tensor) -> Tensor:
    """The rows (B, C) of a table (K, C) at labels (B,); their mean, put last, is what -1 finds."""
    return torch.cat([table, table.mean(0, keepdim=True)])[y]


class Layers(nn.Sequential, Labelled):
    """Layers one after the other, of which those that look at labels are told them."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        for layer in self:
            x = layer(x, y) if isinstance(layer, Labelled) else layer(x)
        return x


class ToMap(nn.Module):
    """Rows (B, side * side * C) -> maps (B, C, side, side)."""

    def __init__(self, side: int, channels: int) -> None:
        super().__init__()
        self.sizes = (side, side, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, self.sizes).permute(0, 3, 1, 2)


class ToRow(nn.Module):
    """Maps (B, C, H, W) -> rows (B, H * W * C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Pixels(nn.Module):
    """The end of a generator: tanh, in float32 or wider."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(upcast(x))


class Trunk(nn.Sequential):
    """A critic below its linear heads: images (B, C, H, W) -> (B, features), the last activation included."""

    def __init__(self, *layers: nn.Module, features: int) -> None:
        super().__init__(*layers)
        self.features = features
