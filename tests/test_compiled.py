"""Compiled steps train networks to the weights that they have uncompiled: optimiser, averages and buffers included."""

import contextlib
import io

import pytest
import torch

from benchmarks.steps import Case, Setting
from gan_core.runtime.engine import Engine
from image_gan.settings import IMAGE
from point_gan.settings import POINTS
from seqgan_gp.settings import TEXT

CPU = torch.device("cpu")
TEXT_SIZES = {"width": 8, "depth": 1, "batch_size": 4, "critic_steps": 2}
SIZES = {"arch": "dcgan", "width": 8, "generator_width": 8, "size": 16, "batch_size": 4, "critic_steps": 2}
CASES = {
    "text": Case("", TEXT, "wgan-gp", TEXT_SIZES),
    "dcgan": Case("", IMAGE, "dcgan", SIZES),
    "resnet": Case("", IMAGE, "wgan-gp", SIZES | {"arch": "resnet"}),
    "sn-cnn": Case("", IMAGE, "sngan", SIZES | {"arch": "sn-cnn"}),
    "began": Case("", IMAGE, "began", SIZES | {"arch": "began", "size": 28}),
    "unrolled": Case("", IMAGE, "unrolled", SIZES | {"unroll": 2}),
    "points": Case("", POINTS, "wgan-gp", {"width": 8, "batch_size": 8, "critic_steps": 2}),
    "began, residual": Case("", IMAGE, "began", SIZES | {"arch": "began", "size": 28, "began.residual_steps": 4}),
    "mlp": Case("", IMAGE, "gan", SIZES | {"arch": "mlp"}),
}


def trained(case, steps=3, **how):
    """The state of both networks and their averages after some iterations: a large eps keeps small gradients small."""
    setting = Setting(case, CPU, preset="small", precision="fp32", ema=0.9, **how)
    game = setting.game()
    for player in (game.generator, game.critic):
        player.optimiser.param_groups[0]["eps"] = 1e-3
    with contextlib.redirect_stderr(io.StringIO()) as said:
        for _ in range(steps):
            setting.iteration(game)
    assert not said.getvalue()  # it was compiled
    nets = {"generator": game.generator.net, "critic": game.critic.net, "average": game.generator.best}
    return {f"{role}.{name}": value for role, net in nets.items() for name, value in net.state_dict().items()}


def assert_compiled_trains_as_eager(name):
    torch._dynamo.reset()
    eager, compiled = trained(CASES[name], compile=False), trained(CASES[name], compile=True)
    begun = trained(CASES[name], steps=0, compile=False)
    assert eager.keys() == compiled.keys()
    for key, value in eager.items():
        if value.is_floating_point():
            moved = (value - begun[key]).abs().max()
            torch.testing.assert_close(compiled[key], value, rtol=1e-3, atol=float(1e-3 * moved + 1e-6), msg=key)
        else:
            assert torch.equal(compiled[key], value), key


@pytest.fixture
def traced_only(monkeypatch):
    """One graph, whose operations are run as they are: without a C++ compiler."""
    monkeypatch.setattr(Engine, "_compiler", lambda self: {"backend": "aot_eager"})


@pytest.mark.parametrize("name", CASES)
def test_a_traced_step_trains_as_an_eager_one_does(name, traced_only):
    assert_compiled_trains_as_eager(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_compiled_step_trains_as_an_eager_one_does(name):
    assert_compiled_trains_as_eager(name)
