"""Every loss against a formula written in numpy, in float64: its value, and its gradient by both scores."""

import numpy as np
import pytest
import torch

import gan_core.parts.losses
from gan_core.parts.base import REGISTRY, Loss
from gan_core.parts.losses import pulling_away
from gan_core.sample import Sample, Verdict

N = 7


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


# name -> options, critic(r, f) -> (value, d/dr, d/df), generator(r, f) -> (value, d/dr, d/df); r, f are scores (N,).
NONE = np.zeros(N)
EXPECTED = {
    "nonsaturating": (
        {},
        lambda r, f: ((softplus(-r) + softplus(f)).mean(), -sigmoid(-r) / N, sigmoid(f) / N),
        lambda r, f: (softplus(-f).mean(), NONE, -sigmoid(-f) / N),
    ),
    "minimax": (
        {},
        lambda r, f: ((softplus(-r) + softplus(f)).mean(), -sigmoid(-r) / N, sigmoid(f) / N),
        lambda r, f: (np.log(1 - sigmoid(f)).mean(), NONE, -sigmoid(f) / N),
    ),
    "lsgan": (
        {"a": -1.0, "b": 0.9, "c": 0.2},
        lambda r, f: (((r - 0.9) ** 2 / 2 + (f + 1) ** 2 / 2).mean(), (r - 0.9) / N, (f + 1) / N),
        lambda r, f: (((f - 0.2) ** 2 / 2).mean(), NONE, (f - 0.2) / N),
    ),
    "hinge": (
        {},
        lambda r, f: ((np.maximum(0, 1 - r) + np.maximum(0, 1 + f)).mean(), -1.0 * (r < 1) / N, (f > -1) / N),
        lambda r, f: (-f.mean(), NONE, -np.ones(N) / N),
    ),
    "wasserstein": (
        {},
        lambda r, f: (f.mean() - r.mean(), -np.ones(N) / N, np.ones(N) / N),
        lambda r, f: (-f.mean(), NONE, -np.ones(N) / N),
    ),
    "relativistic": (
        {},
        lambda r, f: (softplus(f - r).mean(), -sigmoid(f - r) / N, sigmoid(f - r) / N),
        lambda r, f: (softplus(r - f).mean(), sigmoid(r - f) / N, -sigmoid(r - f) / N),
    ),
    "began": (
        {"gamma": 0.4},
        lambda r, f: (r.mean() - 0.25 * f.mean(), np.ones(N) / N, -0.25 * np.ones(N) / N),
        lambda r, f: (f.mean(), NONE, np.ones(N) / N),
    ),
    "ebgan": (
        {"margin": 0.8, "pt": 0.0},
        lambda r, f: ((r + np.maximum(0, 0.8 - f)).mean(), np.ones(N) / N, -1.0 * (f < 0.8) / N),
        lambda r, f: (f.mean(), NONE, np.ones(N) / N),
    ),
}


def verdict(scores, features=None):
    scores = torch.as_tensor(scores, dtype=torch.float64).requires_grad_()
    features = torch.zeros(len(scores), 2, dtype=torch.float64) if features is None else features
    return Verdict(Sample(torch.zeros(len(scores), 3)), features, {"score": scores})


def shipped_losses():
    return [
        n
        for n, part in REGISTRY.items()
        if issubclass(part, Loss) and part.__module__ == gan_core.parts.losses.__name__
    ]


def test_every_shipped_loss_has_an_expected_value():
    assert set(shipped_losses()) == set(EXPECTED)


@pytest.mark.parametrize("side", ["critic", "generator"])
@pytest.mark.parametrize("name", EXPECTED)
def test_value_and_gradient(name, side):
    options, *sides = EXPECTED[name]
    rng = np.random.default_rng(1)
    r, f = rng.normal(size=N) * 2, rng.normal(size=N) * 2
    loss = REGISTRY[name](**options)
    if name == "began":
        loss.k.fill_(0.25)
    real, fake = verdict(r), verdict(f)
    value = getattr(loss, side)(real, fake)
    expected, by_real, by_fake = sides[side == "generator"](r, f)
    assert value.shape == ()
    assert float(value.detach()) == pytest.approx(expected, rel=1e-12)
    grads = torch.autograd.grad(value, [real.score, fake.score], allow_unused=True)
    for grad, want in zip(grads, (by_real, by_fake), strict=True):
        np.testing.assert_allclose(0 if grad is None else grad.numpy(), want, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["nonsaturating", "minimax", "relativistic"])
def test_logits_far_from_zero_stay_finite(name):
    """Trap 10: sigmoid followed by log(p + 1e-8) is flat and wrong there; softplus of logits is not."""
    loss = REGISTRY[name]()
    real, fake = verdict([-200.0] * N), verdict([200.0] * N)
    value = loss.critic(real, fake)
    slopes = torch.autograd.grad(value, [real.score, fake.score])
    assert float(value.detach()) == pytest.approx(400.0)
    assert all(abs(float(s.abs().sum()) - 1) < 1e-12 for s in slopes)
    faulty = -(torch.log(torch.sigmoid(real.score.float()) + 1e-8)).mean()
    assert float(faulty.detach()) < 20  # the faulty version saturates at -log(1e-8)


def test_lsgan_carries_its_halves():
    """Trap 9."""
    real, fake = verdict([3.0] * N), verdict([2.0] * N)
    assert float(REGISTRY["lsgan"]().critic(real, fake).detach()) == 0.5 * 4 + 0.5 * 4
    assert float(REGISTRY["lsgan"]().generator(None, fake).detach()) == 0.5


def test_relativistic_needs_both_sides_and_began_state():
    """Trap 8."""
    assert REGISTRY["relativistic"]().needs(0).reals
    assert set(REGISTRY["began"]().state_dict()) == {"k", "m_global"}


def test_energies_are_of_the_power_asked_for():
    assert [REGISTRY["began"](norm=n).needs(0).score for n in (1, 2)] == ["absolute error", "squared error"]
    assert REGISTRY["ebgan"]().needs(0).score == "squared error"
    assert {REGISTRY[name]().needs(0).score for name in EXPECTED if name not in ("began", "ebgan")} == {"linear"}


def test_began_controller_moves_as_the_formula_says():
    loss = REGISTRY["began"](gamma=0.5, rate=0.01)
    k = 0.0
    rng = np.random.default_rng(0)
    for _ in range(50):
        r, f = rng.uniform(0, 2, N), rng.uniform(0, 1, N)
        loss.observe(verdict(r), verdict(f))
        k = float(np.clip(k + 0.01 * (0.5 * r.mean() - f.mean()), 0, 1))
        assert float(loss.k) == pytest.approx(k, abs=1e-6)
        assert float(loss.m_global) == pytest.approx(r.mean() + abs(0.5 * r.mean() - f.mean()), rel=1e-6)
    loss.observe(verdict([1000.0] * N), verdict([0.0] * N))
    assert float(loss.k) == 1.0
    loss.observe(verdict([0.0] * N), verdict([1000.0] * N))
    assert float(loss.k) == 0.0


def test_pulling_away_is_the_mean_squared_cosine_of_different_samples():
    features = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    s = features.detach().numpy()
    cosines = [
        (s[i] @ s[j] / np.linalg.norm(s[i]) / np.linalg.norm(s[j])) ** 2 for i in range(5) for j in range(5) if i != j
    ]
    assert float(pulling_away(features).detach()) == pytest.approx(np.mean(cosines), rel=1e-12)
    assert torch.autograd.gradcheck(
        lambda x: pulling_away(x), features.detach().clone().requires_grad_(), eps=1e-6, atol=1e-8
    )
    loss = REGISTRY["ebgan"](pt=0.1)
    fake = verdict([0.3] * 5, features)
    assert float(loss.generator(None, fake).detach()) == pytest.approx(0.3 + 0.1 * np.mean(cosines), rel=1e-12)
