"""A convolution by fewer products is the convolution, and so are its gradients."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from gan_core.ops.winograd import WIDTHS, Product, convolve


def columns(x):
    """Sequences (B, C, L) as the columns of a map (1, C, L, B)."""
    return x.permute(1, 2, 0).unsqueeze(0)


def plain(x, weight, bias):
    return columns(functional.conv1d(x, weight, bias, padding=weight.shape[2] // 2))


def numbers(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("length", [1, 3, 4, 5, 8, 30, 32])
def test_it_is_the_convolution_at_any_length(width, length):
    x, weight, bias = numbers(3, 5, length), numbers(4, 5, width), numbers(4)
    torch.testing.assert_close(convolve(columns(x), weight, bias), plain(x, weight, bias))
    torch.testing.assert_close(convolve(columns(x), weight, None), plain(x, weight, None))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("length", [4, 6])
def test_its_first_and_second_gradients(width, length):
    x, weight, bias = numbers(2, 2, length), numbers(3, 2, width), numbers(3)

    def ours(x, weight, bias):
        return convolve(columns(x), weight, bias)

    assert gradcheck(ours, (x, weight, bias)) and gradgradcheck(ours, (x, weight, bias))


@pytest.mark.parametrize("turn_a", [False, True])
@pytest.mark.parametrize("turn_b", [False, True])
def test_a_product_of_turned_matrices_and_its_gradients(turn_a, turn_b):
    a, b = numbers(2, *((3, 4) if turn_a else (4, 3))), numbers(2, *((5, 3) if turn_b else (3, 5)))

    def ours(a, b):
        return Product.apply(a, b, turn_a, turn_b)

    torch.testing.assert_close(ours(a, b), (a.mT if turn_a else a) @ (b.mT if turn_b else b))
    assert gradcheck(ours, (a, b)) and gradgradcheck(ours, (a, b))


@pytest.mark.parametrize("width", WIDTHS)
def test_in_float32_it_is_exact_to_a_few_roundings(width):
    x, weight = (numbers(*shape).detach() for shape in ((8, 64, 32), (64, 64, width)))
    exact = plain(x, weight, None)
    for found in (convolve(columns(x.float()), weight.float(), None), plain(x.float(), weight.float(), None)):
        error = torch.linalg.vector_norm(found.double() - exact) / torch.linalg.vector_norm(exact)
        assert error < 2e-6
    # which it is not in bfloat16
    places = convolve(columns(x.bfloat16()), weight.bfloat16(), None).double()
    assert torch.linalg.vector_norm(places - exact) > 0.01 * torch.linalg.vector_norm(exact)


@pytest.mark.parametrize("width, share", [(3, 6 / 12), (5, 8 / 20)])
def test_it_takes_fewer_products_forward_and_in_each_gradient(width, share):
    x, weight = numbers(2, 16, 32), numbers(16, 16, width)
    with FlopCounterMode(display=False) as of_plain:
        functional.conv1d(x, weight)
    once = of_plain.get_total_flops() * 32 / (32 - width + 1)
    with FlopCounterMode(display=False) as counted:
        out = convolve(columns(x), weight, None)
        slopes = torch.autograd.grad(out.square().sum(), x, create_graph=True)[0]  # forward, by input
        slopes.square().sum().backward()  # by input and by weight of the first; and once more of both
    passes = counted.get_total_flops() / (share * once)
    assert passes == pytest.approx(round(passes)) and passes <= 8
