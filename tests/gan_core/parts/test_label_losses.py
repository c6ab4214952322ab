"""Every loss over labels and codes against a formula in float64: its value, and its gradient by everything it sees.

The formulas are written sample by sample in numpy, their gradients are central differences; scipy has its say below.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from torch import nn

import gan_core.parts.label_losses
from gan_core.networks.critic import SCORES, ScoringCritic, entropy, judge
from gan_core.parts.base import REGISTRY, Loss
from gan_core.parts.label_losses import accuracy, class_loss, marginal_entropy
from gan_core.sample import Codes, Sample, Verdict

N = 6
FEATURES = 3
LABELLED = ["all", "some", "none"]


def softmax(row):
    return np.exp(row) / np.exp(row).sum()


def plogp(p):
    """The entropy of a distribution."""
    return -(p * np.log(p)).sum()


def log_normal(x, mean, std):
    return -((x - mean) ** 2) / (2 * std**2) - np.log(std) - np.log(2 * np.pi) / 2


def nll(side):
    """Mean of -log p(y | v) over the labelled samples, 0 where there are none."""
    rows = [-np.log(softmax(row)[k]) for row, k in zip(side["class"], side["y"], strict=True) if k >= 0]
    return sum(rows) / len(rows) if rows else 0.0


def sgan_critic(real, fake, supervised=1.0, unsupervised=1.0):
    told_apart = -np.log(special.expit(real["score"])).mean() - np.log(special.expit(-fake["score"])).mean()
    return supervised * nll(real) + unsupervised * told_apart


def sgan_generator(real, fake):
    return sum((a - b) ** 2 for a, b in zip(real["features"].mean(0), fake["features"].mean(0), strict=True))


def of_mean(side):
    """H[E p(y | v)]."""
    return plogp(sum(softmax(row) for row in side["class"]) / N)


def catgan_generator(real, fake):
    return sum(plogp(softmax(row)) for row in fake["class"]) / N - of_mean(fake)


def catgan_critic(real, fake, supervised):
    # What the score is, -H[p(y | v)], is tested further down: here it is a number of its own.
    return -of_mean(real) - real["score"].mean() + fake["score"].mean() + supervised * nll(real)


def infogan(real, fake, lambdas=(1.0, 0.1), categorical=0, continuous=0, own_spread=False):
    total = 0.0
    for n in range(N):
        code = fake["code"][n]
        for c in range(categorical):
            of_code = slice(c * fake["K"], (c + 1) * fake["K"])
            total -= lambdas[0] * np.log(softmax(fake["category"][n, of_code])[code[of_code].argmax()])
        for c in range(continuous):
            std = np.exp(fake["log_std"][n, c]) if own_spread else 1.0
            total -= lambdas[1] * log_normal(code[len(code) - continuous + c], fake["level"][n, c], std)
    return total / N


def both(formula):
    return formula, formula


# case -> the loss, its options, critic(real, fake), generator(real, fake); a side holds what a verdict does, by name
EXPECTED = {
    "acgan": ("acgan", {}, lambda r, f: nll(r) + nll(f), lambda r, f: nll(f)),
    "acgan, weights of WGAN-GP": (
        "acgan",
        {"real_weight": 1.0, "fake_weight": 0.0, "generator_weight": 0.1},
        lambda r, f: nll(r),
        lambda r, f: 0.1 * nll(f),
    ),
    "sgan": ("sgan", {}, sgan_critic, sgan_generator),
    "sgan, weights": (
        "sgan",
        {"supervised": 0.3, "unsupervised": 0.5},
        lambda r, f: sgan_critic(r, f, 0.3, 0.5),
        sgan_generator,
    ),
    "catgan": ("catgan", {}, lambda r, f: catgan_critic(r, f, 1.0), catgan_generator),
    "catgan, no labels": ("catgan", {"supervised": 0.0}, lambda r, f: catgan_critic(r, f, 0.0), catgan_generator),
    "infogan, one categorical": (
        "infogan",
        {"categorical": 1, "continuous": 0},
        *both(lambda r, f: infogan(r, f, categorical=1)),
    ),
    "infogan, levels": (
        "infogan",
        {"categorical": 0, "continuous": 2},
        *both(lambda r, f: infogan(r, f, continuous=2)),
    ),
    "infogan, levels of their own spread": (
        "infogan",
        {"categorical": 2, "continuous": 3, "learn_std": True, "category_weight": 0.7, "level_weight": 0.4},
        *both(lambda r, f: infogan(r, f, (0.7, 0.4), 2, 3, own_spread=True)),
    ),
}


def shipped_losses():
    module = gan_core.parts.label_losses.__name__
    return {name for name, part in REGISTRY.items() if issubclass(part, Loss) and part.__module__ == module}


def test_every_shipped_loss_has_an_expected_value():
    assert shipped_losses() == {name for name, *_ in EXPECTED.values()}


def loss_of(case, classes):
    name, options, *_ = EXPECTED[case]
    return REGISTRY[name](**options, **({"categories": classes} if name == "infogan" else {}))


def labels(rng, classes, labelled):
    y = rng.integers(classes, size=N)
    y[{"all": [], "some": [0, 2, 5], "none": list(range(N))}[labelled]] = -1
    return y


def a_side(rng, loss, classes, labelled):
    """A verdict's numbers, at random: all that the loss may look at."""
    heads = {name: rng.normal(size=(N, width)) for name, width in loss.needs(classes).heads.items()}
    side = {"score": rng.normal(size=N), "features": rng.normal(size=(N, FEATURES)), **heads}
    codes = loss.needs(classes).codes
    side["y"] = labels(rng, classes, labelled)
    side["code"] = codes.draw(N, generator=torch.Generator().manual_seed(1)).double().numpy() if codes else None
    side["K"] = classes
    return side


def learnt(side):
    return [name for name in side if name not in ("y", "code", "K")]


def verdict_of(side, dtype=torch.float64):
    leaves = {name: torch.tensor(side[name], dtype=dtype, requires_grad=True) for name in learnt(side)}
    code = None if side["code"] is None else torch.tensor(side["code"], dtype=dtype)
    sample = Sample(torch.zeros(len(side["y"]), 3), torch.tensor(side["y"]), code)
    return leaves, Verdict(sample, leaves["features"], {n: v for n, v in leaves.items() if n != "features"})


def differences(formula, array, step=1e-6):
    """The gradient of a formula of no arguments by an array that it reads."""
    slope = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        kept = array[place]
        array[place] = kept + step
        above = formula()
        array[place] = kept - step
        slope[place] = (above - formula()) / (2 * step)
        array[place] = kept
    return slope


@pytest.mark.parametrize("labelled", LABELLED)
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("side", ["critic", "generator"])
@pytest.mark.parametrize("case", EXPECTED)
def test_value_and_gradient(case, side, classes, labelled):
    loss = loss_of(case, classes)
    rng = np.random.default_rng(classes)
    real, fake = a_side(rng, loss, classes, labelled), a_side(rng, loss, classes, "all")
    formula = EXPECTED[case][2 + (side == "generator")]
    leaves, verdicts = zip(verdict_of(real), verdict_of(fake), strict=True)
    value = getattr(loss, side)(*verdicts)
    assert value.shape == ()
    assert float(value.detach()) == pytest.approx(formula(real, fake), rel=1e-12, abs=1e-14)
    for numbers, tensors in zip((real, fake), leaves, strict=True):
        for name in learnt(numbers):
            (slope,) = torch.autograd.grad(value, tensors[name], retain_graph=True, allow_unused=True)
            wanted = differences(lambda: formula(real, fake), numbers[name])
            slope = np.zeros_like(wanted) if slope is None else slope.numpy()
            np.testing.assert_allclose(slope, wanted, rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("classes", [2, 10])
def test_rows_without_a_label_have_no_part_in_the_class_loss(classes):
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(N, classes)), requires_grad=True)
    y = torch.tensor(labels(rng, classes, "some"))
    verdict = Verdict(Sample(torch.zeros(N, 3), y), torch.zeros(N, 1), {"class": logits})
    (slope,) = torch.autograd.grad(class_loss(verdict), logits)
    assert torch.equal(slope[y < 0], torch.zeros(3, classes, dtype=torch.float64)) and (slope[y >= 0] != 0).all()
    shown = Verdict(Sample(torch.zeros(3, 3), y[y >= 0]), torch.zeros(3, 1), {"class": logits[y >= 0]})
    torch.testing.assert_close(class_loss(verdict), class_loss(shown), rtol=1e-14, atol=0)


@pytest.mark.parametrize("case", ["acgan, weights of WGAN-GP", "sgan", "catgan"])
def test_no_head_is_trained_on_labels_that_do_not_exist(case):
    """With -1 everywhere the loss is what it is without a class term, and so is every gradient."""
    loss = loss_of(case, 4)
    rng = np.random.default_rng(0)
    real, fake = a_side(rng, loss, 4, "none"), a_side(rng, loss, 4, "all")
    leaves, verdict = verdict_of(real)
    value = loss.critic(verdict, verdict_of(fake)[1])
    if case.startswith("acgan"):
        assert float(value.detach()) == 0.0
    slope = torch.autograd.grad(value, leaves["class"], allow_unused=True)[0]
    if case != "catgan":  # whose logits are also what the unsupervised terms are of
        assert slope is None or torch.equal(slope, torch.zeros_like(slope))
    else:
        unsupervised = REGISTRY["catgan"](supervised=0.0).critic(verdict, verdict_of(fake)[1])
        assert torch.equal(slope, torch.autograd.grad(unsupervised, leaves["class"])[0])


# loss -> the options that make every head there is
EVERY_HEAD = {"acgan": {}, "sgan": {}, "catgan": {}, "infogan": {"categories": 3, "learn_std": True}}


def small_critic(name, classes=3):
    """A critic as the builder makes it for a loss, in float64, and a sample of it with labels and codes."""
    loss = REGISTRY[name](**EVERY_HEAD[name])
    needs = loss.needs(classes)
    trunk = nn.Sequential(nn.Flatten(), nn.Linear(6, FEATURES), nn.Tanh())
    critic = ScoringCritic(trunk, FEATURES, needs.heads, needs.score or "linear").double()
    code = needs.codes.draw(N).double() if needs.codes else None
    x = torch.randn(N, 2, 3, dtype=torch.float64, requires_grad=True)
    return loss, critic, Sample(x, torch.arange(N) % classes, code)


@pytest.mark.parametrize("name", EVERY_HEAD)
def test_gradients_reach_every_head(name):
    loss, critic, sample = small_critic(name)
    loss.critic(judge(critic, sample), judge(critic, sample.at(torch.randn_like(sample.x)))).backward()
    heads = loss.needs(3).heads
    assert set(heads) == {"acgan": {"class"}, "sgan": {"class"}, "catgan": {"class"}}.get(
        name, {"category", "level", "log_std"}
    )
    assert all(critic.heads[head].weight.grad.abs().sum() > 0 for head in heads)
    assert critic.trunk[1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "head"), [(n, h) for n in EVERY_HEAD if n != "sgan" for h in small_critic(n)[0].needs(3).heads]
)
def test_gradients_reach_what_the_generator_made_through_each_head(name, head):
    loss, critic, fake = small_critic(name)
    for other in critic.heads:
        if other != head:
            nn.init.zeros_(critic.heads[other].weight)
    (slope,) = torch.autograd.grad(loss.generator(None, judge(critic, fake)), fake.x)
    assert (slope.flatten(1).abs().sum(1) > 0).all()


def test_feature_matching_reaches_what_the_generator_made_through_the_trunk():
    loss, critic, fake = small_critic("sgan")
    real = judge(critic, Sample(torch.randn(N, 2, 3, dtype=torch.float64)))
    (slope,) = torch.autograd.grad(loss.generator(real, judge(critic, fake)), fake.x)
    assert (slope.flatten(1).abs().sum(1) > 0).all()


@pytest.mark.parametrize("classes", [2, 10])
def test_sgan_is_a_softmax_over_one_more_class_whose_logit_is_zero(classes):
    """Salimans et al. 2016, section 5: D = Z / (Z + 1) is 1 - p(K + 1), and Z / (Z + 1) over K of them."""
    rng = np.random.default_rng(0)
    sides = []
    for _ in range(2):
        logits = rng.normal(size=(N, classes)) * 3
        p = special.softmax(np.concatenate([logits, np.zeros((N, 1))], axis=1), axis=1)
        heads = {"class": torch.tensor(logits)}
        score = SCORES["class evidence"](heads)
        np.testing.assert_allclose(torch.sigmoid(score).numpy(), 1 - p[:, -1], rtol=1e-12)
        z = np.exp(logits).sum(1)
        np.testing.assert_allclose(1 - p[:, -1], z / (z + 1), rtol=1e-12)
        y = rng.integers(classes, size=N)
        sample = Sample(torch.zeros(N, 3), torch.tensor(y))
        sides.append((Verdict(sample, torch.zeros(N, 1), heads | {"score": score}), p, y))
    (real, p, y), (fake, q, _) = sides
    supervised = -np.log(p[np.arange(N), y] / (1 - p[:, -1])).mean()  # -log p(y | x, y < K + 1)
    unsupervised = -np.log(1 - p[:, -1]).mean() - np.log(q[:, -1]).mean()
    assert float(REGISTRY["sgan"]().critic(real, fake)) == pytest.approx(supervised + unsupervised, rel=1e-12)


def test_catgan_scores_and_entropies_are_scipys():
    logits = torch.randn(N, 10, dtype=torch.float64) * 3
    p = special.softmax(logits.numpy(), axis=1)
    np.testing.assert_allclose(entropy(logits).numpy(), stats.entropy(p, axis=1), rtol=1e-12)
    np.testing.assert_allclose(SCORES["class certainty"]({"class": logits}).numpy(), -stats.entropy(p, axis=1))
    assert float(marginal_entropy(logits)) == pytest.approx(stats.entropy(p.mean(0)), rel=1e-12)
    assert float(marginal_entropy(torch.zeros(3, 10))) == pytest.approx(np.log(10))
    certain = torch.eye(10, dtype=torch.float64) * 200
    assert float(entropy(certain).max()) < 1e-80 and float(marginal_entropy(certain)) == pytest.approx(np.log(10))


def info_verdict(loss, code, dtype=torch.float64, **heads):
    heads = {name: torch.as_tensor(value, dtype=dtype) for name, value in heads.items()}
    return Verdict(Sample(torch.zeros(len(code), 3), None, code.to(dtype)), torch.zeros(len(code), 1), heads)


@given(st.integers(2, 12), st.integers(1, 3), st.floats(0, 50), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_the_bound_never_exceeds_the_entropy_of_the_codes(categories, categorical, scale, seed):
    loss = REGISTRY["infogan"](categorical=categorical, categories=categories, continuous=0)
    generator = torch.Generator().manual_seed(seed)
    code = loss.codes.draw(16, generator=generator)
    logits = torch.randn(code.shape, generator=generator, dtype=torch.float64) * scale
    bits, none = loss.bounds(info_verdict(loss, code, category=logits))
    assert float(bits) <= categorical * np.log2(categories) + 1e-9 and float(none) == 0
    perfect, _ = loss.bounds(info_verdict(loss, code, category=code.double() * 1000))
    assert float(perfect) == pytest.approx(categorical * np.log2(categories), rel=1e-12)
    ignorant, _ = loss.bounds(info_verdict(loss, code, category=torch.zeros_like(logits)))
    assert float(ignorant) == pytest.approx(0, abs=1e-9)


def test_the_bound_of_continuous_codes():
    """With a spread of its own it is 1 - E log2 of the density; fixed, the error of the batch is the spread."""
    rng = np.random.default_rng(0)
    code, mean, log_std = rng.uniform(-1, 1, (N, 2)), rng.normal(size=(N, 2)), rng.normal(size=(N, 2))
    heads = {"level": mean, "log_std": log_std}
    own = REGISTRY["infogan"](categorical=0, continuous=2, learn_std=True)
    density = stats.norm.logpdf(code, mean, np.exp(log_std)).sum(1).mean()
    bits = own.bounds(info_verdict(own, torch.tensor(code), **heads))[1]
    assert float(bits) == pytest.approx(2 + density / np.log(2), rel=1e-12)
    fixed = REGISTRY["infogan"](categorical=0, continuous=2)
    spread = np.sqrt(((code - mean) ** 2).mean(0))
    density = stats.norm.logpdf(code, mean, spread).sum(1).mean()
    verdict = info_verdict(fixed, torch.tensor(code), level=mean)
    assert float(fixed.bounds(verdict)[1]) == pytest.approx(2 + density / np.log(2), rel=1e-12)
    many = Codes(0, 2, 2).draw(20_000)
    ignorant = fixed.bounds(info_verdict(fixed, many, level=torch.zeros(20_000, 2)))[1]
    assert float(ignorant) < 0  # and the code's mutual information with nothing is 0
    fixed.observe(verdict, verdict)
    assert float(fixed.readings()["level_bits"]) == pytest.approx(float(fixed.bounds(verdict)[1]))


def test_the_spread_that_is_learnt_has_a_floor():
    """Codes that are found exactly are not worth infinity."""
    loss = REGISTRY["infogan"](categorical=0, continuous=1, learn_std=True)
    code = torch.zeros(N, 1)
    value = loss.level_loss(info_verdict(loss, code, level=code, log_std=code - 50))
    assert float(value) == pytest.approx(-stats.norm.logpdf(0, 0, 1e-3))


# loss, options that it is linear in
WEIGHTS = [
    ("acgan", "critic", "real_weight"),
    ("acgan", "critic", "fake_weight"),
    ("acgan", "generator", "generator_weight"),
    ("sgan", "critic", "supervised"),
    ("sgan", "critic", "unsupervised"),
    ("catgan", "critic", "supervised"),
    ("infogan", "critic", "category_weight"),
    ("infogan", "critic", "level_weight"),
    ("infogan", "generator", "category_weight"),
    ("infogan", "generator", "level_weight"),
]


@pytest.mark.parametrize(("name", "side", "option"), WEIGHTS)
def test_weights_are_linear(name, side, option):
    rng = np.random.default_rng(0)
    loss = REGISTRY[name](**EVERY_HEAD[name])
    real, fake = (verdict_of(a_side(rng, loss, 3, labelled))[1] for labelled in ("some", "all"))

    def value(weight):
        part = REGISTRY[name](**EVERY_HEAD[name], **{option: weight})
        return float(getattr(part, side)(real, fake).detach())

    assert value(1.0) != value(0.0)
    assert value(3.0) - value(0.0) == pytest.approx(3 * (value(1.0) - value(0.0)), rel=1e-12)


@pytest.mark.parametrize("side", ["critic", "generator"])
@pytest.mark.parametrize("name", EVERY_HEAD)
def test_logits_far_from_zero_stay_finite(name, side):
    """In float32, where e^200 is infinite: values, and gradients by every head, with scores made as a critic does."""
    rng = np.random.default_rng(0)
    loss = REGISTRY[name](**EVERY_HEAD[name])
    verdicts, leaves = [], []
    for labelled in ("some", "all"):
        numbers = a_side(rng, loss, 3, labelled)
        for head in loss.needs(3).heads:
            numbers[head] = np.where(rng.random(numbers[head].shape) < 0.5, 200.0, -200.0)
        tensors, verdict = verdict_of(numbers, torch.float32)
        score = loss.needs(3).score
        if score in SCORES and score != "linear":
            verdict = Verdict(verdict.sample, verdict.features, verdict.heads | {"score": SCORES[score](verdict.heads)})
        verdicts.append(verdict)
        leaves += [tensors[head] for head in loss.needs(3).heads]
    value = getattr(loss, side)(*verdicts)
    assert torch.isfinite(value)
    slopes = torch.autograd.grad(value, leaves, allow_unused=True) if value.requires_grad else []
    assert all(torch.isfinite(slope).all() for slope in slopes if slope is not None)


def test_readings_count_only_what_is_labelled():
    logits = torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 3.0], [5.0, 0.0]])
    verdict = Verdict(Sample(torch.zeros(4, 3), torch.tensor([0, 1, 1, -1])), torch.zeros(4, 1), {"class": logits})
    wrong = Verdict(Sample(torch.zeros(4, 3), torch.tensor([1, 1, 0, 0])), torch.zeros(4, 1), {"class": logits})
    none = Verdict(Sample(torch.zeros(4, 3), torch.full((4,), -1)), torch.zeros(4, 1), {"class": logits})
    assert float(accuracy(verdict)) == pytest.approx(2 / 3) and float(accuracy(none)) == 0
    loss = REGISTRY["acgan"]()
    loss.observe(verdict, wrong)
    assert {name: float(value) for name, value in loss.readings().items()} == pytest.approx(
        {"right": 2 / 3, "obeyed": 1 / 4}
    )
    loss = REGISTRY["sgan"]()
    loss.observe(verdict, wrong)
    assert float(loss.readings()["right"]) == pytest.approx(2 / 3)
    assert all(not REGISTRY[name]().state_dict() for name in shipped_losses())  # what is read is not kept


def test_what_they_need():
    needs = {name: REGISTRY[name]().needs(10) for name in shipped_losses()}
    assert {name: need.score for name, need in needs.items()} == {
        "acgan": "", "sgan": "class evidence", "catgan": "class certainty", "infogan": ""
    }  # fmt: skip
    learning = [need for name, need in needs.items() if name != "infogan"]
    assert all(need.heads == {"class": 10} and need.labels == "some" for need in learning)
    assert needs["infogan"].heads == {"category": 10, "level": 2} and needs["infogan"].codes.width == 12
    assert [name for name in needs if needs[name].asks] == ["acgan"]
    assert [name for name in needs if needs[name].reals] == ["sgan"]
    many = REGISTRY["catgan"](categories=20)
    assert many.needs(0) == REGISTRY["catgan"](categories=20, supervised=0.0).needs(10)
    assert many.needs(0).labels == "none" and many.needs(0).heads == {"class": 20}
    assert many.needs(10).labels == "some"
