"""Published recipes: the names of their parts, and the values of options that the publications set.

This module does not import the modules of `gan_core.parts`, so that it needs no torch. Numbers are settings by name
(settings.py) or options of parts, written `part.field`; all others keep their defaults.
"""

from dataclasses import dataclass, field
from typing import Any

from gan_core.errors import UsageError, named
from gan_core.text import choose


@dataclass(frozen=True)
class Recipe:
    """A published recipe.

    source: the publication. parts: the names of its parts.
    numbers: the values that the publication sets, by setting or `part.field`.
    """

    title: str
    source: str
    parts: tuple[str, ...]
    numbers: dict[str, Any] = field(default_factory=dict)


def adam(generator_lr: float, critic_lr: float, beta1: float, beta2: float, critic_steps: int = 1) -> dict[str, Any]:
    """The numbers of a recipe that trains with Adam."""
    return dict(
        optimizer="adam", generator_lr=generator_lr, critic_lr=critic_lr, beta1=beta1, beta2=beta2,
        critic_steps=critic_steps,
    )  # fmt: skip


DCGAN_ADAM = adam(2e-4, 2e-4, 0.5, 0.999)
WGAN_ADAM = adam(1e-4, 1e-4, 0.0, 0.9, critic_steps=5)

RECIPES = {
    "gan": Recipe("GAN, non-saturating", "arXiv 1406.2661", ("nonsaturating",), DCGAN_ADAM),
    "unrolled": Recipe(
        "Unrolled GAN", "arXiv 1611.02163", ("nonsaturating",), adam(1e-4, 1e-4, 0.5, 0.999) | dict(unroll=5)
    ),
    "gan-minimax": Recipe("GAN, minimax", "arXiv 1406.2661", ("minimax",), DCGAN_ADAM),
    "dcgan": Recipe("DCGAN", "arXiv 1511.06434", ("nonsaturating",), DCGAN_ADAM),
    "lsgan": Recipe("LSGAN", "arXiv 1611.04076", ("lsgan",), DCGAN_ADAM),
    "wgan": Recipe(
        "WGAN with weight clipping", "arXiv 1701.07875", ("wasserstein", "clip"),
        dict(optimizer="rmsprop", generator_lr=5e-5, critic_lr=5e-5, critic_steps=5),
    ),
    "wgan-gp": Recipe("WGAN-GP", "arXiv 1704.00028", ("wasserstein", "gp"), WGAN_ADAM),
    "wgan-lp": Recipe("WGAN-LP", "arXiv 1709.08894", ("wasserstein", "lp"), WGAN_ADAM),
    "dragan": Recipe("DRAGAN", "arXiv 1705.07215", ("nonsaturating", "dragan"), DCGAN_ADAM),
    "sngan": Recipe(
        "SNGAN, hinge", "arXiv 1802.05957", ("hinge", "spectral"), adam(2e-4, 2e-4, 0.0, 0.9, critic_steps=5)
    ),
    "began": Recipe(
        "BEGAN", "arXiv 1703.10717", ("began",),
        adam(1e-4, 1e-4, 0.5, 0.999) | dict(noise="uniform", z_dim=64, batch_size=16),
    ),
    "ebgan": Recipe("EBGAN with pulling-away", "arXiv 1609.03126", ("ebgan",), adam(1e-3, 1e-3, 0.5, 0.999)),
    "r3gan": Recipe(
        "R3GAN", "arXiv 2501.05441", ("relativistic", "r1", "r2"), adam(2e-4, 2e-4, 0.0, 0.99)
    ),
    "cgan": Recipe("Conditional GAN", "arXiv 1411.1784", ("nonsaturating", "concat"), DCGAN_ADAM),
    "acgan": Recipe("ACGAN, auxiliary classifier", "arXiv 1610.09585", ("nonsaturating", "acgan"), DCGAN_ADAM),
    "wgan-gp-acgan": Recipe(
        "WGAN-GP with labels", "arXiv 1704.00028", ("wasserstein", "gp", "acgan"),
        WGAN_ADAM | {"acgan.real_weight": 1.0, "acgan.fake_weight": 0.0, "acgan.generator_weight": 0.1},
    ),
    "projection": Recipe(
        "Projection discriminator, hinge", "arXiv 1802.05637", ("hinge", "spectral", "projection"),
        adam(2e-4, 2e-4, 0.0, 0.9, critic_steps=5),
    ),
    "sgan": Recipe(
        "Semi-supervised GAN, feature matching", "arXiv 1606.03498", ("sgan",),
        adam(3e-4, 3e-4, 0.5, 0.999) | dict(labelled_share=0.5),
    ),
    "catgan": Recipe("CatGAN, semi-supervised", "arXiv 1511.06390", ("catgan",), DCGAN_ADAM | dict(labelled_share=0.5)),
    "infogan": Recipe(
        "InfoGAN", "arXiv 1606.03657", ("nonsaturating", "infogan"),
        adam(1e-3, 2e-4, 0.5, 0.999) | dict(noise="uniform", z_dim=62),
    ),
}  # fmt: skip


def lookup(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        raise UsageError(f"{named('recipe', name)} does not exist: {choose(name, RECIPES)}")
    return RECIPES[name]
