"""Definitions of published networks that were trained on ImageNet; their weights are read from files.

Both map uint8 images (B, C, H, W), C = 1 or 3, to features (B, D) and logits (B, K), and preprocess images as their
authors' evaluation does. The modules' names are those in the files of weights.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size = int | tuple[int, int]


class Conv(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


def mean3(x: Tensor) -> Tensor:
    """3x3 mean pooling that counts only pixels inside the image, as TensorFlow does; PyTorch's default differs."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def max3(x: Tensor) -> Tensor:
    """3x3 max pooling."""
    return F.max_pool2d(x, 3, 1, 1)


class BlockA(nn.Module):
    """A block at 35x35 pixels with four branches: 1x1, 5x5, two 3x3, and pooling."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(inputs, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = Conv(inputs, 48, 1), Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(inputs, 64, 1), Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, padding=1)
        self.branch_pool = Conv(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(mean3(x))], 1)


class BlockB(nn.Module):
    """A block from 35x35 to 17x17 pixels."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Conv(inputs, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(inputs, 64, 1), Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class BlockC(nn.Module):
    """A block at 17x17 pixels with four branches: 1x1, 7x7 and two 7x7 factored into 1x7 and 7x1, and pooling."""

    def __init__(self, inputs: int, c: int) -> None:
        super().__init__()
        row: dict[str, Size] = dict(kernel=(1, 7), padding=(0, 3))
        column: dict[str, Size] = dict(kernel=(7, 1), padding=(3, 0))
        self.branch1x1 = Conv(inputs, 192, 1)
        self.branch7x7_1, self.branch7x7_2, self.branch7x7_3 = (
            Conv(inputs, c, 1),
            Conv(c, c, **row),
            Conv(c, 192, **column),
        )
        self.branch7x7dbl_1, self.branch7x7dbl_2 = Conv(inputs, c, 1), Conv(c, c, **column)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = Conv(c, c, **row), Conv(c, c, **column)
        self.branch7x7dbl_5 = Conv(c, 192, **row)
        self.branch_pool = Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(mean3(x))], 1)


class BlockD(nn.Module):
    """A block from 17x17 to 8x8 pixels."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Conv(inputs, 192, 1), Conv(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = Conv(inputs, 192, 1), Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3, self.branch7x7x3_4 = Conv(192, 192, (7, 1), padding=(3, 0)), Conv(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], 1)


class BlockE(nn.Module):
    """A block at 8x8 pixels with four branches: 1x1, a forked 3x3, a 3x3 followed by a fork, and pooling by `pool`."""

    def __init__(self, inputs: int, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = Conv(inputs, 320, 1)
        self.branch3x3_1, self.branch3x3dbl_1 = Conv(inputs, 384, 1), Conv(inputs, 448, 1)
        self.branch3x3_2a, self.branch3x3dbl_3a = (Conv(384, 384, (1, 3), padding=(0, 1)) for _ in range(2))
        self.branch3x3_2b, self.branch3x3dbl_3b = (Conv(384, 384, (3, 1), padding=(1, 0)) for _ in range(2))
        self.branch3x3dbl_2 = Conv(448, 384, 3, padding=1)
        self.branch_pool = Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        three, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        forks = [self.branch3x3_2a(three), self.branch3x3_2b(three)]
        forks += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        return torch.cat([self.branch1x1(x), *forks, self.branch_pool(self.pool(x))], 1)


class Inception(nn.Module):
    """FID's Inception-v3: Szegedy et al. 2015 (arXiv 1512.00567), as in TensorFlow's graph of 2015-12-05.

    It differs from the Inception-v3 of model zoos in three points: the mean pooling of blocks A, C and the first E
    counts only pixels inside the image, the last E has max pooling, and there are 1,008 outputs. The features are the
    means over the last 8x8 pixels, 2048-d. The logits have no bias, as in the code of the Inception Score.

    Images are resized to 299x299 by bilinear interpolation without antialiasing and with half-pixel centres, as in
    pytorch-fid. The graph of 2015 aligned the corners of pixels instead, which changes scores slightly. The values are
    then scaled to [-1, 1]; grey images are repeated to three channels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Conv(3, 32, 3, 2), Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = Conv(64, 80, 1), Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = BlockA(192, 32), BlockA(256, 64), BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (BlockC(768, c) for c in (128, 160, 160, 192))
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b, self.Mixed_7c = BlockE(1280, mean3), BlockE(2048, max3)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = 2 * resized(images, 299) / 255 - 1
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        features = x.mean((2, 3))
        return features, F.linear(features, self.fc.weight)


class SameConv(nn.Conv2d):
    """A convolution without bias whose output has ceil(size / stride) pixels a side.

    The padding is TensorFlow's "SAME": if it cannot be equal, the right and the bottom get one pixel more.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size in (x.shape[3], x.shape[2]):
            total = max(0, (-(-size // self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - size)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads))


class Bottleneck(nn.Module):
    """A 1x1 expansion, a depthwise convolution and a 1x1 projection; with a shortcut if the shape is kept."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = inputs * expand
        self.expands, self.shortcut = expand > 1, stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv, self._bn0 = SameConv(inputs, hidden, 1), nn.BatchNorm2d(hidden, eps=1e-3)
        self._depthwise_conv, self._bn1 = (
            SameConv(hidden, hidden, kernel, stride, groups=hidden), nn.BatchNorm2d(hidden, eps=1e-3)
        )  # fmt: skip
        self._project_conv, self._bn2 = SameConv(hidden, outputs, 1), nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0: Tan and Le 2019 (arXiv 1905.11946), without squeeze-and-excitation, with ReLU6.

    The features are the means over the last 7x7 pixels, 1280-d. Images are resized to 224x224 by bilinear
    interpolation and scaled as (x - 127) / 128; grey images are repeated to three channels.
    """

    # (number of blocks, output channels, kernel, stride of the first block, expansion)
    STAGES = (
        (1, 16, 3, 1, 1), (2, 24, 3, 2, 6), (2, 40, 5, 2, 6), (3, 80, 3, 2, 6), (3, 112, 5, 1, 6), (4, 192, 5, 2, 6),
        (1, 320, 3, 1, 6),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, 2), nn.BatchNorm2d(32, eps=1e-3)
        blocks, inputs = [], 32
        for count, outputs, kernel, stride, expand in self.STAGES:
            for i in range(count):
                blocks.append(Bottleneck(inputs, outputs, kernel, 1 if i else stride, expand))
                inputs = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head, self._bn1 = SameConv(320, 1280, 1), nn.BatchNorm2d(1280, eps=1e-3)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = (resized(images, 224) - 127) / 128
        x = self._blocks(F.relu6(self._bn0(self._conv_stem(x))))
        features = F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))
        return features, self._fc(features)


def resized(images: Tensor, size: int) -> Tensor:
    """Resize uint8 images (B, 1 or 3, H, W) to float32 (B, 3, size, size) in [0, 255]."""
    x = images.float().expand(-1, 3, -1, -1)
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False)
