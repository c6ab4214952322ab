"""The plain reference of the benchmarks and the toolkit learn the same: ratios of speed compare like with like."""

import pytest
import torch

from benchmarks.plain import ImageBlock, gradient_penalty
from benchmarks.steps import CASES, Setting, floor, table
from benchmarks.timing import Timed, in_turns

CPU = torch.device("cpu")
SMALL = {"text-128": {"width": 8, "batch_size": 4}, "resnet-wgan-gp": {"width": 8, "batch_size": 4}}


def copied(mine, plain, real):
    """The toolkit's critic with the weights of the plain one."""
    with torch.no_grad():
        for its, ours in zip(plain.parameters(), mine.parameters(), strict=True):
            if real.x.ndim == 3 and its.ndim == 2:  # the head sees rows flattened by symbols, ours by positions
                its = its.unflatten(1, (-1, real.x.shape[2])).transpose(1, 2).flatten(1)
            ours.copy_(its.view_as(ours))
    return mine


@pytest.mark.parametrize("name", SMALL)
def test_the_plain_critic_step_has_the_gradients_of_the_toolkits(name):
    setting = Setting(CASES[name], CPU, **SMALL[name])
    plain = setting.plain()
    game = setting.game()
    copied(game.critic.net, plain.critic, setting.real)
    fake = torch.rand_like(setting.real.x)
    torch.manual_seed(1)
    loss = plain.critic(fake).mean() - plain.critic(setting.real.x).mean()
    loss = loss + gradient_penalty(plain.critic, setting.real.x, fake)
    loss.backward()
    torch.manual_seed(1)
    ours, _, _ = game._critic_loss(setting.real, type(setting.real)(fake), frozenset({"gp"}))
    ours.backward()
    torch.testing.assert_close(ours, loss, rtol=1e-4, atol=1e-4)
    norms = [torch.stack([p.grad.norm() for p in net.parameters()]) for net in (plain.critic, game.critic.net)]
    torch.testing.assert_close(norms[1], norms[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_every_case_has_networks_of_the_published_size_on_both_sides(name):
    given = {} if name.startswith("resnet") else {"width": 16}
    setting = Setting(CASES[name], CPU, **given)
    plain, game = setting.plain(), setting.game()
    for theirs, ours in ((plain.generator, game.generator.net), (plain.critic, game.critic.net)):
        assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())
    assert floor(setting, plain) > 0
    small = setting.real.x[:2]
    assert torch.isfinite(plain.critic_step(small))


def test_tasks_take_turns_and_the_table_gives_ratios():
    order = []
    timed = in_turns({"plain": lambda: order.append("a"), "fp32": lambda: order.append("b")}, 3, CPU)
    assert order == ["a", "b", "a", "b", "b", "a", "a", "b"] and timed["plain"].ratio == 1
    found = {"title": "T", "gflop": 10.0, "critic step": {"plain": Timed(1, 1, 1, 1), "fp32": Timed(0.5, 2, 1.5, 3)}}
    row = table([found], {"fp32": 40.0}).splitlines()[-1]
    assert row == "| T | critic step | fp32 | 500.0 | 2.00 (1.50, 3.00) | 20 (50%) |"


def test_a_block_adds_its_shortcut():
    x = torch.randn(1, 3, 4, 4)
    assert torch.equal(ImageBlock([], [])(x), 2 * x)
