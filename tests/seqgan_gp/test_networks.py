"""The paper's networks, to the letter."""

import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from gan_core.discovery import import_all
from gan_core.errors import UsageError
from gan_core.networks.conditional import ConcatEntry, ProjectionEntry
from gan_core.networks.critic import ScoringCritic
from gan_core.parts import catalogue
from gan_core.recipes.plan import settle
from seqgan_gp import choices, networks
from seqgan_gp.networks import base
from seqgan_gp.networks.base import Shape, initialise, make_network
from seqgan_gp.networks.wgan_gp import ResBlock
from seqgan_gp.settings import TEXT


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def paper(symbols=100):
    s = settle(TEXT, {"preset": "paper"}).settings(TEXT)
    network = make_network(s.arch, shape(symbols, s.seq_len, s.width, s.depth, s.kernel, s.res_scale))
    trunk, features = network.trunk()
    return network.generator(s.z_dim), ScoringCritic(trunk, features, {})


def shape(symbols, length, width, depth, kernel=5, scale=0.3):
    return Shape(symbols=symbols, length=length, width=width, depth=depth, kernel=kernel, res_scale=scale)


def generator_of(inputs, *sizes):
    return make_network("wgan-gp", shape(*sizes)).generator(inputs)


def trunk_of(*sizes):
    return make_network("wgan-gp", shape(*sizes)).trunk()[0]


def test_parameters_of_the_paper():
    generator, critic = paper()
    block = 2 * (512 * 512 * 5 + 512)
    assert parameters(generator) == 128 * 512 * 32 + 512 * 32 + 5 * block + 512 * 100 + 100 == 15_277_156
    assert parameters(critic) == 100 * 512 + 512 + 5 * block + 512 * 32 + 1 == 13_180_417


def test_generator_emits_a_softmax_over_the_symbols():
    generator, critic = paper(symbols=7)
    x = generator(torch.randn(3, 128))
    assert x.shape == (3, 7, 32)
    torch.testing.assert_close(x.sum(1), torch.ones(3, 32))
    assert ((x > 0) & (x < 1)).all()  # nothing was sampled or rounded
    assert torch.equal(generator(torch.zeros(1, 128)), generator(torch.zeros(1, 128)))
    features, heads = critic(x)
    assert features.shape == (3, 512 * 32) and heads["score"].shape == (3,)
    heads["score"].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in generator.parameters())


def test_block_is_the_formula_and_keeps_its_shortcut():
    """Trap 2: a ReLU in place at the head of the block overwrites x, and with it the shortcut."""
    block = ResBlock(6, 5, 0.3)
    x = -torch.rand(2, 6, 1, 9)
    kept = x.clone()
    f = block.conv2(torch.relu(block.conv1(torch.relu(x))))
    torch.testing.assert_close(block(x) - 0.3 * f, kept)
    assert torch.equal(x, kept)

    faulty = nn.Sequential(nn.ReLU(inplace=True), block.conv1, nn.ReLU(inplace=True), block.conv2)
    y = x.clone()
    wrong = y + 0.3 * faulty(y)
    assert not torch.allclose(wrong - 0.3 * f, kept)


def test_nothing_normalises_and_nothing_is_in_place():
    for net in paper(symbols=5):
        kinds = {type(module) for module in net.modules()}
        assert not any("Norm" in kind.__name__ or "Dropout" in kind.__name__ for kind in kinds)
        assert not any(getattr(module, "inplace", False) for module in net.modules())


def test_initialisation_of_the_authors():
    generator, critic = paper(symbols=100)
    for net in (generator, critic):
        initialise(net, "paper")
        for module in net.modules():
            if isinstance(module, nn.Conv1d):
                out, into, kernel = module.weight.shape
                std = math.sqrt(4 / (kernel * (into + out)))
            elif isinstance(module, nn.Linear):
                std = math.sqrt(2 / sum(module.weight.shape))
            else:
                continue
            assert float(module.weight.detach().std()) == pytest.approx(std, rel=0.03)
            assert float(module.weight.detach().abs().max()) <= std * math.sqrt(3) * (1 + 1e-6)  # uniform
            assert (module.bias == 0).all()


def test_torchs_initialisation_is_left_alone_and_differs():
    torch.manual_seed(0)
    untouched = generator_of(8, 5, 4, 64, 1)
    torch.manual_seed(0)
    net = generator_of(8, 5, 4, 64, 1)
    initialise(net, "torch")
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), untouched.parameters(), strict=True))
    initialise(net, "paper")
    ratio = net.blocks[0].conv1.weight.std() / untouched.blocks[0].conv1.weight.std()
    assert 1.3 < float(ratio.detach()) < 4.7


def test_even_kernels_are_refused():
    with pytest.raises(UsageError, match="--kernel 4"):
        settle(TEXT, {"kernel": 4}).settings(TEXT)


def test_the_trunk_takes_the_planes_of_labels():
    """More channels behind the symbols, one-hot by label at every position: a shift of the first convolution."""
    torch.manual_seed(0)
    trunk = trunk_of(7 + 3, 9, 4, 1)
    critic = ScoringCritic(trunk, trunk.features, {}, labels=ConcatEntry(3))
    x, y = torch.rand(4, 7, 9), torch.tensor([2, 0, 2, -1])
    plain = trunk_of(7, 9, 4, 1)
    plain.blocks.load_state_dict(trunk.blocks.state_dict())
    for i, label in enumerate(y.tolist()):
        with torch.no_grad():
            shift = trunk.symbols.weight[:, 7 + label, 0] if label >= 0 else torch.zeros(4)
            plain.symbols.weight.copy_(trunk.symbols.weight[:, :7])
            plain.symbols.bias.copy_(trunk.symbols.bias + shift)
            torch.testing.assert_close(critic(x, y)[0][i], plain(x)[i])


@pytest.mark.parametrize("init", ["paper", "torch"])
def test_the_embedding_of_a_projection_stays_glorot_uniform(init):
    trunk = trunk_of(7, 16, 32, 1)
    critic = ScoringCritic(trunk, trunk.features, {}, labels=ProjectionEntry(10, trunk.features))
    initialise(critic, init)
    weight, std = critic.labels.embed.weight.detach(), math.sqrt(2 / (10 + trunk.features))
    assert float(weight.std()) == pytest.approx(std, rel=0.05)
    assert float(weight.abs().max()) <= std * math.sqrt(3) * (1 + 1e-6)


@pytest.mark.parametrize(("length", "width", "depth", "kernel"), [(1, 4, 0, 1), (7, 3, 1, 3), (64, 8, 2, 7)])
def test_other_sizes(length, width, depth, kernel):
    generator, trunk = generator_of(5, 9, length, width, depth, kernel), trunk_of(9, length, width, depth, kernel)
    x = generator(torch.randn(2, 5))
    assert x.shape == (2, 9, length) and trunk(x).shape == (2, width * length)


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("autocast", [False, True])
def test_the_form_of_a_compiled_step_is_the_same_function(kernel, autocast, monkeypatch):
    """Sequences as columns of one map, and in float32 convolutions by fewer products."""
    length = 10
    generator, trunk = generator_of(4, 7, length, 16, 2, kernel), trunk_of(7, length, 16, 2, kernel)
    z = torch.randn(3, 4)

    def gradients():
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            x = generator(z)
            features = trunk(x)
        assert x.shape == (3, 7, length) and features.shape == (3, 16 * length)
        wanted = [*generator.parameters(), *trunk.parameters()]
        return [x, features, *torch.autograd.grad(features.float().square().sum(), wanted)]

    expected = gradients()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for found, value in zip(gradients(), expected, strict=True):
        size = torch.linalg.vector_norm(value.float())
        assert torch.linalg.vector_norm(found.float() - value.float()) < (0.05 if autocast else 1e-5) * size


PLANTED = '''
"""A network to try."""

from torch import nn

from gan_core.parts.fields import option
from gan_core.parts import catalogue
from seqgan_gp import choices, networks
from seqgan_gp.networks import base
from seqgan_gp.networks.base import TextNetwork


class Flat(TextNetwork, name="flat"):
    """One linear layer."""

    scale: float = option(2.0, "factor of the logits", above=0.0)

    def generator(self, inputs):
        size = self.shape.symbols * self.shape.length
        return nn.Sequential(nn.Linear(inputs, size), nn.Unflatten(1, (-1, self.shape.length)), nn.Softmax(1))

    def trunk(self, more=0):
        return nn.Flatten(), (self.shape.symbols + more) * self.shape.length
'''


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """The folder of a network that belongs to the folder of networks."""
    (tmp_path / "flat.py").write_text(PLANTED)
    import_all(networks)  # before the table is copied: a module registers only once
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(tmp_path)])
    monkeypatch.setattr(base, "NETWORKS", dict(base.NETWORKS))
    yield tmp_path
    sys.modules.pop("seqgan_gp.networks.flat", None)


def test_the_choices_of_arch_are_the_registered_networks():
    import_all(networks)
    assert set(choices.ARCHS) == set(base.NETWORKS)
    with pytest.raises(UsageError, match="--arch lstm does not exist: choose from wgan-gp"):
        make_network("lstm", shape(5, 4, 3, 1))


def test_a_network_is_one_file(planted):
    (declared,) = catalogue.classes_of(planted / "flat.py", "seqgan_gp.networks.flat")
    assert declared.name == "flat" and [option.name for option in declared.options()] == ["scale"]
    network = make_network("flat", shape(5, 4, 3, 1), {"scale": 3.0})
    assert network.scale == 3.0 and make_network("flat", shape(5, 4, 3, 1)).scale == 2.0
    assert [field.name for field in network.options()] == ["scale"]
    x = network.generator(8)(torch.randn(2, 8))
    assert x.shape == network.decoder(8)(torch.randn(2, 8)).shape == (2, 5, 4)
    torch.testing.assert_close(x.sum(1), torch.ones(2, 4))
    assert network.trunk(3)[1] == 32
    with pytest.raises(UsageError, match="--arch flat has no option rate: it has scale"):
        make_network("flat", shape(5, 4, 3, 1), {"rate": 1})
    with pytest.raises(UsageError, match="--arch wgan-gp has no option scale: it has none"):
        make_network("wgan-gp", shape(5, 4, 3, 1), {"scale": 1})


def test_two_networks_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two text networks are called 'wgan-gp': WganGp and Again"):

        class Again(base.TextNetwork, name="wgan-gp"):
            pass


def test_choices_come_without_torch():
    code = "import sys, seqgan_gp.choices as c; assert c.ARCHS == ('wgan-gp',); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
