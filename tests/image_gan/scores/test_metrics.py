"""Scores of features against independent formulas."""

import importlib

import numpy as np
import pytest
import scipy.linalg
import torch

from image_gan.scores.metrics import METRICS, Features, Spread
from image_gan.scores.metrics import kid as kid_module
from image_gan.scores.metrics import neighbourhoods as neighbours_module
from image_gan.scores.metrics.base import moments
from image_gan.scores.metrics.frechet import frechet
from image_gan.scores.metrics.inception_score import inception_score
from image_gan.scores.metrics.kid import mmd2
from image_gan.scores.metrics.neighbourhoods import nearest
from image_gan.scores.report import TOP_LEVEL


def kernel_distance(real, fake, **how):
    return kid_module.kernel_distance(Features(real), Features(fake), **how)


def neighbourhoods(real, fake, *ks):
    return neighbours_module.neighbourhoods(Features(real), Features(fake), *ks)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def spd(rng, d, rank=None):
    a = rng.normal(size=(d, rank or 2 * d))
    return a @ a.T / a.shape[1]


def test_frechet_of_commuting_covariances_is_the_closed_form(rng):
    basis = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    a, b = rng.uniform(0.1, 4, (2, 20))
    means = rng.normal(size=(2, 20))
    expected = np.square(means[0] - means[1]).sum() + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    found = frechet(means[0], (basis * a) @ basis.T, means[1], (basis * b) @ basis.T)
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("d", [1, 5, 64])
def test_frechet_against_the_matrix_square_root_of_scipy(rng, d):
    a, b, means = spd(rng, d), spd(rng, d), rng.normal(size=(2, d))
    overlap = np.trace(scipy.linalg.sqrtm(a @ b).real)
    expected = np.square(means[0] - means[1]).sum() + np.trace(a) + np.trace(b) - 2 * overlap
    assert frechet(means[0], a, means[1], b) == pytest.approx(expected, abs=1e-6)


def test_frechet_of_singular_covariances(rng):
    """Fewer samples than features: on shared axes the closed form still holds, and equal sets are at no distance."""
    d, mean = 200, np.zeros(200)
    a, b = np.zeros((2, d))
    a[:50], b[30:90] = 4.0, 1.0
    expected = np.square(np.sqrt(a) - np.sqrt(b)).sum()
    basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
    assert frechet(mean, (basis * a) @ basis.T, mean, (basis * b) @ basis.T) == pytest.approx(expected, abs=1e-6)
    few = moments(rng.normal(size=(30, d)) * 5)
    assert frechet(*few, *few) < 1e-6


def test_moments_are_unbiased_and_blocks_do_not_show(rng):
    features = rng.normal(5, 2, (2500, 7)).astype(np.float32)
    mean, covariance = moments(features)
    np.testing.assert_allclose(mean, features.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-10)


def plain_mmd2(a, b):
    def k(x, y):
        return (x @ y / len(x) + 1) ** 3

    n, m = len(a), len(b)
    same = sum(k(a[i], a[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    same += sum(k(b[i], b[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return same - 2 * sum(k(x, y) for x in a for y in b) / (n * m)


def test_kernel_distance_against_a_plain_double_loop(rng):
    a, b = rng.normal(size=(23, 6)), rng.normal(0.5, 1, size=(17, 6))
    assert mmd2(a, b) == pytest.approx(plain_mmd2(a, b), rel=1e-12)
    assert kernel_distance(np.repeat(a[:1], 40, 0), np.repeat(b[:1], 30, 0))[0] == pytest.approx(
        plain_mmd2(np.repeat(a[:1], 4, 0), np.repeat(b[:1], 4, 0)), rel=1e-9
    )


def test_kernel_distance_is_unbiased_and_repeats(rng):
    a, b = rng.normal(size=(2, 600, 8))
    mean, std = kernel_distance(a, b, subsets=200, size=100)
    assert abs(mean) < std and 0 < std < 0.2
    assert kernel_distance(a, b, subsets=200, size=100) == (mean, std)
    assert kernel_distance(a, b + 0.5, subsets=20, size=100)[0] > 10 * std


def test_against_torchmetrics(rng):
    """An implementation by others, fed with the same features; it takes subsets of its own."""
    inception, kid = (
        importlib.import_module("torchmetrics.image.inception"),
        importlib.import_module("torchmetrics.image.kid"),
    )
    a, b = torch.tensor(rng.normal(size=(400, 8))), torch.tensor(rng.normal(0.3, 1, size=(400, 8)))
    with pytest.warns(UserWarning, match="buffer"):
        theirs = kid.KernelInceptionDistance(feature=torch.nn.Identity(), subsets=100, subset_size=200)
        theirs.update(a, real=True)
        theirs.update(b, real=False)
        mean, std = (float(value) for value in theirs.compute())
    found = kernel_distance(a.numpy(), b.numpy(), subsets=100, size=200)
    assert found[0] == pytest.approx(mean, abs=4 * std / 10) and found[1] == pytest.approx(std, rel=0.4)
    with pytest.warns(UserWarning, match="buffer"):
        theirs = inception.InceptionScore(feature=torch.nn.Identity(), splits=1)
        theirs.update(3 * a)
    with pytest.warns(UserWarning, match="degrees of freedom"):
        expected = float(theirs.compute()[0])
    assert inception_score(3 * a.numpy(), splits=1)[0] == pytest.approx(expected, rel=1e-9)


def test_inception_score_against_the_formula(rng):
    logits = 3 * rng.normal(size=(50, 4))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = np.exp(np.mean([sum(q * np.log(q / m) for q, m in zip(row, p.mean(0), strict=True)) for row in p]))
    assert inception_score(logits, splits=1) == (pytest.approx(expected, rel=1e-12), 0)
    mean, std = inception_score(logits, splits=5)
    assert std > 0 and 1 <= mean <= 4
    sure = 1e4 * np.eye(4)[np.arange(40) % 4]  # sure of each, and all equally often
    assert inception_score(sure, splits=1)[0] == pytest.approx(4)
    assert inception_score(sure[:1].repeat(40, 0))[0] == pytest.approx(1)


def plain_neighbourhoods(real, fake, k, k_density):
    def radii(points, k):
        return [
            sorted(np.linalg.norm(p - q) for j, q in enumerate(points) if i != j)[k - 1] for i, p in enumerate(points)
        ]

    wide, wide_density, narrow = radii(real, k), radii(real, k_density), radii(fake, k)
    precision = np.mean([any(np.linalg.norm(f - r) <= w for r, w in zip(real, wide, strict=True)) for f in fake])
    recall = np.mean([any(np.linalg.norm(f - r) <= w for f, w in zip(fake, narrow, strict=True)) for r in real])
    inside = [[np.linalg.norm(f - r) <= w for f in fake] for r, w in zip(real, wide_density, strict=True)]
    density, coverage = np.sum(inside) / (k_density * len(fake)), np.mean([any(row) for row in inside])
    return {"precision": precision, "recall": recall, "density": density, "coverage": coverage}


@pytest.mark.parametrize("k, k_density", [(3, 5), (1, 2)])
def test_neighbourhoods_against_plain_double_loops(rng, monkeypatch, k, k_density):
    monkeypatch.setattr(neighbours_module, "BLOCK", 16)
    real, fake = rng.normal(size=(40, 3)), rng.normal(0.7, 0.8, size=(30, 3))
    expected = plain_neighbourhoods(real, fake, k, k_density)
    assert 0 < expected["recall"] < 1 and 0 < expected["coverage"] < 1
    assert neighbourhoods(real, fake, k, k_density) == pytest.approx(expected, abs=1e-12)


def test_equal_sets(rng):
    features = 100 + rng.normal(size=(300, 16)).astype(np.float32)
    assert frechet(*moments(features), *moments(features)) < 1e-6
    scores = neighbourhoods(features, features)
    assert scores.pop("density") == pytest.approx(6 / 5)  # five neighbours and itself, in as many balls on average
    assert set(scores.values()) == {1.0}


def test_equal_features_are_at_no_distance(rng):
    point = 1e3 * rng.normal(size=(1, 64))
    assert (nearest(point.repeat(5, 0), (3,)) == 0).all()


def test_few_and_collapsed_sets(rng):
    real = rng.normal(size=(50, 4))
    assert set(neighbourhoods(real[:3], real[:3])) == {"precision", "recall", "density", "coverage"}
    collapsed = neighbourhoods(real, real[:1].repeat(50, 0))
    assert collapsed["precision"] == 1 and collapsed["recall"] == 1 / 50 and collapsed["coverage"] < 0.5
    assert neighbourhoods(real, real + 100) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_what_is_measured_of_real_features_once_changes_nothing(rng, monkeypatch):
    real = Features(rng.normal(size=(90, 5)))
    for fake in (rng.normal(size=(60, 5)), rng.normal(size=(60, 5)) + 1, rng.normal(size=(80, 5))):
        samples = Features(fake)
        assert kid_module.kernel_distance(real, samples, size=20) == kernel_distance(real.values, fake, size=20)
        assert neighbours_module.neighbourhoods(real, samples) == neighbourhoods(real.values, fake)
    asked = []
    monkeypatch.setattr(kid_module, "mean_kernel", lambda x: asked.append(len(x)) or 0.0)
    kid_module.kernel_distance(real, samples, size=20)
    assert len(asked) == 100  # of the fake subsets, not of the real ones
    monkeypatch.setattr(neighbours_module, "nearest", lambda features, ks: asked.append(ks))
    assert neighbours_module.neighbourhoods(real, samples) == neighbourhoods_of(real, samples)
    assert len(asked) == 100  # one pass serves all four scores


def neighbourhoods_of(real, samples):
    names = ("precision", "recall", "density", "coverage")
    return {name: METRICS[name].function(samples, real) for name in names}


def test_the_registered_metrics_are_the_formulas(rng):
    real, fake, logits = rng.normal(size=(60, 5)), rng.normal(0.4, 1, size=(60, 5)), rng.normal(size=(80, 3))
    samples, reference = Features(fake, logits), Features(real)
    found = {metric.name: metric.function(samples, reference) for metric in METRICS}
    assert found["frechet"] == frechet(*moments(real), *moments(fake))
    mean, std = kernel_distance(real, fake)
    assert isinstance(found["kid"], Spread) and (found["kid"], found["kid"].std) == (mean, std)
    assert (found["inception_score"], found["inception_score"].std) == inception_score(logits)
    assert neighbourhoods(real, fake).items() <= found.items()
    directions = {name: METRICS[name].better for name in TOP_LEVEL}
    assert {name for name, better in directions.items() if better == "lower"} == {"frechet", "kid"}
    assert all(metric.summary for metric in METRICS)
