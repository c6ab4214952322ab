"""Networks for images: the one table of architectures, and how their weights start."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import torch
from torch import nn

from gan_core.errors import UsageError, named
from image_gan.networks import began, dcgan, mlp, resnet, sn_cnn
from image_gan.networks.inits import INITS, initialise
from image_gan.networks.layers import Trunk, halvings
from image_gan.networks.shape import Shape

__all__ = ["ARCHS", "INITS", "Architecture", "Shape", "Trunk", "check", "initialise"]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A pair of networks for images.

    Attributes:
        summary: one line for people.
        build_generator: see `generator`.
        build_trunk: see `trunk`.
        smallest: pixels a side, or up to twice as many, to which a size must come by halving; 0 where any size does.
        norms: the critic's normalisations that fit.
        generator_norms: the generator's.
        options: the numbers of a shape that not every architecture has, and this one does.
    """

    summary: str
    build_generator: Callable[[int, Shape], nn.Module]
    build_trunk: Callable[[Shape], Trunk]
    smallest: int = 0
    norms: tuple[str, ...] = ("none", "batch", "layer", "instance")
    generator_norms: tuple[str, ...] = ("none", "batch", "conditional")
    options: tuple[str, ...] = ()

    def generator(self, inputs: int, shape: Shape) -> nn.Module:
        """Noise (B, inputs) -> images (B, C, H, W); also the decoder of an autoencoder critic, from its codes.

        With conditional norm it is called with labels (B,) behind the noise.
        """
        return self.build_generator(inputs, shape).to(memory_format=torch.channels_last)

    def trunk(self, shape: Shape) -> Trunk:
        """Images (B, C, H, W) -> (B, features), a critic below its linear heads."""
        return self.build_trunk(shape).to(memory_format=torch.channels_last)

    def fits(self, size: int) -> bool:
        """Whether there are such networks for images of this size, in pixels a side."""
        return size > 0 and (not self.smallest or halvings(size, self.smallest) > 0)


ARCHS = {
    "mlp": Architecture(
        summary="perceptron, any size",
        build_generator=mlp.generator, build_trunk=mlp.trunk, norms=mlp.NORMS, options=("depth",),
    ),
    "dcgan": Architecture(
        summary="strided convolutions (Radford et al. 2016)",
        build_generator=dcgan.generator, build_trunk=dcgan.trunk, smallest=dcgan.SMALLEST,
    ),
    "resnet": Architecture(
        summary="residual blocks, as WGAN-GP and SNGAN have them on CIFAR-10",
        build_generator=resnet.generator, build_trunk=resnet.trunk, smallest=resnet.SMALLEST, options=("pool",),
    ),
    "sn-cnn": Architecture(
        summary="SNGAN's plain convolutions (Miyato et al. 2018)",
        build_generator=sn_cnn.generator, build_trunk=sn_cnn.trunk, smallest=sn_cnn.SMALLEST,
    ),
    "began": Architecture(
        summary="BEGAN's encoder and decoder (Berthelot et al. 2017)",
        build_generator=began.generator, build_trunk=began.trunk, smallest=began.SMALLEST,
        generator_norms=began.GENERATOR_NORMS, options=("depth", "skip"),
    ),
}  # fmt: skip


def check(arch: str, shape: Shape) -> None:
    """Whether an architecture of ARCHS can be built in this shape.

    Raises:
        UsageError: it cannot; the message names the option and what to do.
    """
    chosen = ARCHS[arch]
    if not chosen.fits(shape.size):
        larger = next(size for size in count(max(1, shape.size)) if chosen.fits(size))
        smaller = next((size for size in range(shape.size, 0, -1) if chosen.fits(size)), larger)
        near = " or ".join(named("size", size) for size in dict.fromkeys([smaller, larger]))
        raise UsageError(
            f"{named('arch', arch)} cannot halve {named('size', shape.size)} down evenly: use {near}, "
            f"or {named('arch', 'mlp')}"
        )
    for option, kind, fitting in (
        ("critic_norm", shape.critic_norm, chosen.norms),
        ("generator_norm", shape.generator_norm, chosen.generator_norms),
    ):
        if kind not in fitting:
            raise UsageError(f"{named(option, kind)} means nothing to {named('arch', arch)}: use {', '.join(fitting)}")
    unset = Shape(size=1, channels=1, width=1, generator_width=1)
    for option in ("depth", "skip", "pool"):
        if option not in chosen.options and getattr(shape, option) != getattr(unset, option):
            having = " or ".join(named("arch", name) for name, other in ARCHS.items() if option in other.options)
            raise UsageError(f"{named(option)} means nothing to {named('arch', arch)}: leave it out, or use {having}")
