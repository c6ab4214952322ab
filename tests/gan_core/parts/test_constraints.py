"""Constraints against singular value decompositions and formulas, for every kind of weight."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import gan_core.parts.constraints
from gan_core.networks.weights import matrix, weighted_layers
from gan_core.parts.base import REGISTRY, Constraint


def network(dtype=torch.float64):
    return nn.ModuleDict(
        {
            "linear": nn.Linear(6, 9),
            "conv1d": nn.Conv1d(4, 5, 3),
            "conv2d": nn.Conv2d(3, 8, 3),
            "transposed": nn.ConvTranspose2d(7, 3, 2),
            "embedding": nn.Embedding(5, 6),
        }
    ).to(dtype)


def matrices(net):
    """The weights as the layers use them, (out, everything else), in numpy."""
    turned = {"transposed": (1, 0, 2, 3)}
    return {
        name: np.transpose(w := layer.weight.detach().numpy().copy(), turned.get(name, range(w.ndim))).reshape(
            w.shape[1] if name in turned else w.shape[0], -1
        )
        for name, layer in net.items()
    }


def test_these_are_all_the_constraints():
    shipped = {
        n
        for n, p in REGISTRY.items()
        if issubclass(p, Constraint) and p.__module__ == gan_core.parts.constraints.__name__
    }
    assert shipped == {"spectral", "weight-norm", "orthonormal-term", "orthonormal-projection", "clip"}


def test_matrix_of_a_transposed_convolution_has_its_outputs_in_the_rows():
    net = network()
    for name, layer in net.items():
        ours = matrix(layer.weight, name == "transposed").detach().numpy()
        np.testing.assert_array_equal(ours, matrices(net)[name])


def test_spectral_norm_divides_by_the_largest_singular_value():
    net = network()
    before = {name: np.linalg.svd(m)[1][0] for name, m in matrices(net).items()}
    raw = matrices(net)
    spectral = REGISTRY["spectral"]()
    spectral.attach(net)
    for _ in range(200):
        spectral.enforce(net)
    for name, weight in matrices(net).items():
        assert np.linalg.svd(weight)[1][0] == pytest.approx(1, abs=1e-6)
        np.testing.assert_allclose(weight, raw[name] / before[name], rtol=1e-5)


def test_spectral_norm_holds_while_training():
    net = nn.Sequential(nn.Conv1d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 6, 1))
    spectral = REGISTRY["spectral"]()
    spectral.attach(net)
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.0, 0.9))
    for _ in range(100):
        optimiser.zero_grad()
        net(torch.randn(8, 3, 8)).square().mean().backward()
        optimiser.step()
        spectral.enforce(net)
    for layer in weighted_layers(net):
        assert torch.linalg.svdvals(matrix(layer.weight))[0].item() == pytest.approx(1, abs=0.01)


def test_spectral_gradient_takes_u_and_v_as_constants():
    """d/dW of <A, W / (u^T W v)> = A / s - <A, W> u v^T / s^2."""
    layer = nn.Linear(5, 4).double()
    weight = layer.weight.detach().clone()
    REGISTRY["spectral"]().attach(layer)
    u, v = (b.numpy() for b in (layer.parametrizations.weight[0].u, layer.parametrizations.weight[0].v))
    a = torch.randn(4, 5, dtype=torch.float64)
    (layer.weight * a).sum().backward()
    w = weight.numpy()
    s = u @ w @ v
    expected = a.numpy() / s - (a.numpy() * w).sum() * np.outer(u, v) / s**2
    np.testing.assert_allclose(layer.parametrizations.weight.original.grad.numpy(), expected, rtol=1e-10)


def test_reading_logging_and_averaging_leave_u_where_it_is():
    """Trap 7: torch's spectral_norm iterates on every access in training mode."""
    net = nn.Sequential(nn.Linear(6, 6))
    REGISTRY["spectral"]().attach(net)
    u = net[0].parametrizations.weight[0].u.clone()
    for _ in range(5):
        net[0].weight.norm()
        net(torch.randn(3, 6))
        net.state_dict()
        copy.deepcopy(net)(torch.randn(2, 6))
    assert torch.equal(u, net[0].parametrizations.weight[0].u)

    faulty = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6))
    before = faulty.parametrizations.weight[0]._u.clone()
    _ = faulty.weight.norm()
    assert not torch.equal(before, faulty.parametrizations.weight[0]._u)


def test_spectral_norm_survives_two_forward_passes_before_backward():
    net = nn.Sequential(nn.Linear(6, 1))
    spectral = REGISTRY["spectral"]()
    spectral.attach(net)
    (net(torch.randn(3, 6)).mean() + net(torch.randn(3, 6)).mean()).backward()
    spectral.enforce(net)


def test_weight_norm_is_g_times_the_direction():
    net = network()
    raw = matrices(net)
    REGISTRY["weight-norm"]().attach(net)
    for name, layer in net.items():
        np.testing.assert_allclose(matrices(net)[name], raw[name], rtol=1e-12)
        g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
        with torch.no_grad():
            g.mul_(2)
            v.mul_(torch.rand(()) + 3)
        np.testing.assert_allclose(matrices(net)[name], 2 * raw[name], rtol=1e-12)
        norms = np.linalg.norm(raw[name], axis=1)
        np.testing.assert_allclose(g.detach().numpy().ravel(), 2 * norms, rtol=1e-12)


def test_orthonormal_term_and_its_gradient():
    net = network()
    value = REGISTRY["orthonormal-term"](weight=0.5).cost(net)
    value.backward()
    total = 0.0
    for name, w in matrices(net).items():
        wide = w if w.shape[0] <= w.shape[1] else w.T
        rest = wide @ wide.T - np.eye(len(wide))
        total += 0.5 * (rest**2).sum()
        slope = 0.5 * 4 * rest @ wide
        slope = slope if w.shape[0] <= w.shape[1] else slope.T
        grad = net[name].weight.grad
        grad = (grad.transpose(0, 1) if name == "transposed" else grad).flatten(1).numpy()
        np.testing.assert_allclose(grad, slope, rtol=1e-10, atol=1e-12)
    assert float(value.detach()) == pytest.approx(total, rel=1e-12)


def test_orthonormal_projection_is_the_nearest_orthonormal_matrix():
    net = network()
    raw = matrices(net)
    projection = REGISTRY["orthonormal-projection"]()
    projection.enforce(net)
    for name, w in matrices(net).items():
        np.testing.assert_allclose(np.linalg.svd(w)[1], 1, rtol=1e-10)
        u, s, vh = np.linalg.svd(raw[name], full_matrices=False)
        # The distance to the nearest one is the sum of (s - 1)^2: Fan and Hoffman 1955.
        assert ((w - raw[name]) ** 2).sum() == pytest.approx(((s - 1) ** 2).sum(), rel=1e-9)
        np.testing.assert_allclose(w, u @ vh, rtol=1e-9, atol=1e-12)


def test_clip_bounds_every_parameter():
    net = network()
    REGISTRY["clip"](bound=0.05).enforce(net)
    assert all(p.abs().max() <= 0.05 for p in net.parameters())
    assert any((p.abs() == 0.05).any() for p in net.parameters())
