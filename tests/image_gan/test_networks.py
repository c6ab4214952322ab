"""The architectures to the letter: parameters, sizes, memory format, initial weights."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from gan_core.errors import UsageError
from gan_core.networks.conditional import ConcatEntry, ProjectionEntry
from gan_core.networks.critic import AutoencoderCritic, ScoringCritic
from gan_core.parts.base import REGISTRY
from gan_core.parts.fields import options_of
from gan_core.recipes.plan import fields_of, renamed, settle
from image_gan.networks import ARCHS, INITS, Architecture, Shape, initialise
from image_gan.networks.layers import ConditionalBatchNorm, Pixels, ToMap, ToRow, halvings
from image_gan.networks.resnet import Residual
from image_gan.settings import IMAGE, PRESETS

SIZES = (28, 32, 48, 64, 128)


def small(size=28, channels=1, **other):
    return Shape(size=size, channels=channels, **{"width": 4, "generator_width": 4, **other})


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def linear(inputs, outputs, bias=True):
    return inputs * outputs + outputs * bias


def conv(kernel, inputs, outputs, bias=True):
    return kernel * kernel * inputs * outputs + outputs * bias


def nets(arch, inputs, shape, **options):
    """(generator, trunk)."""
    architecture = ARCHS[arch](**options)
    architecture.check(shape)
    return architecture.build_generator(inputs, shape), architecture.build_trunk(shape)


def published(arch, inputs, options={}, **numbers):  # noqa: B006 (it is only read)
    """(generator, trunk), without memory for the weights."""
    with torch.device("meta"):
        return nets(arch, inputs, Shape(**numbers), **options)


def test_parameters_of_dcgan():
    """Layers before batch norm have no bias; batch norm has a scale and a shift a channel."""
    generator, trunk = published("dcgan", 100, size=64, channels=3, width=128, generator_width=128, critic_norm="batch")
    assert parameters(generator) == (
        linear(100, 4 * 4 * 1024, bias=False) + 2 * 1024
        + conv(4, 1024, 512, bias=False) + 2 * 512
        + conv(4, 512, 256, bias=False) + 2 * 256
        + conv(4, 256, 128, bias=False) + 2 * 128
        + conv(4, 128, 3)
    ) == 12_658_435  # fmt: skip
    assert parameters(trunk) == (
        conv(4, 3, 128)
        + conv(4, 128, 256, bias=False) + 2 * 256
        + conv(4, 256, 512, bias=False) + 2 * 512
        + conv(4, 512, 1024, bias=False) + 2 * 1024
    ) == 11_019_904  # fmt: skip
    assert trunk.features == 4 * 4 * 1024
    bare, _ = published("dcgan", 100, size=64, channels=3, width=128, generator_width=128, generator_norm="none")
    norms, biases = 2 * (1024 + 512 + 256 + 128), 4 * 4 * 1024 + 512 + 256 + 128
    assert parameters(bare) == 12_658_435 - norms + biases


def up_block(width):
    return 2 * 2 * width + 2 * conv(3, width, width) + conv(1, width, width)


def resnet_generator(width):
    return linear(128, 4 * 4 * width) + 3 * up_block(width) + 2 * width + conv(3, width, 3)


def resnet_trunk(width):
    first = conv(3, 3, width) + conv(3, width, width) + conv(1, 3, width)
    down = 2 * conv(3, width, width) + conv(1, width, width)
    return first + down + 2 * 2 * conv(3, width, width)


def test_parameters_of_the_resnets():
    generator, trunk = published("resnet", 128, size=32, channels=3, width=128, generator_width=128)
    assert parameters(generator) == resnet_generator(128) == 1_204_483  # WGAN-GP
    assert parameters(trunk) == resnet_trunk(128) == 1_053_696
    generator, trunk = published("resnet", 128, size=32, channels=3, width=128, generator_width=256)
    assert parameters(generator) == resnet_generator(256) == 4_276_739  # SNGAN
    assert parameters(trunk) == resnet_trunk(128) and trunk.features == 128
    _, trunk = published("resnet", 128, size=32, channels=3, width=128, generator_width=128, critic_norm="layer")
    assert parameters(trunk) == resnet_trunk(128) + 3 * 2 * 2 * 128  # per channel, in three blocks


def test_parameters_of_the_plain_network_of_sngan():
    generator, trunk = published("sn-cnn", 128, size=32, channels=3, width=64, generator_width=64)
    assert parameters(generator) == (
        linear(128, 4 * 4 * 512, bias=False) + 2 * 512
        + conv(4, 512, 256, bias=False) + 2 * 256
        + conv(4, 256, 128, bias=False) + 2 * 128
        + conv(4, 128, 64, bias=False) + 2 * 64
        + conv(3, 64, 3)
    ) == 3_804_739  # fmt: skip
    assert parameters(trunk) == (
        conv(3, 3, 64) + conv(4, 64, 64)
        + conv(3, 64, 128) + conv(4, 128, 128)
        + conv(3, 128, 256) + conv(4, 256, 256)
        + conv(3, 256, 512)
    ) == 2_927_680  # fmt: skip
    assert trunk.features == 4 * 4 * 512
    _, larger = published("sn-cnn", 128, size=128, channels=3, width=64, generator_width=64)
    assert larger.features == 4 * 4 * 512  # not wider than the table at any size


def test_parameters_of_began():
    numbers = dict(size=64, channels=3, width=128, generator_width=128, generator_norm="none")
    generator, trunk = published("began", 64, **numbers)
    n = 128
    assert parameters(generator) == linear(64, 8 * 8 * n) + 4 * 2 * conv(3, n, n) + conv(3, n, 3) == 1_716_611
    assert parameters(trunk) == (
        conv(3, 3, n)
        + 2 * conv(3, n, n) + conv(3, n, 2 * n)
        + 2 * conv(3, 2 * n, 2 * n) + conv(3, 2 * n, 3 * n)
        + 2 * conv(3, 3 * n, 3 * n) + conv(3, 3 * n, 4 * n)
        + 2 * conv(3, 4 * n, 4 * n)
    ) == 11_803_776  # fmt: skip
    assert trunk.features == 8 * 8 * 4 * n
    skipping, _ = published("began", 64, {"skip": True}, **numbers)
    assert parameters(skipping) == parameters(generator) + 3 * 9 * n * n
    deeper, _ = published("began", 64, **numbers, depth=3)
    assert parameters(deeper) == parameters(generator) + 4 * conv(3, n, n)


def test_parameters_of_the_perceptron():
    pixels = 64 * 64 * 3
    generator, trunk = published("mlp", 128, size=64, channels=3, width=512, generator_width=512, generator_norm="none")
    assert parameters(generator) == linear(128, 512) + 3 * linear(512, 512) + linear(512, pixels) == 7_157_760
    assert parameters(trunk) == linear(pixels, 512) + 3 * linear(512, 512) and trunk.features == 512
    shallow, _ = published(
        "mlp", 128, size=64, channels=3, width=512, generator_width=512, generator_norm="none", depth=1
    )
    assert parameters(shallow) == linear(128, 512) + linear(512, pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("arch", ARCHS)
def test_every_size_in_and_out_and_channels_last_throughout(arch, size, channels):
    norm = ARCHS[arch].generator_norms[:2][-1]  # "batch" if there is one
    generator, trunk = nets(arch, 5, small(size, channels, width=2, generator_width=2, generator_norm=norm))
    strayed = []

    def look(module, _, output):
        if output.ndim == 4 and not output.is_contiguous(memory_format=torch.channels_last):
            strayed.append(type(module).__name__)

    hooks = [module.register_forward_hook(look) for net in (generator, trunk) for module in net.modules()]
    with torch.no_grad():
        fake = generator(torch.randn(2, 5))
        real = torch.rand(2, size, size, channels).permute(0, 3, 1, 2)  # as the data comes, with C last
        assert fake.shape == real.shape and trunk(real).shape == (2, trunk.features)
        for hook in hooks:  # generated images of one channel may come in either layout, which is the same memory
            hook.remove()
        assert trunk(fake).shape == (2, trunk.features)
    assert strayed == []
    weights = [p for p in [*generator.parameters(), *trunk.parameters()] if p.ndim == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


PLANES = {"mlp": 32 * 32, "dcgan": 16, "resnet": 9 + 1, "sn-cnn": 9, "began": 9}  # weights of a unit a channel


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("arch", PLANES)
def test_trunks_take_the_planes_of_labels(arch, channels):
    torch.manual_seed(0)
    shape = small(32, channels)
    plain, trunk = (nets(arch, 5, dataclasses.replace(shape, channels=channels + more))[1] for more in (0, 10))
    x = torch.rand(6, 32, 32, channels).permute(0, 3, 1, 2)
    critic = ScoringCritic(trunk, trunk.features, {}, labels=ConcatEntry(10))
    with torch.no_grad():
        assert trunk.features == plain.features
        scores = torch.stack([critic(x, torch.full((6,), label))[1]["score"] for label in (0, 9, -1)])
    assert len({round(float(score), 7) for score in scores[:, 0]}) == 3  # by label alone
    more = sum(p.numel() for p in trunk.parameters()) - sum(p.numel() for p in plain.parameters())
    assert more == 10 * 4 * PLANES[arch]


@pytest.mark.parametrize("arch", PLANES)
def test_generators_end_in_tanh_but_began(arch):
    generator, _ = nets(arch, 5, small(generator_width=8))
    for parameter in generator.parameters():
        parameter.data.mul_(20)
    largest = float(generator(torch.randn(4, 5) * 20).detach().abs().max())
    assert largest > 1 if arch == "began" else 0.9 < largest <= 1


ACTIVATIONS = {  # of the generator and of the critic
    "mlp": ("ReLU()", "LeakyReLU(negative_slope=0.2)"),
    "dcgan": ("ReLU()", "LeakyReLU(negative_slope=0.2)"),
    "resnet": ("ReLU()", "ReLU()"),
    "sn-cnn": ("ReLU()", "LeakyReLU(negative_slope=0.1)"),
    "began": ("ELU(alpha=1.0)", "ELU(alpha=1.0)"),
}


@pytest.mark.parametrize("arch", ACTIVATIONS)
def test_activations(arch):
    found = [{str(m) for m in net.modules() if "LU" in type(m).__name__} for net in nets(arch, 5, small())]
    assert found == [{name} for name in ACTIVATIONS[arch]]


@pytest.mark.parametrize("arch", [arch for arch in ACTIVATIONS if arch != "mlp"])
def test_the_first_and_the_last_layer_of_a_game_are_not_normalised(arch):
    shape = small(critic_norm="batch", generator_norm="batch")
    for net, end in zip(nets(arch, 5, shape), (-1, 0), strict=True):
        layers = [module for module in net.modules() if not [*module.children()]]
        convolutions = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
        after = layers[convolutions[end] + 1 :][:1]
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in after)
        assert any(isinstance(layer, nn.BatchNorm2d) for layer in layers)


def test_halvings():
    assert [halvings(size, 4) for size in (16, 28, 32, 48, 64, 96, 128)] == [2, 2, 3, 3, 4, 4, 5]
    assert [halvings(size, 7) for size in (14, 28, 32, 48, 64, 128)] == [1, 2, 2, 2, 3, 4]
    assert [halvings(size, 4) for size in (1, 4, 7, 9, 18, 30, 100)] == [0] * 7
    for size in range(1, 300):
        ways = [k for k in range(1, 9) if size % 2**k == 0 and 4 <= size // 2**k < 8]
        assert halvings(size, 4) == (ways[0] if ways else 0) and len(ways) < 2


@pytest.mark.parametrize("arch", ARCHS)
def test_other_sizes_are_refused_in_a_sentence(arch):
    if not ARCHS[arch].smallest:
        assert ARCHS[arch].fits(1) and ARCHS[arch].fits(31)
        return
    for size in (1, 3, 29, 100, 127):
        with pytest.raises(UsageError, match=rf"^--arch {arch} .*--size {size} .*use --size \d+.*--arch mlp$") as error:
            ARCHS[arch].check(small(size=size))
        advised = [int(word) for word in str(error.value).replace(",", "").split() if word.isdigit()][1:]
        assert advised and all(ARCHS[arch].fits(other) for other in advised)


def test_nearest_sizes_are_named():
    with pytest.raises(UsageError, match=r"use --size 28 or --size 32, or --arch mlp"):
        ARCHS["dcgan"].check(small(size=30))


def test_options_that_an_architecture_lacks_are_refused():
    with pytest.raises(UsageError, match=r"--began-skip means nothing to --arch dcgan: .* use --arch began"):
        settle(IMAGE, {"recipe": "began", "arch": "dcgan", "began.skip": True})  # the loss is called began too
    with pytest.raises(UsageError, match=r"--depth .* --arch began or --arch mlp"):
        ARCHS["resnet"].check(small(depth=2))
    with pytest.raises(UsageError, match=r"--resnet-pool .* --arch resnet"):
        settle(IMAGE, {"arch": "sn-cnn", "resnet.pool": "sum"})
    with pytest.raises(UsageError, match=r"--critic-norm instance means nothing to --arch mlp: use none, batch, layer"):
        ARCHS["mlp"].check(small(critic_norm="instance"))
    with pytest.raises(
        UsageError, match=r"^--generator-norm conditional means nothing to --arch began: use none, batch$"
    ):
        ARCHS["began"].check(small(generator_norm="conditional", num_classes=10))
    ARCHS["began"].check(small(depth=3))


def test_options_of_networks_are_options_of_runs_with_that_network():
    def options(**given):
        plan = settle(IMAGE, given)
        return {key: value for key, value in plan.numbers.items() if key.partition(".")[0] in ARCHS}, plan

    found, plan = options(recipe="began", preset="small", **{"began.skip": True})
    assert found.keys() == {"began.skip", "began.residual_steps", "began.gamma", "began.rate", "began.norm"}
    assert plan.settings(IMAGE).architecture() == ARCHS["began"](skip=True)
    assert options(recipe="began", arch="mlp")[0].keys() == {"began.gamma", "began.rate", "began.norm"}  # of the loss
    assert options(recipe="gan", arch="began")[0].keys() == {"began.skip", "began.residual_steps"}
    pools = [settle(IMAGE, {"recipe": r, "preset": "paper"}).numbers["resnet.pool"] for r in ("sngan", "wgan-gp")]
    assert pools == ["sum", "mean"]
    assert settle(IMAGE, {"recipe": "began", "preset": "paper"}).numbers["began.residual_steps"] == 16_000
    assert [renamed(key) for key in ("pool", "skip")] == [
        "pool is called resnet.pool now", "skip is called began.skip now"
    ]  # fmt: skip


def test_no_network_shares_an_option_with_a_part():
    owners = [*REGISTRY.items(), *ARCHS.items()]
    keys = [f"{name}.{option.name}" for name, owner in owners for option in options_of(owner)]
    assert len(keys) == len(set(keys)) and set(keys) <= set(fields_of(IMAGE))


def test_two_networks_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"two networks are called 'mlp': Mlp and .*Again"):

        class Again(Architecture, name="mlp"):
            pass


def test_rows_and_maps_are_each_others_inverse_without_a_copy():
    row = torch.randn(2, 3 * 3 * 5)
    there = ToMap(3, 5)(row)
    assert there.shape == (2, 5, 3, 3)
    back = ToRow()(there)
    assert torch.equal(back, row) and back.data_ptr() == row.data_ptr()


def test_pixels_are_wide():
    assert Pixels()(torch.zeros(1, 1, 2, 2, dtype=torch.bfloat16)).dtype == torch.float32


def test_mean_and_sum_pooling():
    x = torch.randn(2, 1, 32, 32)
    mean, total = (nets("resnet", 5, small(32), pool=pool)[1] for pool in ("mean", "sum"))
    total.load_state_dict(mean.state_dict())
    torch.testing.assert_close(total(x), mean(x) * 8 * 8)  # over 8x8 pixels, as published


def test_began_is_an_autoencoder_and_skips_reach_every_stage():
    decoder, trunk = nets("began", 6, small(28, 3, generator_norm="none"), skip=True)
    critic = AutoencoderCritic(trunk, trunk.features, 6, decoder, {}, "absolute error", 1.0)
    code, heads = critic(torch.rand(2, 3, 28, 28))
    assert code.shape == (2, 6) and heads["score"].shape == (2,)
    decoder = critic.decoder
    for layer in decoder.stages[0]:  # what the first stage says is cut off: the first map must still come through
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
    assert float((decoder(torch.randn(1, 6)) - decoder(torch.randn(1, 6))).detach().abs().max()) > 1e-4


# name -> std of a weight, from (fan_in, fan_out) as strides leave them and whether the layer is boosted
STDS = {
    "he": lambda fans, boosted: math.sqrt((4 if boosted else 2) / sum(fans)),
    "xavier": lambda fans, boosted: math.sqrt((4 if boosted else 2) / sum(fans)),
    "normal": lambda fans, boosted: 0.02,
}


def layer_fans(layer):
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    area, thinned = math.prod(layer.kernel_size), math.prod(layer.stride)
    seen, reached = layer.in_channels * area, layer.out_channels * area
    return (seen / thinned, reached) if isinstance(layer, nn.ConvTranspose2d) else (seen, reached / thinned)


@pytest.mark.parametrize("init", STDS)
@pytest.mark.parametrize("arch", ["resnet", "dcgan"])
def test_initial_weights(arch, init):
    shape = Shape(size=32, channels=3, width=32, generator_width=32, critic_norm="batch")
    generator, trunk = nets(arch, 64, shape)
    looked_at = 0
    for net in (generator, ScoringCritic(trunk, trunk.features, {})):
        initialise(net, init)
        blocks = [module for module in net.modules() if isinstance(module, Residual)]
        residual = {layer for block in blocks for layer in block.residual.modules()}
        for layer in net.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                is_conv = not isinstance(layer, nn.Linear)
                boosted = layer in residual if blocks else init == "he" and is_conv
                expected = STDS[init](layer_fans(layer), boosted)
                weight = layer.weight.detach()
                assert float(weight.std()) == pytest.approx(expected, rel=5 / weight.numel() ** 0.5)
                if init != "normal":
                    assert float(weight.abs().max()) <= expected * math.sqrt(3) * (1 + 1e-6)  # uniform
                assert layer.bias is None or (layer.bias == 0).all()
                looked_at += 1
            elif isinstance(layer, nn.BatchNorm2d):
                scale = layer.weight.detach()
                assert float(scale.mean()) == pytest.approx(1, abs=0.02) and (layer.bias == 0).all()
                assert (float(scale.std()) > 0.01) == (init == "normal")
    assert looked_at > 6


@pytest.mark.parametrize("init", STDS)
def test_the_embedding_of_a_projection_starts_like_a_linear_layer(init):
    _, trunk = nets("dcgan", 5, small(width=16))
    critic = ScoringCritic(trunk, trunk.features, {}, labels=ProjectionEntry(10, trunk.features))
    nn.init.constant_(critic.labels.embed.weight, 7.0)
    initialise(critic, init)
    weight = critic.labels.embed.weight.detach()
    assert float(weight.std()) == pytest.approx(STDS[init]((trunk.features, 10), False), rel=5 / weight.numel() ** 0.5)


@pytest.mark.parametrize(("preset", "recipe"), [(name, r) for name, p in PRESETS.items() for r in p.tuned])
def test_the_networks_of_every_preset_can_be_built(preset, recipe):
    settings = settle(IMAGE, {"preset": preset, "recipe": recipe}).settings(IMAGE)
    shape = settings.shape(settings.size or 28, settings.channels or 1, 10)
    generator, trunk = published(settings.arch, settings.z_dim, settings.of_arch, **dataclasses.asdict(shape))
    assert shape.num_classes == 10 and trunk.features >= settings.width
    conditional = any(isinstance(module, ConditionalBatchNorm) for module in generator.modules())
    assert conditional == (settings.generator_norm == "conditional")
    assert conditional or recipe != "projection"


def test_the_published_sizes_of_the_recipes_with_labels():
    def channels(recipe):
        settings = settle(IMAGE, {"preset": "paper", "recipe": recipe}).settings(IMAGE)
        made = published(settings.arch, settings.z_dim, **dataclasses.asdict(settings.shape(settings.size, 3)))
        kinds = nn.ConvTranspose2d, nn.Conv2d
        return [[m.weight.shape[0] for m in net.modules() if isinstance(m, kinds)] for net in made]

    assert channels("acgan") == [[384, 192, 96], [96, 192, 384]]
    assert channels("sgan") == [[512, 256, 128], [128, 256, 512]]
    assert channels("infogan") == [[128, 64], [64, 128]]


def test_torchs_initial_weights_are_left_alone():
    assert set(INITS) == {*STDS, "torch"}
    net, _ = nets("dcgan", 5, small())
    before = [p.clone() for p in net.parameters()]
    initialise(net, "torch")
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))
    initialise(net, "he")
    assert not torch.equal(next(net.parameters()), before[0])
