"""The unrolled game: its gradient is that of what torch's own optimisers do, and it leaves the critic alone."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

import gan_core.recipes.build
from gan_core.errors import UsageError
from gan_core.game.unrolled import FORMS, Unrolled, refuse_unrolling
from gan_core.networks.critic import judge, judge_both
from gan_core.runtime.randomness import reseed
from gan_core.sample import Sample
from tests.toy import CPU, ToyDomain, game, labelled, play, recipe_game

OPTIMIZERS = ["adam", "rmsprop"]


@pytest.fixture
def in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def begun(parts=("nonsaturating",), domain=None, **values):
    """A game after a few steps, so that its optimisers have a state; the critic's steps are large."""
    domain = domain or ToyDomain()
    played = game(list(parts), domain, **(dict(critic_lr=0.03, unroll=2) | values))
    for turn in range(3):
        played.critic_step(real_of(domain, 8 * turn))
    return played


def real_of(domain, first=0):
    return domain.batch(torch.arange(first, first + 8).numpy(), CPU).to(torch.get_default_dtype())


def gradient(played, real):
    """The gradient of the generator's step, flat; the step is not taken."""
    played.generator.learn = lambda parts: {"gradient": torch.zeros(()), "skipped": torch.zeros(())}
    at = played.step, played._turn
    terms = played.generator_step(len(real), CPU, real)
    played.step, played._turn = at
    return torch.cat([p.grad.flatten() for p in played.generator.net.parameters()]), terms


def surrogate(played, real, unroll):
    """f_K as a number: steps of torch's optimiser on a copy of the critic, then the generator's loss."""
    reseed(played.rules.seed, "generator", played.step)
    latent = played.prior.draw(len(real), CPU, like=real.y)
    with torch.no_grad():
        fake = Sample(played.generator.net(latent), latent.y, latent.code)
    critic = copy.deepcopy(played.critic.net).requires_grad_(True)
    group = played.critic.optimiser.param_groups[0]
    rates = {key: group[key] for key in ("lr", "betas", "alpha", "eps") if key in group}
    optimiser = type(played.critic.optimiser)(critic.parameters(), **rates)
    optimiser.load_state_dict(copy.deepcopy(played.critic.optimiser.state_dict()))
    for turn in range(played.critic_turns, played.critic_turns + unroll):
        due = [penalty for penalty in played.penalties if turn % penalty.every == 0]
        judged = judge_both(critic, real, fake, frozenset(penalty.where for penalty in due))
        total = sum(loss.critic(*judged) for loss in played.losses) + sum(p(critic, *judged) for p in due)
        for constraint in played.critic.constraints:
            cost = constraint.cost(critic)
            total = total if cost is None else total + cost
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    with torch.no_grad():
        of_real, of_fake = judge(critic, real), judge(critic, fake)
        return float(sum(loss.generator(of_real, of_fake) for loss in played.losses))


def slope(played, real, unroll, direction, step=1e-5):
    """The derivative of f_K along a direction of the generator's weights, by central differences."""
    at = nn.utils.parameters_to_vector(played.generator.net.parameters()).detach().clone()
    found = []
    for side in (step, -step):
        nn.utils.vector_to_parameters(at + side * direction, played.generator.net.parameters())
        found.append(surrogate(played, real, unroll))
    nn.utils.vector_to_parameters(at, played.generator.net.parameters())
    return (found[0] - found[1]) / (2 * step)


def assert_gradient_is_that_of_finite_differences(played, real, unroll):
    found, terms = gradient(played, real)
    assert float(terms["generator/total"]) == pytest.approx(surrogate(played, real, unroll), rel=1e-9)
    torch.manual_seed(1)
    for direction in (found / found.norm(), *torch.randn(4, len(found))):
        true = slope(played, real, unroll, direction)
        assert float(found @ direction) == pytest.approx(true, rel=1e-5, abs=1e-5 * float(found.norm()))
    return found


@pytest.mark.parametrize("unroll", [1, 2, 5])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_gradient_flows_through_the_steps_of_the_optimiser(optimizer, unroll, in_float64):
    real = real_of(ToyDomain(), 24)
    played = begun(optimizer=optimizer, unroll=unroll)
    ahead = assert_gradient_is_that_of_finite_differences(played, real, unroll)
    last_only, _ = gradient(begun(optimizer=optimizer, unroll=0), real)
    assert (ahead - last_only).norm() > 0.05 * last_only.norm()
    # the gradient at the critic of K steps later that does not flow through them, a common mistake
    played._stepped = lambda critic, *args: tuple(map(detached, Unrolled._stepped(played, critic, *args)))
    played.generator.optimiser.zero_grad()
    mistaken, _ = gradient(played, real)
    assert (ahead - mistaken).norm() > 0.05 * ahead.norm()


def detached(weights):
    return {name: tuple(x.detach() for x in w) if isinstance(w, tuple) else w.detach() for name, w in weights.items()}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "parts",
    [
        ("nonsaturating", "gp"),
        ("wasserstein", "r1", "r2"),
        ("relativistic", "dragan"),
        ("lsgan", "orthonormal-term"),
        ("hinge", "acgan", "projection", "infogan"),
        ("ebgan",),
    ],
    ids=" ".join,
)
def test_the_gradient_flows_through_every_kind_of_part(parts, optimizer, in_float64):
    """Penalties nest: the generator's gradient then has third derivatives of the critic."""
    domain = labelled()
    played = begun(parts, domain, optimizer=optimizer)
    assert_gradient_is_that_of_finite_differences(played, real_of(domain, 24), 2)


def test_penalties_are_due_in_the_steps_ahead_as_in_the_critics_own(in_float64):
    domain = ToyDomain()
    played = game(["nonsaturating", "r1"], domain, {"r1.every": 3}, critic_lr=0.03, unroll=3)
    played.critic_step(real_of(domain))
    seen = []
    played._critic_objective = lambda real, fake, due: (
        seen.append(due) or Unrolled._critic_objective(played, real, fake, due)
    )
    played._critic_at.function = played._critic_objective
    assert_gradient_is_that_of_finite_differences(played, real_of(domain, 24), 3)
    assert seen == [frozenset(), frozenset(), frozenset(["r1"])]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_functional_optimisers_step_as_torchs_do(optimizer, in_float64):
    """From a new state on, with a gradient that is 0 for some weights at first and for one of them always."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(5))
    its = gan_core.recipes.build.OPTIMIZERS[optimizer]([weight], 0.01, 0.5, 0.9)
    form = FORMS[type(its)]
    mine, moments = weight.detach().clone().requires_grad_(), tuple(torch.zeros(5) for _ in form.moments)
    first, scale = mine, torch.ones((), requires_grad=True)
    for step in range(1, 7):
        weight.grad = torch.randn(5) * torch.tensor([1.0, 1e-9, step > 2, 1e3, 0.0])
        numbers = torch.tensor(form.numbers(its.param_groups[0], step))
        mine, moments = form.step(mine, weight.grad * scale, moments, numbers)
        its.step()
        torch.testing.assert_close(mine, weight, rtol=1e-12, atol=1e-14)
    for moment, key in zip(moments, form.moments, strict=True):
        torch.testing.assert_close(moment, its.state[weight][key], rtol=1e-12, atol=1e-14)
    for found in torch.autograd.grad(mine.sum(), [first, scale]):
        assert torch.isfinite(found).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_critic_without_a_gradient_gives_no_nan(optimizer):
    """Trap: the root of a second moment of 0, as before the first step, has an infinite gradient."""
    played = game(["nonsaturating"], unroll=3, optimizer=optimizer)
    with torch.no_grad():
        for parameter in played.critic.net.heads["score"].parameters():
            parameter.zero_()  # the gradient of the layer below is then 0
    found, _ = gradient(played, real_of(ToyDomain()))
    assert torch.isfinite(found).all() and found.norm() > 0


def test_no_steps_ahead_are_the_ordinary_game_bit_for_bit(monkeypatch):
    domain = ToyDomain()
    ordinary = game(["nonsaturating", "gp"], domain)
    monkeypatch.setattr(gan_core.recipes.build, "Game", partial(Unrolled, unroll=0))
    none, one = game(["nonsaturating", "gp"], domain), game(["nonsaturating", "gp"], domain, unroll=1)
    assert type(none) is Unrolled and not none.needs_reals and one.needs_reals
    logs = [play(played, 4, domain) for played in (ordinary, none, one)]
    assert logs[0] == logs[1] != logs[2]
    for role in ("generator", "critic"):
        nets = [getattr(played, role).net.state_dict() for played in (ordinary, none, one)]
        assert all(torch.equal(value, nets[1][name]) for name, value in nets[0].items())
        assert not all(torch.equal(value, nets[2][name]) for name, value in nets[0].items())


def test_the_generators_step_leaves_the_critic_and_its_optimiser_alone():
    played = begun()
    before = copy.deepcopy((played.critic.net.state_dict(), played.critic.state_dict()["optimiser"]["state"]))
    played.critic.optimiser.zero_grad()
    weights = [p.detach().clone() for p in played.generator.net.parameters()]
    played.generator_step(8, CPU, real_of(ToyDomain()))
    after = played.critic.net.state_dict(), played.critic.state_dict()["optimiser"]["state"]
    assert all(torch.equal(value, after[0][name]) for name, value in before[0].items())
    for index, state in before[1].items():
        assert all(torch.equal(value, after[1][index][key]) for key, value in state.items())
    assert all(p.grad is None and p.requires_grad for p in played.critic.net.parameters())
    assert not all(map(torch.equal, weights, played.generator.net.parameters()))


def test_the_recipe_looks_five_steps_ahead():
    played = recipe_game("unrolled")
    assert type(played) is Unrolled and played.unroll == 5 and played.needs_reals
    group = played.critic.optimiser.param_groups[0]
    assert (group["lr"], group["betas"]) == (1e-4, (0.5, 0.999))


@pytest.mark.parametrize(
    ("parts", "domain", "values", "sentence"),
    [
        (
            ["hinge"],
            ToyDomain(norm=nn.BatchNorm1d),
            {},
            r"has batch norm.*: use a critic without it .*, or use --unroll 0",
        ),
        (
            ["wasserstein", "clip"],
            None,
            {},
            r"clip changes its weights.*: leave it out with --without clip, or use --unroll 0",
        ),
        (["hinge", "spectral"], None, {}, r"spectral changes its weights.*--without spectral, or use --unroll 0"),
        (["hinge", "weight-norm"], None, {}, r"--without weight-norm, or use --unroll 0"),
        (["hinge", "orthonormal-projection"], None, {}, r"--without orthonormal-projection, or use --unroll 0"),
        (["began"], None, {}, r"began has a controller that .*: use another loss, or use --unroll 0"),
        (["hinge"], None, {"accumulate": 2}, r"the whole batch at once: leave --accumulate out, or use --unroll 0"),
    ],
    ids=["batch-norm", "clip", "spectral", "weight-norm", "orthonormal-projection", "began", "accumulate"],
)
def test_what_cannot_be_differentiated_through_is_refused(parts, domain, values, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        game(parts, domain, unroll=2, **values)
    assert str(caught.value).startswith("--unroll differentiates through the critic's steps, and ")
    game(parts, domain, **values)  # plays in the ordinary game


def test_constraints_on_the_generator_alone_play():
    domain = ToyDomain()
    for constraint in ("spectral", "clip", "orthonormal-projection"):
        played = game(["hinge", constraint], domain, {f"{constraint}.on": "generator"}, unroll=2)
        play(played, 2, domain)


@pytest.mark.parametrize(
    "optimiser",
    [
        partial(torch.optim.SGD, lr=0.1),
        partial(torch.optim.AdamW, lr=0.1),
        partial(torch.optim.Adam, weight_decay=0.1),
        partial(torch.optim.Adam, amsgrad=True),
        partial(torch.optim.RMSprop, momentum=0.9),
        partial(torch.optim.RMSprop, centered=True),
        lambda parameters: torch.optim.Adam([{"params": [p]} for p in parameters]),
    ],
)
def test_an_optimiser_without_a_differentiable_form_is_refused(optimiser):
    played = begun()
    played.critic.optimiser = optimiser(played.critic.net.parameters())
    with pytest.raises(UsageError, match=r"no differentiable form: use --optimizer adam or rmsprop"):
        refuse_unrolling(played)
