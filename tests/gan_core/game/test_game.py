"""The game on a toy domain: every recipe plays, players stay apart, state resumes, critics judge sample by sample."""

import copy

import pytest
import torch
from torch import nn

from gan_core.networks.critic import ScoringCritic, judge, judge_both
from gan_core.networks.modes import frozen
from gan_core.parts.base import REGISTRY, Constraint, Loss, Penalty
from gan_core.recipes.published import RECIPES
from gan_core.sample import Sample
from tests.toy import CPU, ToyDomain, domain_of, game, labelled, play, recipe_game

LOSSES = [n for n, p in REGISTRY.items() if issubclass(p, Loss)]
BESIDE = [n for n in LOSSES if not REGISTRY[n]().needs(4).score]  # losses that stand beside an adversarial one
PENALTIES = [n for n, p in REGISTRY.items() if issubclass(p, Penalty)]
CONSTRAINTS = [n for n, p in REGISTRY.items() if issubclass(p, Constraint)]


def weights(net):
    return torch.cat([p.detach().flatten().clone() for p in net.parameters()])


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_plays_and_both_players_learn(recipe):
    played = recipe_game(recipe)
    before = weights(played.generator.net), weights(played.critic.net)
    log = play(played, 3, domain_of(recipe))
    assert all(torch.isfinite(torch.tensor(list(terms.values()))).all() for terms in log)
    assert not torch.equal(before[0], weights(played.generator.net))
    assert not torch.equal(before[1], weights(played.critic.net))
    names = {name.partition("/")[2] for name in log[0] if name.startswith("critic/")}
    assert {loss.name for loss in played.losses} <= names and {p.name for p in played.penalties} <= names


@pytest.mark.parametrize("loss", LOSSES)
def test_the_product_of_parts(loss):
    """Losses x penalties x constraints x the network that is constrained: one step each, at rank 3."""
    domain = labelled()
    held = [name for name in PENALTIES if REGISTRY[name].target and loss == "catgan"]  # refused: see test_refusals.py
    for penalty in [None, *(name for name in PENALTIES if name not in held)]:
        for constraint in [None, *CONSTRAINTS]:
            for on in ("critic", "generator", "both") if constraint else ("",):
                beside = "hinge" if loss in BESIDE else None
                parts = [name for name in (beside, loss, penalty, constraint) if name]
                played = game(parts, domain, {f"{constraint}.on": on} if on else {})
                (terms,) = play(played, 1, domain, critic_steps=1)
                assert all(map(torch.isfinite, map(torch.tensor, terms.values()))), parts


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_term_reaches_the_parameters(recipe):
    """Trap 19: a loss that is computed and never back-propagated."""
    real = domain_of(recipe).batch(torch.arange(8).numpy(), CPU)
    reference = recipe_game(recipe)
    for left_out in [*reference.losses, *reference.penalties]:
        whole, without = recipe_game(recipe), recipe_game(recipe)
        for played in (whole, without):  # steep enough that a one-sided penalty has something to say
            with torch.no_grad():
                for parameter in played.critic.net.parameters():
                    parameter.mul_(5)
        part = next(p for p in [*without.losses, *without.penalties] if p.name == left_out.name)
        if isinstance(part, Penalty):
            without.penalties.remove(part)
        elif len(without.losses) > 1:
            without.losses.remove(part)
        else:
            before = weights(whole.critic.net)
            whole.critic_step(real)
            assert not torch.equal(before, weights(whole.critic.net))
            continue
        whole.critic_step(real)
        without.critic_step(real)
        gradients = [[p.grad for p in played.critic.net.parameters()] for played in (whole, without)]
        assert any(not torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_players_do_not_learn_from_each_other():
    """Trap 11: fakes of a critic step carry no graph, and the generator's step leaves no gradient in the critic."""
    played = game(["wasserstein", "gp"])
    domain = ToyDomain()
    seen = []
    played.generator.net.register_forward_hook(lambda module, inputs, output: seen.append(output.requires_grad))
    before = weights(played.generator.net)
    played.critic_step(domain.batch(torch.arange(8).numpy(), CPU))
    assert seen == [False]
    assert all(p.grad is None for p in played.generator.net.parameters())
    assert torch.equal(before, weights(played.generator.net))
    played.critic.optimiser.zero_grad()
    before = weights(played.critic.net)
    played.generator_step(8, CPU)
    assert all(p.grad is None for p in played.critic.net.parameters())
    assert torch.equal(before, weights(played.critic.net))
    assert all(p.requires_grad for net in (played.critic.net, played.generator.net) for p in net.parameters())


def test_frozen_restores_what_was_learning():
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    with frozen(net):
        assert not net.weight.requires_grad
    assert net.weight.requires_grad and not net.bias.requires_grad


@pytest.mark.parametrize("recipe", ["wgan-gp", "began", "sngan", "r3gan", "projection", "sgan", "infogan"])
def test_state_resumes_bit_for_bit(recipe):
    domain = domain_of(recipe)
    straight = recipe_game(recipe, ema=0.9)
    play(straight, 6, domain)
    stopped = recipe_game(recipe, ema=0.9)
    play(stopped, 3, domain)
    going_on = recipe_game(recipe, ema=0.9, seed=0)
    for mine, its in ((going_on.generator, stopped.generator), (going_on.critic, stopped.critic)):
        mine.net.load_state_dict(copy.deepcopy(its.net.state_dict()))
        if its.average is not None:
            mine.average.load_state_dict(copy.deepcopy(its.average.state_dict()))
    going_on.load_state_dict(copy.deepcopy(stopped.state_dict()))
    torch.rand(17)  # whatever happened in between
    play(going_on, 3, domain)
    for a, b in ((straight.generator, going_on.generator), (straight.critic, going_on.critic)):
        assert torch.equal(weights(a.net), weights(b.net))
    assert torch.equal(weights(straight.generator.average), weights(going_on.generator.average))


def test_a_lazy_penalty_costs_the_same_on_average():
    played = game(["wasserstein", "gp"], numbers={"gp.every": 3})
    domain = ToyDomain()
    terms = [played.critic_step(domain.batch(torch.arange(8).numpy(), CPU)) for _ in range(6)]
    assert ["critic/gp" in t for t in terms] == [True, False, False, True, False, False]
    once = game(["wasserstein", "gp"])
    first = once.critic_step(domain.batch(torch.arange(8).numpy(), CPU))
    assert float(terms[0]["critic/gp"]) == pytest.approx(3 * float(first["critic/gp"]), rel=1e-6)


def test_a_step_that_is_not_finite_is_not_taken():
    played = game(["wasserstein"])
    domain = ToyDomain()
    before, state = weights(played.critic.net), copy.deepcopy(played.critic.state_dict())
    broken = Sample(domain.points[:8] * float("nan"))
    terms = played.critic_step(broken)
    assert float(terms["critic/skipped"]) == 1
    assert torch.equal(before, weights(played.critic.net)) and played.critic.state_dict()["steps"] == state["steps"]


def test_the_average_follows_the_formula():
    played = game(["wasserstein"], ema=0.5)
    domain = ToyDomain()
    average = weights(played.generator.net)
    for step in range(1, 5):
        play(played, 1, domain)
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weights(played.generator.net)
        torch.testing.assert_close(weights(played.generator.average), average, rtol=1e-5, atol=1e-6)


def test_why_scores_under_batch_norm_depend_on_each_other():
    for norm, leaks in ((nn.BatchNorm1d, True), (nn.LayerNorm, False)):
        trunk, features = ToyDomain(norm=norm).trunk()
        critic = ScoringCritic(trunk, features, {})
        x = torch.randn(4, 2, 3, requires_grad=True)
        (by_all,) = torch.autograd.grad(judge(critic, Sample(x)).score[0], x)
        assert bool((by_all[1:] != 0).any()) is leaks


def test_batch_norm_judges_the_two_batches_apart():
    trunk, features = ToyDomain(norm=nn.BatchNorm1d).trunk()
    critic = ScoringCritic(trunk, features, {})
    real, fake = Sample(torch.randn(6, 2, 3)), Sample(torch.randn(6, 2, 3) * 5 + 3)
    both = judge_both(critic, real, fake)
    assert torch.equal(both[0].score, judge(critic, real).score)
    assert torch.equal(both[1].score, judge(critic, fake).score)


@pytest.mark.parametrize("norm", [1, 2])
def test_an_autoencoders_score_is_its_mean_error(norm):
    critic = game(["began"], numbers={"began.norm": norm}).critic.net
    x = torch.randn(5, 2, 3)
    error = (x - critic.decoder(critic.encode(critic.trunk(x)))).abs() ** norm
    torch.testing.assert_close(judge(critic, Sample(x)).score, error.mean((1, 2)))


def test_verdicts_are_per_sample_and_joined_verdicts_equal_separate_ones():
    for parts in (["wasserstein"], ["began"]):
        critic = game(parts).critic.net
        real, fake = Sample(torch.randn(5, 2, 3)), Sample(torch.randn(5, 2, 3))
        joined = judge_both(critic, real, fake, frozenset({"real", "fake"}))
        for verdict, sample in zip(joined, (real, fake), strict=True):
            alone = judge(critic, sample, gradient=True)
            assert verdict.score.shape == (5,)
            torch.testing.assert_close(verdict.score, alone.score)
            torch.testing.assert_close(verdict.gradient, alone.gradient)
            x = sample.x.clone().requires_grad_()
            (by_hand,) = torch.autograd.grad(judge(critic, Sample(x)).score.sum(), x)
            torch.testing.assert_close(alone.gradient, by_hand)


@pytest.fixture
def in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", ["gan", "lsgan", "sngan", "acgan", "infogan", "began"])
def test_a_batch_in_parts_has_the_gradients_of_the_whole(name, in_float64):
    """Where the loss is a mean over samples, a batch may be taken in parts. BEGAN's k follows all of it."""

    def learned(accumulate):
        domain = labelled()
        played = game(RECIPES[name].parts, domain, accumulate=accumulate)
        real = domain.batch(torch.arange(12).numpy(), CPU).to(torch.float64)
        terms = played.critic_step(real) | played.generator_step(12, CPU, real if played.needs_reals else None)
        return [p.detach() for p in (*played.critic.net.parameters(), *played.generator.net.parameters())], terms

    (whole, terms), (parts, of_parts) = learned(1), learned(3)
    torch.testing.assert_close(parts, whole, rtol=1e-6, atol=1e-9)
    assert terms.keys() == of_parts.keys()
    for term, value in terms.items():
        assert float(of_parts[term]) == pytest.approx(float(value), rel=1e-5, abs=1e-7), term
