"""Convolutions and 2x2 means with cheap second derivatives, which a gradient penalty needs.

A convolution is bilinear in its input and its weight. Its gradients by the input and by the weight are bilinear too,
and the gradients of those are the same three operations again. PyTorch uses these three for the first derivative only:
for the second derivative it computes a weight gradient as a convolution with a kernel as large as the feature maps,
and backpropagates zeros through a mean.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from gan_core.ops.precision import downcast

Pair = tuple[int, ...]  # (height, width); torch.nn types strides and paddings this way


def by_bias(g: Tensor, bias: Tensor) -> Tensor:
    """The gradient by a bias (C,), given the gradient g (B, C, H, W) of the output; accumulated in the bias's dtype."""
    return g.sum((0, 2, 3), dtype=bias.dtype)


class Convolved(Function):
    """(x, weight, bias) -> the convolution. The bias (or None) affects no gradient but its own."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
        return functional.conv2d(x, weight, None if bias is None else bias.to(x.dtype), stride, padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, weight, bias, *ctx.how = inputs
        ctx.save_for_backward(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        x, weight, bias = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        by_x = ByInput.apply(g, weight, None, x.shape, *ctx.how) if wanted[0] else None
        by_weight = ByWeight.apply(g, x, weight.shape, *ctx.how) if wanted[1] else None
        return by_x, by_weight, by_bias(g, bias) if wanted[2] else None, None, None


class ByInput(Function):
    """(g, weight, bias) -> the convolution's gradient by its input: a transposed convolution, bias optional."""

    @staticmethod
    def forward(
        g: Tensor, weight: Tensor, bias: Tensor | None, shape: torch.Size, stride: Pair, padding: Pair
    ) -> Tensor:
        # With stride 2 the last row and column of an odd-sized input may contribute to no output.
        more = [
            n - (out - 1) * s + 2 * p - k
            for n, out, s, p, k in zip(shape[2:], g.shape[2:], stride, padding, weight.shape[2:], strict=True)
        ]
        return functional.conv_transpose2d(g, weight, None if bias is None else bias.to(g.dtype), stride, padding, more)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        g, weight, bias, _, *ctx.how = inputs
        ctx.save_for_backward(g, weight, bias)

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple:
        g, weight, bias = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        by_g = Convolved.apply(h, weight, None, *ctx.how) if wanted[0] else None
        by_weight = ByWeight.apply(g, h, weight.shape, *ctx.how) if wanted[1] else None
        return by_g, by_weight, by_bias(h, bias) if wanted[2] else None, None, None, None


class ByWeight(Function):
    """(g, x) -> the convolution's gradient by its weight."""

    @staticmethod
    def forward(g: Tensor, x: Tensor, shape: torch.Size, stride: Pair, padding: Pair) -> Tensor:
        _, channels, height, width = shape
        together = (height * width * channels, 1, width * channels, channels)
        like = torch.empty_strided(shape, together, dtype=g.dtype, device=g.device)
        return torch.ops.aten.convolution_backward(
            g, x, like, None, list(stride), list(padding), [1, 1], False, [0, 0], 1, [False, True, False]
        )[1]  # fmt: skip

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        g, x, _, *ctx.how = inputs
        ctx.save_for_backward(g, x)

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple:
        g, x = ctx.saved_tensors
        by_g = Convolved.apply(x, h, None, *ctx.how) if ctx.needs_input_grad[0] else None
        by_x = ByInput.apply(g, h, None, x.shape, *ctx.how) if ctx.needs_input_grad[1] else None
        return by_g, by_x, None, None, None


class Halved(Function):
    """Average pooling over 2x2 blocks: (B, C, H, W) -> (B, C, H / 2, W / 2)."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None: ...

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return Spread.apply(g)


class Spread(Function):
    """The transpose of `Halved`: writes a quarter of each value to all four places of its 2x2 block."""

    @staticmethod
    def forward(g: Tensor) -> Tensor:
        return functional.interpolate(g, scale_factor=2.0) / 4

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None: ...

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> Tensor:
        return Halved.apply(h)


# torch.compile computes wrong nested gradients if it traces into an autograd.Function. allow_in_graph keeps it from
# doing so: it compiles the operations that the Function executes.
@torch.compiler.allow_in_graph
def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
    """Apply `Convolved`, as one node for torch.compile."""
    return Convolved.apply(x, weight, bias, stride, padding)


@torch.compiler.allow_in_graph
def transposed(
    g: Tensor, weight: Tensor, bias: Tensor | None, shape: torch.Size, stride: Pair, padding: Pair
) -> Tensor:
    """Apply `ByInput`, as one node for torch.compile."""
    return ByInput.apply(g, weight, bias, shape, stride, padding)


@torch.compiler.allow_in_graph
def halved(x: Tensor) -> Tensor:
    """Apply `Halved`, as one node for torch.compile."""
    return Halved.apply(x)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
    """torch.nn.functional.conv2d with one group: x (B, C, H, W), weight (C', C, K, K'), bias (C',)."""
    if not torch.compiler.is_compiling():
        return functional.conv2d(x, weight, bias, stride, padding)
    return convolved(*downcast(x, weight), bias, stride, padding)


class Conv2d(nn.Conv2d):
    """A convolution with one group and any stride."""

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.padding, tuple)
        return convolve(x, self.weight, self.bias, self.stride, self.padding)


class Halve(nn.Module):
    """Average pooling over 2x2 blocks: (B, C, H, W) -> (B, C, H / 2, W / 2)."""

    def forward(self, x: Tensor) -> Tensor:
        return halved(x) if torch.compiler.is_compiling() else functional.avg_pool2d(x, 2)


def over_squares(weight: Tensor) -> Tensor:
    """The sum of a 3x3 kernel's four shifts within a 4x4 kernel: (C', C, 3, 3) -> (C', C, 4, 4)."""
    rows = functional.pad(weight, (0, 0, 0, 1)) + functional.pad(weight, (0, 0, 1, 0))
    return functional.pad(rows, (0, 1)) + functional.pad(rows, (1, 0))


class HalvingConv2d(Conv2d):
    """A 3x3 convolution followed by average pooling over 2x2 blocks: (B, C, H, W) -> (B, C', H / 2, W / 2).

    Both are computed as one 4x4 convolution of stride 2, which takes 16 products per output value instead of 36.
    """

    def forward(self, x: Tensor) -> Tensor:
        return convolve(x, over_squares(self.weight) / 4, self.bias, (2, 2), (1, 1))


class DoublingConv2d(Conv2d):
    """Nearest-neighbour upsampling by 2 followed by a 3x3 convolution: (B, C, H, W) -> (B, C', 2 H, 2 W).

    Both are computed as one transposed 4x4 convolution of stride 2, which takes 4 products per output value instead
    of 9.
    """

    def forward(self, x: Tensor) -> Tensor:
        spread = over_squares(self.weight.transpose(0, 1).flip(2, 3))
        if not torch.compiler.is_compiling():
            return functional.conv_transpose2d(x, spread, self.bias, (2, 2), (1, 1))
        batch, _, height, width = x.shape
        shape = torch.Size((batch, self.out_channels, 2 * height, 2 * width))
        return transposed(*downcast(x, spread), self.bias, shape, (2, 2), (1, 1))
