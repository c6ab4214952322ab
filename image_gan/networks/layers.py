"""Layers that the architectures share.

Feature maps are channels-last in memory, so that rows of features and maps become each other without a copy. No
activation works in place: at the start of a residual branch it would overwrite the shortcut's input.
"""

import torch
from torch import Tensor, nn

from gan_core.networks.batch_norm import BatchNorm2d
from gan_core.ops.convolution import Conv2d, DoublingConv2d, HalvingConv2d
from gan_core.ops.precision import upcast


def halvings(size: int, smallest: int) -> int:
    """How often a size must be halved to leave at least `smallest` pixels and less than twice as many.

    0 if no number of halvings does. With `smallest` 4, 28 = 7 * 2^2 gives 2 and 32 = 4 * 2^3 gives 3; with 7,
    28 = 7 * 2^2 gives 2 and 64 = 8 * 2^3 gives 3.
    """
    count = (size // smallest).bit_length() - 1
    return count if count > 0 and size % 2**count == 0 else 0


def norm(kind: str, channels: int, num_classes: int = 0, batch: type[nn.Module] = BatchNorm2d) -> list[nn.Module]:
    """A list of one normalisation layer with a scale and a shift per channel; an empty list for "none".

    Layer norm is a group norm of one group, instance norm one of a group per channel; neither mixes samples.
    Conditional batch norm has a scale and a shift for each of `num_classes`. `batch` is the class of batch norm for
    the rank of x.
    """
    if kind == "none":
        return []
    if kind == "conditional":
        return [ConditionalBatchNorm(num_classes, channels, batch)]
    return [batch(channels) if kind == "batch" else nn.GroupNorm({"layer": 1, "instance": channels}[kind], channels)]


def biased(kind: str) -> bool:
    """Whether a layer before this normalisation has a bias: subtracting the per-channel mean would cancel it."""
    return kind in ("none", "layer")


def conv(inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size; with stride 2 it halves the size."""
    return Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)


def conv_halved(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, followed by 2x2 mean pooling."""
    return HalvingConv2d(inputs, outputs, 3, padding=1)


def doubled_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Nearest-neighbour upsampling to twice the size, followed by a 3x3 convolution that keeps the size."""
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
    """A layer called with x and the labels (B,), -1 for an unknown label; None if none of its layers uses labels."""


class ConditionalBatchNorm(Labelled):
    """Batch norm with a scale and a shift per class: scale[y] * (x - mean) / std + shift[y], x (B, C) or (B, C, H, W).

    De Vries et al. 2017, arXiv 1707.00683. The tables by class are those of Dumoulin et al. 2017, arXiv 1610.07629,
    there with instance norm. Miyato and Koyama 2018, arXiv 1802.05637, use it in their generators. Mean, std and their
    running averages are taken over the whole batch, so that classes differ in scale and shift only. An unknown label
    gets the mean of all scales and the mean of all shifts.
    """

    def __init__(self, num_classes: int, channels: int, batch: type[nn.Module] = BatchNorm2d) -> None:
        super().__init__()
        self.normalise = batch(channels, affine=False)
        # Not nn.Embedding, which constraints and initialisation treat as a weight matrix: these are scales and shifts.
        self.scale = nn.Parameter(torch.ones(num_classes, channels))
        self.shift = nn.Parameter(torch.zeros(num_classes, channels))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        scale, shift = (rows(table, y).view(*x.shape[:2], *[1] * (x.ndim - 2)) for table in (self.scale, self.shift))
        return torch.addcmul(shift, scale, self.normalise(x)).to(x.dtype)  # addcmul's result is float32 under autocast


def rows(table: Tensor, y: Tensor) -> Tensor:
    """The rows (B, C) of a table (K, C) at labels (B,); label -1 gives the mean row, which is appended as the last."""
    return torch.cat([table, table.mean(0, keepdim=True)])[y]


class Layers(nn.Sequential, Labelled):
    """A sequence of layers; those that are `Labelled` are called with the labels too."""

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
    """The last layer of a generator: tanh, computed in at least float32."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(upcast(x))


class Trunk(nn.Sequential):
    """A critic without its linear heads: images (B, C, H, W) -> (B, features), the last activation included."""

    def __init__(self, *layers: nn.Module, features: int) -> None:
        super().__init__(*layers)
        self.features = features
