"""Initial weights.

Biases start at 0. Weights must be initialised before a constraint reparametrises them. The embedding of a projection
critic is initialised like the weight of a linear layer of the same fans. The scales and shifts of normalisation layers
stay at 1 and 0, except under `normal`.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_core.networks.weights import TRANSPOSED, weighted_layers
from image_gan.networks.layers import ConditionalBatchNorm
from image_gan.networks.resnet import Residual


def fans(layer: nn.Module) -> tuple[float, float]:
    """(fan_in, fan_out): how many inputs an output sees, and how many outputs an input reaches, given the stride."""
    weight = layer.weight
    into, out = (0, 1) if isinstance(layer, TRANSPOSED) else (1, 0)
    kernel = math.prod(weight.shape[2:])
    seen, reached = weight.shape[into] * kernel, weight.shape[out] * kernel
    thinned = math.prod(getattr(layer, "stride", ()))
    return (seen / thinned, reached) if isinstance(layer, TRANSPOSED) else (seen, reached / thinned)


def glorot(net: nn.Module, boosted: Iterable[nn.Module]) -> None:
    """Draw weights uniformly with std sqrt(2 / (fan_in + fan_out)), times sqrt(2) in the boosted layers."""
    boosted = set(boosted)
    for layer in weighted_layers(net):
        bound = math.sqrt(3 * (4 if layer in boosted else 2) / sum(fans(layer)))
        layer.weight.uniform_(-bound, bound)


def in_residuals(net: nn.Module) -> list[nn.Module]:
    """The weighted layers on the residual branches of blocks, not those on the shortcuts."""
    blocks = (module for module in net.modules() if isinstance(module, Residual))
    return [layer for block in blocks for layer in weighted_layers(block.residual)]


def xavier(net: nn.Module) -> None:
    """SNGAN's ResNet, as in the authors' code: Glorot uniform, with a gain of sqrt(2) on the residual branches."""
    glorot(net, in_residuals(net))


def he(net: nn.Module) -> None:
    """WGAN-GP's CIFAR networks, as in the authors' code: He et al. 2015 with the mean of both fans.

    This is Glorot uniform with a gain of sqrt(2) in every convolution of a plain network. In a residual network only
    the layers on the residual branches have the gain, so that `he` equals `xavier`.
    """
    convolutions = (layer for layer in weighted_layers(net) if layer.weight.ndim > 2)
    glorot(net, in_residuals(net) or convolutions)


def normal(net: nn.Module) -> None:
    """DCGAN, arXiv 1511.06434, section 4: weights from N(0, 0.02), scales of batch norm from N(1, 0.02).

    The scales follow the authors' code. Conditional batch norm draws them for each class.
    """
    for layer in weighted_layers(net):
        layer.weight.normal_(0, 0.02)
    for module in net.modules():
        if isinstance(module, ConditionalBatchNorm):
            module.scale.normal_(1, 0.02)
        elif isinstance(module, _BatchNorm) and module.affine:
            module.weight.normal_(1, 0.02)


INITS: dict[str, Callable[[nn.Module], None] | None] = {"normal": normal, "he": he, "xavier": xavier, "torch": None}


@torch.no_grad()
def initialise(net: nn.Module, init: str) -> None:
    """Initialise the weights of a network in place. `init` is a name of INITS; "torch" keeps PyTorch's defaults."""
    fill = INITS[init]
    if fill is None:
        return
    fill(net)
    for layer in weighted_layers(net):
        bias = getattr(layer, "bias", None)  # an embedding has no bias
        if bias is not None:
            bias.zero_()
