"""Every penalty against a formula in numpy, for ranks 2, 3 and 4; and the traps of gradient penalties.

The critic is D(v) = b . v + c ||v||^2 / 2, whose gradient at v is b + c v.
"""

import numpy as np
import pytest
import torch
from torch import nn

import gan_core.parts.penalties
from gan_core.networks.critic import judge, judge_both
from gan_core.parts.base import REGISTRY, Penalty
from gan_core.parts.penalties import gradient_norms
from gan_core.sample import Sample, Verdict

SHAPES = [(5, 6), (5, 3, 4), (5, 2, 3, 4)]


class Quadratic(nn.Module):
    def __init__(self, shape, c=0.7):
        super().__init__()
        self.b = nn.Parameter(torch.randn(shape, dtype=torch.float64))
        self.c = nn.Parameter(torch.tensor(c, dtype=torch.float64))

    def forward(self, x, y=None):
        flat = x.flatten(1)
        return flat, {"score": flat @ self.b.flatten() + self.c / 2 * flat.square().sum(1)}


def two_sided(s):
    return (s - 1) ** 2, 2 * (s - 1)


def one_sided(s):
    return np.maximum(0, s - 1) ** 2, 2 * np.maximum(0, s - 1)


def square(s):
    return s**2, 2 * s


def half_square(s):
    return s**2 / 2, s


# name -> the price of a gradient norm and its derivative, and the points, given x, g and a source of the same numbers
EXPECTED = {
    "gp": (two_sided, lambda x, g, u: u(x.shape[0], *[1] * (x.ndim - 1)) * (x - g) + g),
    "lp": (one_sided, lambda x, g, u: u(x.shape[0], *[1] * (x.ndim - 1)) * (x - g) + g),
    "zero-gp": (square, lambda x, g, u: u(x.shape[0], *[1] * (x.ndim - 1)) * (x - g) + g),
    "dragan": (two_sided, lambda x, g, u: x + 0.5 * x.std(ddof=1) * u(*x.shape)),
    "r1": (half_square, lambda x, g, u: x),
    "r2": (half_square, lambda x, g, u: g),
}


def drawn(*shape):
    return torch.rand(*shape, dtype=torch.float64).numpy()


def pair(shape):
    return Sample(torch.randn(shape, dtype=torch.float64)), Sample(torch.randn(shape, dtype=torch.float64) * 0.5)


def test_every_shipped_penalty_has_an_expected_value():
    shipped = {
        n for n, p in REGISTRY.items() if issubclass(p, Penalty) and p.__module__ == gan_core.parts.penalties.__name__
    }
    assert shipped == set(EXPECTED)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", EXPECTED)
def test_value_and_gradient(name, shape):
    price, points = EXPECTED[name]
    real, fake = pair(shape)
    critic = Quadratic(shape[1:])
    penalty = REGISTRY[name](weight=3.0, every=4)
    torch.manual_seed(5)
    value, found = penalty.measured(critic, judge(critic, real), judge(critic, fake))
    by_b, by_c = torch.autograd.grad(value, [critic.b, critic.c])

    torch.manual_seed(5)
    v = points(real.x.numpy(), fake.x.numpy(), drawn).reshape(len(real), -1)
    b, c = critic.b.detach().numpy().ravel(), float(critic.c.detach())
    g = b + c * v
    s = np.linalg.norm(g, axis=1)
    cost, norm = price(s)
    factor = 3.0 * 4 / len(s) * norm / s
    assert float(value.detach()) == pytest.approx(3.0 * 4 * cost.mean(), rel=1e-12)
    np.testing.assert_allclose(by_b.numpy().ravel(), (factor[:, None] * g).sum(0), rtol=1e-10, atol=1e-12)
    assert float(by_c) == pytest.approx(float((factor * (g * v).sum(1)).sum()), rel=1e-10)
    assert float(found["gradient_norm"]) == pytest.approx(s.mean(), rel=1e-6)


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_a_gradient_that_came_with_the_verdict_gives_the_same(name):
    real, fake = pair((4, 3, 5))
    critic = Quadratic((3, 5))
    penalty = REGISTRY[name](weight=2.0)
    apart = penalty(critic, judge(critic, real), judge(critic, fake))
    together = penalty(critic, *judge_both(critic, real, fake, frozenset({"real", "fake"})))
    assert float(apart.detach()) == pytest.approx(float(together.detach()), rel=1e-14)
    for a, b in zip(
        torch.autograd.grad(apart, critic.parameters()), torch.autograd.grad(together, critic.parameters()), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [*SHAPES, (1, 6), (64, 3, 4)])
@pytest.mark.parametrize("name", ["gp", "lp", "dragan"])
def test_a_linear_critic_of_gradient_norm_one_costs_nothing(name, shape):
    """Trap 1: the norm is over everything but the batch, per sample."""
    critic = Quadratic(shape[1:], c=0.0)
    with torch.no_grad():
        critic.b /= critic.b.norm()
    real, fake = pair(shape)
    assert float(REGISTRY[name]()(critic, judge(critic, real), judge(critic, fake)).detach()) < 1e-24
    gradient = judge(critic, real, gradient=True).gradient
    faulty = {  # what ports compute: the norm over one axis, or over the batch
        "one axis": (gradient.norm(dim=1) - 1).square().mean(),
        "whole batch": (gradient.norm() - 1).square(),
    }
    assert float(faulty["one axis"].detach()) > 1e-3 or len(shape) == 2
    assert float(faulty["whole batch"].detach()) > 1e-3 or shape[0] == 1


@pytest.mark.parametrize("norm", [0.25, 3.0])
def test_closed_forms_of_a_linear_critic(norm):
    critic = Quadratic((8,), c=0.0)
    with torch.no_grad():
        critic.b *= norm / critic.b.norm()
    real, fake = pair((6, 8))
    expected = {
        "gp": (norm - 1) ** 2, "lp": max(0, norm - 1) ** 2, "dragan": (norm - 1) ** 2,
        "zero-gp": norm**2, "r1": norm**2 / 2, "r2": norm**2 / 2,
    }  # fmt: skip
    for name, cost in expected.items():
        value = REGISTRY[name](weight=1.0)(critic, judge(critic, real), judge(critic, fake))
        assert float(value.detach()) == pytest.approx(cost, abs=1e-12), name


@pytest.mark.parametrize("name", EXPECTED)
def test_the_penalty_does_not_depend_on_the_batch_size(name):
    """Trap 3: a critic that returned the batch mean would have gradients of 1/B."""
    critic = Quadratic((8,), c=0.0)
    costs = []
    for size in (1, 4, 32):
        real, fake = pair((size, 8))
        if size == 1 and name == "dragan":
            real = Sample(real.x.repeat(2, 1))
        costs.append(float(REGISTRY[name]()(critic, judge(critic, real), judge(critic, fake)).detach()))
    np.testing.assert_allclose(costs, costs[0], rtol=1e-12)

    def mean_critic(x):  # the faulty one
        features, heads = critic(x)
        return features, {"score": heads["score"].mean().expand(1)}

    x = torch.randn(32, 8, dtype=torch.float64, requires_grad=True)
    (faulty,) = torch.autograd.grad(mean_critic(x)[1]["score"].sum(), x)
    torch.testing.assert_close(faulty * 32, critic.b.detach().expand(32, 8))


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1))
        for parameter in self.net.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x, y=None):
        return x, {"score": self.net(x).squeeze(1)}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_flat_critic_has_finite_costs_and_gradients(name):
    """Trap 5: d sqrt(q) / d q is infinite at 0."""
    critic = Flat()
    real, fake = Sample(torch.randn(4, 6)), Sample(torch.randn(4, 6))
    value = REGISTRY[name]()(critic, judge(critic, real), judge(critic, fake))
    value.backward()
    assert torch.isfinite(value)
    assert all(torch.isfinite(p.grad).all() for p in critic.parameters() if p.grad is not None)

    for parameter in critic.parameters():
        parameter.grad = None
    gradient = judge(critic, real, gradient=True).gradient
    faulty = (gradient.flatten(1).square().sum(1).sqrt() - 1).square().mean()
    faulty.backward()
    assert not all(torch.isfinite(p.grad).all() for p in critic.parameters() if p.grad is not None)


def test_gradient_norms_at_zero_and_elsewhere():
    g = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    s = gradient_norms(g)
    assert s.tolist() == [0.0, 5.0]
    (by_g,) = torch.autograd.grad(s.sum(), g)
    torch.testing.assert_close(by_g, torch.tensor([[0.0, 0.0], [0.6, 0.8]], dtype=torch.float64))


def test_interpolates_draw_one_number_per_sample_and_cover_the_segment():
    class Watch(nn.Module):
        def forward(self, x, y=None):
            self.seen = (
                torch.func.debug_unwrap(x).clone() if hasattr(torch.func, "debug_unwrap") else x.detach().clone()
            )
            return x, {"score": x.flatten(1).sum(1)}

    critic = Watch()
    real, fake = Sample(torch.ones(2000, 3, 4)), Sample(torch.zeros(2000, 3, 4))
    REGISTRY["gp"]()(critic, judge(critic, real), judge(critic, fake))
    e = critic.seen.flatten(1)
    assert (e == e[:, :1]).all()
    assert e.min() >= 0 and e.max() <= 1 and abs(float(e.mean()) - 0.5) < 0.03 and abs(float(e.std()) - 0.2887) < 0.02


def test_dragan_looks_per_sample():
    """Trap 19: DRAGAN's norm in popular ports is per pixel."""
    critic = Quadratic((3, 4), c=0.0)
    real, fake = pair((5, 3, 4))
    value = REGISTRY["dragan"](weight=1.0)(critic, judge(critic, real), judge(critic, fake))
    norm = float(critic.b.detach().norm())
    assert float(value.detach()) == pytest.approx((norm - 1) ** 2, rel=1e-12)
    per_pixel = (judge(critic, real, gradient=True).gradient.abs() - 1).square().mean()
    assert abs(float(per_pixel.detach()) - (norm - 1) ** 2) > 0.1


def test_the_verdict_needs_no_graph_for_the_penalty_to_have_one():
    critic = Quadratic((4,))
    real, fake = pair((3, 4))
    value = REGISTRY["gp"]()(critic, Verdict(real, real.x), Verdict(fake, fake.x))
    assert value.requires_grad
