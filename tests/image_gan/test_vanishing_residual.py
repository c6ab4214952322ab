"""BEGAN's vanishing residual: the share by step, the identity at its start, today's network at its end."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from gan_core.game.player import Player
from gan_core.networks.timed import Timed, at_step
from image_gan.networks import ARCHS, Shape
from image_gan.networks.began import Vanishing

SHAPE = Shape(size=28, channels=1, width=4, generator_width=4, generator_norm="none")


def nets(**options):
    torch.manual_seed(0)
    began = ARCHS["began"](**options)
    return began.build_generator(6, SHAPE), began.build_trunk(SHAPE)


def inputs():
    return torch.randn(3, 6), torch.rand(3, 1, 28, 28)


def blocks(net):
    return [module for module in net.modules() if isinstance(module, Vanishing)]


def test_the_carry_by_step():
    net = nn.Sequential(Vanishing(nn.ReLU(), steps=16_000), Vanishing(nn.ReLU(), steps=1000))
    carries = []
    for step in (0, 1000, 8000, 15_999, 16_000, 20_000, 4000):  # the last one: no memory of the steps before
        at_step(net, step)
        carries.append([float(block.carry) for block in net])
    first, second = zip(*carries, strict=True)
    assert first == pytest.approx((1, 0.9375, 0.5, 1 / 16_000, 0, 0, 0.75), abs=1e-7)
    assert second == (1, 0, 0, 0, 0, 0, 0)


def test_the_formula():
    block, x = Vanishing(nn.Linear(5, 5), nn.ELU(), steps=100), torch.randn(2, 5)
    at_step(block, 25)
    f = nn.functional.elu(nn.functional.linear(x, block[0].weight, block[0].bias))
    torch.testing.assert_close(block(x), 0.75 * x + 0.25 * f)


@pytest.mark.parametrize(("options", "counts"), [({}, (3, 3)), ({"skip": True}, (1, 3))])
def test_at_the_start_every_block_is_the_identity(options, counts):
    """Three stages at 28 pixels, in either network; with `skip` the decoder's later ones change their channels."""
    for net, data, count in zip(nets(residual_steps=10, **options), inputs(), counts, strict=True):
        seen = []
        for block in blocks(net):
            block.register_forward_hook(lambda _, x, y, seen=seen: seen.append(torch.equal(x[0], y)))
        net(data)
        assert seen == [True] * count
        at_step(net, 1)
        net(data)
        assert seen[count:] == [False] * count


@pytest.mark.parametrize("options", [{}, {"skip": True}])
def test_at_the_end_the_networks_are_those_without(options):
    for plain, net, data in zip(nets(**options), nets(residual_steps=10, **options), inputs(), strict=True):
        assert blocks(net) and not blocks(plain)
        assert not torch.equal(net(data), plain(data))
        at_step(net, 10)
        assert torch.equal(net(data), plain(data))
        assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in plain.parameters())


def test_without_steps_nothing_is_timed():
    assert not any(isinstance(module, Timed) for net in nets() for module in net.modules())


def test_the_carry_is_saved_and_loaded(tmp_path):
    (net, _), (z, _) = nets(residual_steps=10), inputs()
    at_step(net, 4)
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, tmp_path / "net.safetensors")
    other, _ = nets(residual_steps=10)
    other.load_state_dict(load_file(tmp_path / "net.safetensors"))
    assert torch.equal(other(z), net(z)) and float(blocks(other)[0].carry) == pytest.approx(0.6)


def test_the_averaged_network_follows():
    net, _ = nets(residual_steps=10)
    player = Player(net, torch.optim.SGD(net.parameters(), 0.0), ema=0.9)
    at_step(net, 7)
    net(inputs()[0]).sum().backward()
    player.learn()
    assert player.average is not None
    assert [float(block.carry) for block in blocks(player.average)] == pytest.approx([0.3] * 3)


def test_one_graph_serves_every_step():
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    (net, _), (z, _) = nets(residual_steps=10), inputs()
    compiled = torch.compile(net, backend=backend, fullgraph=True)
    for step in (0, 3, 9, 10, 11):
        at_step(net, step)
        assert torch.equal(compiled(z), net(z))
    assert len(graphs) == 1
