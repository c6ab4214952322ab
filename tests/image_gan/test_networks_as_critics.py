"""What penalties and constraints need of the architectures, and the traps of residual blocks."""

import pytest
import torch
from torch import nn

from gan_core.networks.critic import AutoencoderCritic, ScoringCritic, judge, mixes_samples
from gan_core.networks.timed import at_step
from gan_core.networks.weights import TRANSPOSED, matrix, weighted_layers
from gan_core.parts.constraints import SpectralNorm
from gan_core.parts.penalties import GradientPenalty
from gan_core.sample import Sample
from image_gan.networks import ARCHS, Shape, initialise
from image_gan.networks.resnet import Residual, down_block, first_block, plain_block, up_block

PAIRS = [(arch, norm) for arch in ARCHS for norm in ARCHS[arch].norms]
APART = [(arch, norm) for arch, norm in PAIRS if norm != "batch"]
SHAPE = dict(size=28, channels=3, width=4, generator_width=4)


def made(arch, norm="none", **other):
    trunk = ARCHS[arch]().build_trunk(Shape(**{**SHAPE, **other}, critic_norm=norm))
    return ScoringCritic(trunk, trunk.features, {})


def autoencoder(**options):
    shape, began = Shape(**SHAPE, generator_norm="none"), ARCHS["began"](**options)
    trunk, decoder = began.build_trunk(shape), began.build_generator(6, shape)
    return AutoencoderCritic(trunk, trunk.features, 6, decoder, {}, "absolute error", 1.0)


def images(count):
    """As the data comes: a view with the channels last."""
    return (2 * torch.rand(count, 28, 28, 3) - 1).permute(0, 3, 1, 2)


def penalised(critic):
    real, fake = (judge(critic, Sample(images(3))) for _ in range(2))
    cost = GradientPenalty()(critic, real, fake)
    cost.backward()
    gradients = [p.grad for p in critic.parameters() if p.grad is not None]
    assert torch.isfinite(cost) and all(gradient.isfinite().all() for gradient in gradients)
    assert sum(bool(gradient.any()) for gradient in gradients) > len(gradients) / 3
    return cost


@pytest.mark.parametrize(("arch", "norm"), APART)
def test_a_gradient_penalty_can_be_differentiated(arch, norm):
    penalised(made(arch, norm))


@pytest.mark.parametrize("options", [{}, {"skip": True}, {"residual_steps": 10}])
def test_a_gradient_penalty_on_an_autoencoder(options):
    critic = autoencoder(**options)
    at_step(critic, 5)
    penalised(critic)


@pytest.mark.parametrize("arch", ["dcgan", "resnet"])
def test_gradient_in_judge_is_that_of_autograd(arch):
    critic, x = made(arch, "layer"), images(3)
    verdict = judge(critic, Sample(x), gradient=True)
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(critic(leaf)[1]["score"].sum(), leaf)
    torch.testing.assert_close(verdict.gradient, expected)


def reach(critic):
    """(i, j): whether sample i's score depends on sample j."""
    x = images(3).requires_grad_()
    scores = critic(x)[1]["score"]
    rows = [torch.autograd.grad(score, x, retain_graph=True)[0].flatten(1).norm(dim=1) > 0 for score in scores]
    return torch.stack(rows)


@pytest.mark.parametrize(("arch", "norm"), PAIRS)
def test_samples_do_not_see_one_another_but_through_batch_norm(arch, norm):
    critic = made(arch, norm)
    assert mixes_samples(critic) == (norm == "batch")
    assert torch.equal(reach(critic), torch.ones(3, 3).bool() if norm == "batch" else torch.eye(3).bool())


@pytest.mark.parametrize(("arch", "norm"), [pair for pair in APART if pair[1] != "none"])
def test_norms_of_the_critic_have_parameters_per_channel(arch, norm):
    norms = [module for module in made(arch, norm).modules() if isinstance(module, nn.GroupNorm)]
    assert norms
    for module in norms:
        assert module.weight.shape == module.bias.shape == (module.num_channels,)  # and not (C, H, W)
        assert module.num_groups == (1 if norm == "layer" else module.num_channels)


def test_layer_norm_is_over_channels_and_pixels():
    layer = next(m for m in made("dcgan", "layer").modules() if isinstance(m, nn.GroupNorm))
    x = torch.randn(2, layer.num_channels, 5, 5) * 3 + 1
    rows = x.flatten(1)
    expected = (rows - rows.mean(1, keepdim=True)) / (rows.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(layer(x).flatten(1), expected)


def in_place(block):
    """The faulty version of trap 2."""
    layers = [nn.ReLU(inplace=True) if isinstance(layer, nn.ReLU) else layer for layer in block.residual]
    return Residual(layers, [*block.shortcut])


BLOCKS = {
    "up": (lambda: up_block(3, "none"), True),
    "down": (lambda: down_block(3, "none"), True),
    "plain": (lambda: plain_block(3, "none"), True),
    "first": (lambda: first_block(3, 3), False),  # it starts with a convolution: in place would do no harm
}


def keeps_its_shortcut(block, straight):
    x = -torch.rand(2, 3, 8, 8)
    kept = x.clone()
    residual, shortcut = straight.residual(x.clone()), straight.shortcut(x.clone())
    y = block(x)
    return torch.equal(x, kept) and torch.allclose(y - residual, shortcut, atol=1e-6)


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_keeps_its_shortcut(name):
    make, vulnerable = BLOCKS[name]
    with torch.no_grad():
        block = make()
        assert keeps_its_shortcut(block, block)
        assert keeps_its_shortcut(in_place(block), block) != vulnerable


@pytest.mark.parametrize("name", ["up", "down"])
def test_cheap_shortcuts_are_the_published_ones(name):
    """A 1x1 convolution of the larger map, as the authors' code has it, gives the same."""
    block, x = BLOCKS[name][0](), torch.randn(2, 3, 8, 8)
    one = next(layer for layer in block.shortcut if isinstance(layer, nn.Conv2d))
    published = one(nn.Upsample(scale_factor=2)(x)) if name == "up" else nn.AvgPool2d(2)(one(x))
    torch.testing.assert_close(block.shortcut(x), published)


@pytest.mark.parametrize("arch", ARCHS)
def test_no_activation_works_in_place(arch):
    shape = Shape(**SHAPE, critic_norm="layer")
    generator, trunk = ARCHS[arch]().build_generator(5, shape), ARCHS[arch]().build_trunk(shape)
    for net in (generator, trunk):
        assert not any(getattr(module, "inplace", False) for module in net.modules())
    z, x = torch.randn(3, 5), images(3)
    kept = z.clone(), x.clone()
    generator(z), trunk(x)
    assert torch.equal(z, kept[0]) and torch.equal(x, kept[1])


def largest_singular_values(net):
    for layer in weighted_layers(net):
        yield float(torch.linalg.svdvals(matrix(layer.weight, isinstance(layer, TRANSPOSED)).detach())[0])


@pytest.mark.parametrize("arch", [*ARCHS, "autoencoder"])
def test_spectral_norm_holds_every_layer_at_one(arch):
    critic = autoencoder() if arch == "autoencoder" else made(arch, width=8)
    if arch != "autoencoder":
        initialise(critic, "xavier")
    constraint = SpectralNorm()
    constraint.attach(critic)
    originals = [layer.parametrizations.weight.original for layer in weighted_layers(critic)]
    assert len(originals) >= 2
    for _ in range(100):
        for original in originals:
            with torch.no_grad():
                original.add_(1e-3 * original.std() * torch.randn_like(original))
        constraint.enforce(critic)
    for value in largest_singular_values(critic):
        assert value == pytest.approx(1, rel=0.01)


def test_spectral_norm_fails_its_test_without_the_steps():
    critic = made("dcgan", width=8)
    SpectralNorm().attach(critic)
    for layer in weighted_layers(critic):
        with torch.no_grad():
            layer.parametrizations.weight.original.normal_()
    assert any(abs(value - 1) > 0.01 for value in largest_singular_values(critic))
