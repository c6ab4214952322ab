"""Our convolutions are PyTorch's, and so are all of their gradients."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from gan_core.ops.convolution import Conv2d, DoublingConv2d, Halve, HalvingConv2d, convolved, halved, transposed


def numbers(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


SIZES = [((5, 6), (3, 3), (1, 1), (1, 1)), ((6, 7), (4, 4), (2, 2), (1, 1)), ((1, 7), (1, 5), (1, 1), (0, 2))]


@pytest.mark.parametrize("size, kernel, stride, padding", SIZES)
def test_a_convolution_and_its_first_and_second_gradients(size, kernel, stride, padding):
    torch.manual_seed(0)
    x, weight, bias = numbers(2, 2, *size), numbers(3, 2, *kernel), numbers(3)
    expected = functional.conv2d(x, weight, bias, stride, padding)
    torch.testing.assert_close(convolved(x, weight, bias, stride, padding), expected)

    def ours(x, weight, bias):
        return convolved(x, weight, bias, stride, padding)

    assert gradcheck(ours, (x, weight, bias)) and gradgradcheck(ours, (x, weight, bias))


@pytest.mark.parametrize("size, kernel, stride, padding", SIZES)
def test_its_transpose_and_its_first_and_second_gradients(size, kernel, stride, padding):
    torch.manual_seed(0)
    x, weight, bias = torch.zeros(2, 2, *size), numbers(3, 2, *kernel), numbers(2)
    g = numbers(*functional.conv2d(x.double(), weight, None, stride, padding).shape)
    values = torch.autograd.functional.vjp(
        lambda x: functional.conv2d(x, weight, None, stride, padding), x.double(), g, strict=False
    )[1]

    def ours(g, weight, bias):
        return transposed(g, weight, bias, x.shape, stride, padding)

    torch.testing.assert_close(ours(g, weight, bias), values + bias.view(-1, 1, 1))
    assert gradcheck(ours, (g, weight, bias)) and gradgradcheck(ours, (g, weight, bias))


def test_means_of_squares_and_their_gradients():
    x = numbers(2, 3, 4, 6)
    torch.testing.assert_close(halved(x), functional.avg_pool2d(x, 2))
    torch.testing.assert_close(Halve()(x), functional.avg_pool2d(x, 2))
    assert gradcheck(halved, x) and gradgradcheck(halved, x)


@pytest.mark.parametrize("compiling", [False, True])
def test_a_resampling_and_a_convolution_are_one(compiling, monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    x = numbers(2, 3, 4, 6)
    for make, reference in (
        (HalvingConv2d, lambda conv: nn.Sequential(conv, nn.AvgPool2d(2))),
        (DoublingConv2d, lambda conv: nn.Sequential(nn.Upsample(scale_factor=2), conv)),
        (Conv2d, lambda conv: conv),
    ):
        ours, plain = make(3, 5, 3, padding=1).double(), nn.Conv2d(3, 5, 3, padding=1).double()
        plain.load_state_dict(ours.state_dict())  # the weight is that of the 3x3 convolution
        out, expected = ours(x), reference(plain)(x)
        torch.testing.assert_close(out, expected)
        out.square().sum().backward()
        expected.square().sum().backward()
        for mine, its in zip(ours.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, its.grad)


def test_in_bf16_biases_have_wide_gradients(monkeypatch):
    """Sums over a batch and its places stay wide."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    conv, x = Conv2d(2, 3, 3, padding=1), torch.randn(8, 2, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(x)
    assert out.dtype == torch.bfloat16
    out.backward(torch.full_like(out, 1 + 2**-7))  # which bf16 has, but not 2048 times it, added up one by one
    assert torch.equal(conv.bias.grad, torch.full((3,), (1 + 2**-7) * 8 * 256))


def penalised(net, x):
    """The gradients by a network's weights of a sum of scores and of a gradient penalty."""

    def loss(weights):
        def scores(x):
            return torch.func.functional_call(net, weights, (x,)).flatten(1).sum(1)

        slopes = torch.func.grad(lambda x: scores(x).sum())(x).flatten(1).norm(dim=1)
        return scores(x).mean() + (slopes - 1).square().mean()

    return torch.func.grad(loss)({name: value.detach() for name, value in net.named_parameters()})


def test_a_gradient_within_a_gradient_compiled_is_the_same():
    """Trap: torch.compile looks into a Function and has, without a word, other gradients where they are nested."""
    torch.manual_seed(0)
    layers = [HalvingConv2d(2, 4, 3, padding=1), Conv2d(4, 4, 4, 2, 1), DoublingConv2d(4, 2, 3, padding=1), Halve()]
    net = nn.Sequential(*[part for layer in layers for part in (nn.Softplus(), layer)])
    x = torch.randn(3, 2, 8, 8)
    torch._dynamo.reset()
    compiled = torch.compile(penalised, fullgraph=True, backend="aot_eager")(net, x)
    for name, expected in penalised(net, x).items():
        torch.testing.assert_close(compiled[name], expected, rtol=1e-4, atol=1e-5)


def test_second_gradients_cost_no_convolution_by_a_kernel_as_large_as_the_maps(monkeypatch):
    """Trap: PyTorch's own, which takes several times as long; the fixed kernels are at most 4 wide."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    seen = []

    class Kernels(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func.overloadpacket is torch.ops.aten.convolution:
                seen.append(max(args[1].shape[2:]))
            return func(*args, **(kwargs or {}))

    net = nn.Sequential(Conv2d(2, 4, 3, padding=1), nn.Softplus(), Halve())
    with Kernels():
        penalised(net, torch.randn(3, 2, 8, 8))
    assert seen and max(seen) == 3
