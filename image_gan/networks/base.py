"""What an image network is, and the registry of them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import count
from typing import ClassVar, dataclass_transform

import torch
from torch import nn

from gan_core.errors import UsageError, named
from gan_core.parts.fields import option
from image_gan.networks.layers import Trunk, halvings
from image_gan.networks.shape import Shape

ARCHS: dict[str, type["Architecture"]] = {}


@dataclass_transform(field_specifiers=(option,), kw_only_default=True, frozen_default=True)
class Architecture(ABC):
    """A generator and a critic's trunk for images.

    A subclass registers itself under its name, `class Dcgan(Architecture, name="dcgan")`, which is then a value of
    the option `arch`. Its annotated fields become command-line options, such as --began-skip.

    Attributes:
        name: the value of the option `arch`.
        smallest: an image's size must come to at least this many pixels a side, and to less than twice as many, by
            repeated halving; 0: any size fits.
        published_depth: the number that `Shape.depth` 0 stands for; 0: the network has no such number.
        norms: normalisations that the critic may have.
        generator_norms: normalisations that the generator may have.
    """

    name: ClassVar[str] = ""
    smallest: ClassVar[int] = 0
    published_depth: ClassVar[int] = 0
    norms: ClassVar[tuple[str, ...]] = ("none", "batch", "layer", "instance")
    generator_norms: ClassVar[tuple[str, ...]] = ("none", "batch", "conditional")

    def __init_subclass__(cls, name: str) -> None:
        super().__init_subclass__()
        dataclass(frozen=True, kw_only=True)(cls)
        if name in ARCHS:
            raise ValueError(f"two networks are called {name!r}: {ARCHS[name].__qualname__} and {cls.__qualname__}")
        cls.name = name
        ARCHS[name] = cls

    @abstractmethod
    def generator(self, inputs: int, shape: Shape) -> nn.Module:
        """A new network from noise (B, inputs) to images (B, C, H, W).

        It is also the decoder of an autoencoder critic, from encodings. With conditional norm it is called with the
        labels (B,) as a second argument.
        """

    @abstractmethod
    def trunk(self, shape: Shape) -> Trunk:
        """A new network from images (B, C, H, W) to features (B, F): a critic without its linear heads."""

    def build_generator(self, inputs: int, shape: Shape) -> nn.Module:
        """`generator`, with its weights channels-last in memory."""
        return self.generator(inputs, shape).to(memory_format=torch.channels_last)

    def build_trunk(self, shape: Shape) -> Trunk:
        """`trunk`, with its weights channels-last in memory."""
        return self.trunk(shape).to(memory_format=torch.channels_last)

    def depth(self, shape: Shape) -> int:
        """The depth of a shape, or the published one."""
        return shape.depth or self.published_depth

    @classmethod
    def fits(cls, size: int) -> bool:
        """Whether the networks exist for images of `size` pixels a side."""
        return size > 0 and (not cls.smallest or halvings(size, cls.smallest) > 0)

    @classmethod
    def check(cls, shape: Shape) -> None:
        """Refuse a shape that the networks cannot have.

        Raises:
            UsageError: the message names the option and a remedy.
        """
        if not cls.fits(shape.size):
            larger = next(size for size in count(max(1, shape.size)) if cls.fits(size))
            smaller = next((size for size in range(shape.size, 0, -1) if cls.fits(size)), larger)
            near = " or ".join(named("size", size) for size in dict.fromkeys([smaller, larger]))
            raise UsageError(
                f"{named('arch', cls.name)} cannot halve {named('size', shape.size)} down evenly: use {near}, "
                f"or {named('arch', 'mlp')}"
            )
        for flag, kind, fitting in (
            ("critic_norm", shape.critic_norm, cls.norms),
            ("generator_norm", shape.generator_norm, cls.generator_norms),
        ):
            if kind not in fitting:
                raise UsageError(
                    f"{named(flag, kind)} means nothing to {named('arch', cls.name)}: use {', '.join(fitting)}"
                )
        if shape.depth and not cls.published_depth:
            having = " or ".join(named("arch", name) for name, other in sorted(ARCHS.items()) if other.published_depth)
            raise UsageError(
                f"{named('depth')} means nothing to {named('arch', cls.name)}: leave it out, or use {having}"
            )
