"""Precision and compilation change how a step runs, not what it computes."""

import contextlib
import io
import shutil

import pytest
import torch

from gan_core.errors import UsageError
from gan_core.game import prior
from gan_core.parts import penalties
from gan_core.parts.base import REGISTRY, Penalty
from gan_core.recipes.published import RECIPES
from gan_core.runtime import engine
from gan_core.runtime.device import pick_device
from gan_core.runtime.engine import Engine
from tests.toy import CPU, LABELLED, ToyDomain, domain_of, game, labelled, play, recipe_game


@pytest.fixture(autouse=True)
def without_a_compiler_one_graph_all_the_same(monkeypatch):
    """Where there is no C++ compiler, a step is still traced as one graph, whose operations are run as they are."""
    if not shutil.which("g++"):
        monkeypatch.setattr(Engine, "_compiler", lambda self: {"backend": "aot_eager"})


def gradients(parts, domain=None, **values):
    played = game(parts, domain, **values)
    real = (domain or ToyDomain()).batch(torch.arange(8).numpy(), CPU)
    played.critic.learn = lambda parts: {"gradient": torch.zeros(()), "skipped": torch.zeros(())}
    with contextlib.redirect_stderr(io.StringIO()) as said:
        played.critic_step(real)
    assert not said.getvalue()  # it was compiled
    return torch.cat([p.grad.flatten() for p in played.critic.net.parameters() if p.grad is not None])


def test_penalty_gradients_compiled_equal_eager():
    """Trap 6: compilation that drops or refuses the penalty's gradient."""
    eager = gradients(["wasserstein", "gp"])
    compiled = gradients(["wasserstein", "gp"], compile=True)
    alone = gradients(["wasserstein"])
    assert not torch.allclose(eager, alone, atol=1e-3)  # the penalty has a gradient to lose
    torch.testing.assert_close(compiled, eager, rtol=1e-5, atol=1e-5)


def test_a_compiled_gradient_lies_in_memory_as_its_parameter_does():
    """Trap: a fused optimiser reads both by their addresses, and torch.compile lays gradients out as it likes."""
    net, x = torch.nn.Linear(3, 4, bias=False), torch.randn(3, 4)
    optimiser, before = torch.optim.Adam(net.parameters(), fused=True), net.weight.detach().clone()
    step = Engine(CPU, compile=True).differentiated(net, lambda x: ((net.weight.t() * x).sum(), x + 1))
    with contextlib.redirect_stderr(io.StringIO()) as said:
        step(x)
    assert not said.getvalue() and net.weight.grad.stride() == net.weight.stride() != x.t().stride()
    optimiser.step()
    torch.testing.assert_close((before - net.weight).sign(), x.t().sign())


def test_steps_of_one_process_are_compiled_apart_each_for_its_sizes(monkeypatch):
    """Trap: torch.compile counts what it compiled of one function's code, and gives up after 8; what it has seen in two
    sizes it compiles for any, which is slow."""
    seen = []

    def look(graph, inputs):
        seen.append(any(isinstance(size, torch.SymInt) for value in inputs for size in getattr(value, "shape", ())))
        return graph

    monkeypatch.setattr(Engine, "_compiler", lambda self: {"backend": look})
    with contextlib.redirect_stderr(io.StringIO()) as said:
        for size in range(2, 12):
            net = torch.nn.Linear(size, 1, bias=False)
            step = Engine(CPU, compile=True).differentiated(net, lambda x, net=net: (net(x).sum(), x + 1))
            step(torch.ones(3, size))
            torch.testing.assert_close(net.weight.grad, torch.full((1, size), 3.0))
    assert not said.getvalue() and seen == [False] * 10


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, p in REGISTRY.items() if issubclass(p, Penalty)])
def test_every_penalty_compiled_equals_eager(name):
    eager, compiled = gradients(["wasserstein", name]), gradients(["wasserstein", name], compile=True)
    torch.testing.assert_close(compiled, eager, rtol=1e-5, atol=1e-5)


@pytest.fixture
def drawn_in_float32(monkeypatch):
    """Random numbers do not depend on the type that a step is computed in."""

    class Narrow:
        def __getattr__(self, name):
            return getattr(torch, name)

        def rand(self, *shape, **how):
            return torch.rand(*shape, dtype=torch.float32, **how).to(torch.get_default_dtype())

        def randn(self, *shape, **how):
            return torch.randn(*shape, dtype=torch.float32, **how).to(torch.get_default_dtype())

    def drawn(draw, *shape, dtype, **how):
        return draw(*shape, dtype=torch.float32, **how).to(dtype)

    monkeypatch.setattr(prior, "torch", Narrow())
    monkeypatch.setattr(penalties, "drawn", drawn)
    yield
    torch.set_default_dtype(torch.float32)


def both_gradients(name, like=None, **values):
    """The gradients of both players of a recipe, by network, at the weights of another game if one is given."""
    played = recipe_game(name, **values)
    found = {}
    for role in ("critic", "generator"):
        player = getattr(played, role)
        if like is not None:
            player.net.load_state_dict(getattr(like, role).net.state_dict())
        player.learn = lambda parts: {"gradient": torch.zeros(()), "skipped": torch.zeros(())}
    real = domain_of(name).batch(torch.arange(8).numpy(), CPU).to(torch.get_default_dtype())
    with contextlib.redirect_stderr(io.StringIO()) as said:
        played.critic_step(real)
        played.generator_step(8, CPU, real if played.needs_reals else None)
    assert not said.getvalue()  # it was compiled
    for role in ("critic", "generator"):
        parameters = getattr(played, role).net.parameters()
        found[role] = torch.cat([p.grad.flatten().double() for p in parameters if p.grad is not None])
    return played, found


def assert_gradients_are_those_of_float64(name):
    torch._dynamo.reset()  # which compiles a function so many times and no more
    game, eager = both_gradients(name)
    _, compiled = both_gradients(name, game, compile=True)
    _, narrow = both_gradients(name, game, precision="bf16")
    torch.set_default_dtype(torch.float64)
    _, exact = both_gradients(name, game)
    for role, true in exact.items():
        size = torch.linalg.vector_norm(true)
        assert size > 1e-6
        for found, tolerance in ((eager, 1e-5), (compiled, 1e-5), (narrow, 0.05)):
            assert torch.linalg.vector_norm(found[role] - true) < tolerance * size, (role, tolerance)


@pytest.mark.parametrize("name", ["wgan-gp", "r3gan"])
def test_a_step_has_the_gradients_of_float64(name, drawn_in_float32):
    """Both players' gradients, penalties included: eager and compiled to 1e-5 of their size, in bf16 to a twentieth."""
    assert_gradients_are_those_of_float64(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipes_step_has_the_gradients_of_float64(name, drawn_in_float32):
    assert_gradients_are_those_of_float64(name)


def test_labels_and_codes_compiled_equal_eager():
    parts = ["hinge", "projection", "infogan"]
    eager, compiled = gradients(parts, labelled()), gradients(parts, labelled(), compile=True)
    torch.testing.assert_close(compiled, eager, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(eager, gradients(parts, labelled(), seed=1), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*LABELLED, "infogan"])
def test_every_conditional_recipe_compiled_equals_eager(name):
    torch._dynamo.reset()  # which compiles a function so many times and no more
    parts = RECIPES[name].parts
    eager, compiled = gradients(parts, labelled()), gradients(parts, labelled(), compile=True)
    torch.testing.assert_close(compiled, eager, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "parts", [["hinge", "acgan", "projection", "infogan"], ["sgan"], ["catgan"], ["began", "concat"]]
)
def test_heads_and_scores_stay_wide_in_bf16(parts):
    played = game(parts, labelled(), precision="bf16")
    heads = []
    played.critic.net.register_forward_hook(lambda module, inputs, output: heads.append(output[1]))
    play(played, 1, labelled())
    assert len(heads) == 3 and all(value.dtype == torch.float32 for found in heads for value in found.values())
    fp32, bf16 = gradients(parts, labelled()), gradients(parts, labelled(), precision="bf16")
    assert torch.cosine_similarity(fp32, bf16, dim=0) > 0.999


def test_bf16_is_near_fp32_and_gradients_stay_in_float32():
    fp32, bf16 = gradients(["wasserstein", "gp"]), gradients(["wasserstein", "gp"], precision="bf16")
    assert torch.cosine_similarity(fp32, bf16, dim=0) > 0.999
    played = game(["wasserstein", "gp"], precision="bf16")
    play(played, 2, ToyDomain())
    assert all(p.dtype == torch.float32 for p in played.critic.net.parameters())


def test_a_failing_compilation_is_one_sentence_and_the_step_is_scorer(capsys, monkeypatch):
    def refuse(function, **options):
        def fail(*args):
            raise torch._dynamo.exc.Unsupported("no compiler here\nand more lines")

        return fail

    monkeypatch.setattr(torch, "compile", refuse)
    net = torch.nn.Linear(1, 1, bias=False)
    wrapped = Engine(CPU, compile=True).differentiated(net, lambda x: ((net(x)).sum(), x + 1))
    for turn in (1.0, 2.0):
        net.zero_grad()
        assert wrapped(torch.full((1, 1), turn)) == turn + 1 and net.weight.grad == turn
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and "--compile" in printed and "no compiler here" in printed


def test_an_impossible_device_is_one_sentence():
    for name in ("nonsense", "cuda:99", "meta:0:1"):
        with pytest.raises(UsageError, match=r"--device"):
            pick_device(name)
    assert pick_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("native, chosen", [(True, "bf16"), (False, "fp32")])
def test_auto_precision_is_what_the_processor_is_fast_at(native, chosen, monkeypatch):
    monkeypatch.setattr(engine, "has_bf16", lambda device: native)
    assert Engine(CPU, precision="auto").precision == chosen
    assert game(["wasserstein", "gp"], precision="auto").engine.precision == chosen


def test_cuda_graphs_without_cuda_are_one_sentence(capsys):
    assert not Engine(CPU, cuda_graphs=True).cuda_graphs
    assert capsys.readouterr().err.strip().splitlines() == ["--cuda-graphs needs an NVIDIA GPU and does nothing on cpu"]
