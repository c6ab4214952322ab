"""Conditional batch norm: the formula, the rows that labels choose, and that labels reach every layer."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gan_core.networks.weights import weighted_layers
from gan_core.parts.constraints import SpectralNorm, WeightNorm
from image_gan.networks import ARCHS, INITS, Shape, initialise
from image_gan.networks.layers import ConditionalBatchNorm

CONDITIONAL = [arch for arch in ARCHS if "conditional" in ARCHS[arch].generator_norms]
CLASSES = 5


def made(arch, norm="conditional", **other):
    torch.manual_seed(0)
    numbers = {"size": 28, "channels": 3, "width": 4, "generator_width": 4, "num_classes": CLASSES} | other
    shape = Shape(**numbers, generator_norm=norm)
    ARCHS[arch].check(shape)
    return ARCHS[arch]().build_generator(6, shape)


def norms(net, kind=ConditionalBatchNorm):
    return [module for module in net.modules() if isinstance(module, kind)]


def layer(num_classes=4, channels=3, batch=nn.BatchNorm2d):
    """One whose classes differ, with running statistics that are not those of any batch."""
    made = ConditionalBatchNorm(num_classes, channels, batch)
    with torch.no_grad():
        for tensor in (made.scale, made.shift, made.normalise.running_mean):
            tensor.normal_()
        made.normalise.running_var.uniform_(0.5, 2)
    return made


def wide(tensor):
    return tensor.detach().double().numpy().copy()


@settings(deadline=None, max_examples=25)
@given(
    pixels=st.sampled_from([(), (1, 1), (2, 5)]), labels=st.lists(st.integers(-1, 3), min_size=2, max_size=9),
    training=st.booleans(), seed=st.integers(0, 2**31),
)  # fmt: skip
def test_the_formula(pixels, labels, training, seed):
    torch.manual_seed(seed)
    norm = layer(batch=nn.BatchNorm2d if pixels else nn.BatchNorm1d).train(training).double()
    x, y = 3 * torch.randn(len(labels), 3, *pixels).double() + 1, torch.tensor(labels)
    running = wide(norm.normalise.running_mean), wide(norm.normalise.running_var)
    found, data = norm(x, y), wide(x)
    over = (0, *range(2, data.ndim))
    mean, variance = (data.mean(over), data.var(over)) if training else running
    scale, shift = wide(norm.scale), wide(norm.shift)
    for i, label in enumerate(labels):
        for c in range(3):
            own = (scale[label, c], shift[label, c]) if label >= 0 else (scale[:, c].mean(), shift[:, c].mean())
            expected = own[0] * (data[i, c] - mean[c]) / np.sqrt(variance[c] + 1e-5) + own[1]
            np.testing.assert_allclose(wide(found[i, c]), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_one_label_for_all_is_ordinary_batch_norm(training):
    norm, plain = layer().train(training), nn.BatchNorm2d(3).train(training)
    plain.load_state_dict(norm.normalise.state_dict() | {"weight": norm.scale[2], "bias": norm.shift[2]})
    x = torch.randn(6, 3, 4, 4)
    torch.testing.assert_close(norm(x, torch.full((6,), 2)), plain(x))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(getattr(norm.normalise, name), getattr(plain, name))


def test_gradients_reach_the_rows_that_were_asked_for_and_no_other():
    norm = layer()
    norm(torch.randn(6, 3, 4, 4), torch.tensor([2, 0, 2, 2, 0, 2])).square().sum().backward()
    for table in (norm.scale, norm.shift):
        assert (table.grad != 0).all(1).tolist() == [True, False, True, False]
        assert (table.grad[[1, 3]] == 0).all()


def test_half_precision_goes_in_and_comes_out():
    norm = layer()
    x, y = torch.randn(6, 3, 4, 4), torch.arange(6) % 4
    found = norm(x.bfloat16(), y)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), norm(x, y), atol=0.05, rtol=0.02)


def test_all_architectures_but_began_have_it():
    assert {"mlp", "dcgan", "resnet", "sn-cnn"} <= set(CONDITIONAL) and "began" not in CONDITIONAL


@pytest.mark.parametrize("arch", CONDITIONAL)
def test_labels_reach_every_layer_and_gradients_every_parameter(arch):
    net, plain = made(arch), made(arch, "batch")
    depth = len(norms(plain, nn.BatchNorm1d if arch == "mlp" else nn.BatchNorm2d))
    assert len(norms(net)) == depth >= 2
    images = net(torch.randn(8, 6), torch.tensor([3, 1] * 4))
    assert images.shape == (8, 3, 28, 28) and images.isfinite().all()
    images.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in net.parameters())
    for norm in norms(net):
        assert norm.scale.grad.any(1).tolist() == [False, True, False, True, False]


@pytest.mark.parametrize("arch", CONDITIONAL)
def test_a_conditional_generator_is_one_with_batch_norm_and_a_row_a_class(arch):
    net, plain = made(arch), made(arch, "batch")
    ours = dict(zip(norms(net), norms(plain, nn.BatchNorm1d if arch == "mlp" else nn.BatchNorm2d), strict=True))
    for norm, its in ours.items():
        nn.init.normal_(its.weight), nn.init.normal_(its.bias)
        norm.scale.data[1], norm.shift.data[1] = its.weight.data, its.bias.data
    extra = sum(2 * (CLASSES - 1) * its.num_features for its in ours.values())
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in plain.parameters()) + extra
    for mine, its in zip(weighted_layers(net), weighted_layers(plain), strict=True):
        its.load_state_dict(mine.state_dict())
    z = torch.randn(4, 6)
    torch.testing.assert_close(net(z, torch.ones(4).long()), plain(z))


@pytest.mark.parametrize("arch", CONDITIONAL)
def test_another_label_is_another_image(arch):
    net = made(arch, generator_width=16).eval()
    for norm in norms(net):
        nn.init.normal_(norm.shift)
    z = torch.randn(1, 6).expand(CLASSES + 1, -1)
    with torch.no_grad():
        images = net(z, torch.arange(-1, CLASSES))
        assert torch.pdist(images.flatten(1)).min() > 0.1
        torch.testing.assert_close(images[2:3], net(z[:1], torch.tensor([1])))


@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("arch", CONDITIONAL)
def test_maps_stay_channels_last(arch, size):
    net, strayed = made(arch, size=size), []

    def look(module, _, output):
        if output.ndim == 4 and not output.is_contiguous(memory_format=torch.channels_last):
            strayed.append(type(module).__name__)

    for module in net.modules():
        module.register_forward_hook(look)
    net(torch.randn(2, 6), torch.tensor([0, 3]))
    assert strayed == []


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("arch", CONDITIONAL)
def test_initial_scales_are_about_one_and_shifts_zero(arch, init):
    net = made(arch, generator_width=32)
    initialise(net, init)
    scales = torch.cat([norm.scale.detach().flatten() for norm in norms(net)])
    assert all((norm.shift == 0).all() for norm in norms(net))
    if init == "normal":
        assert float(scales.mean()) == pytest.approx(1, abs=0.005)
        assert float(scales.std()) == pytest.approx(0.02, rel=0.2)
    else:
        assert (scales == 1).all()


@pytest.mark.parametrize("constraint", [SpectralNorm(), WeightNorm()], ids=lambda c: c.name)
def test_constraints_on_a_generator_leave_the_tables_alone(constraint):
    net = made("resnet")
    before = [norm.scale.clone() for norm in norms(net)]
    constraint.attach(net)
    constraint.enforce(net)
    assert all(torch.equal(norm.scale, scale) for norm, scale in zip(norms(net), before, strict=True))
    assert net(torch.randn(4, 6), torch.arange(4)).isfinite().all()


@pytest.mark.parametrize("arch", CONDITIONAL)
def test_copies_and_checkpoints_draw_the_same(arch):
    net = made(arch)
    net(torch.randn(8, 6), torch.arange(8) % CLASSES)  # running statistics of its own
    for norm in norms(net):
        nn.init.normal_(norm.scale), nn.init.normal_(norm.shift)
    other = made(arch)
    other.load_state_dict(net.state_dict())
    z, y = torch.randn(3, 6), torch.tensor([4, 0, -1])
    for same in (copy.deepcopy(net).requires_grad_(False), other):
        assert torch.equal(same.eval()(z, y), net.eval()(z, y))
    assert {name.rsplit(".")[-1] for name in net.state_dict()} >= {"scale", "shift", "running_mean"}


def test_a_generator_without_conditional_norm_is_called_without_labels():
    for arch in ARCHS:
        assert made(arch, "none")(torch.randn(2, 6)).shape == (2, 3, 28, 28)
