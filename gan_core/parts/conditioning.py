"""How labels reach the networks: joined to the generator's noise, and into the critic by one of two ways."""

from torch import nn

from gan_core.networks.conditional import ConcatEntry, ProjectionEntry
from gan_core.parts.base import Conditioning


class Concat(Conditioning, name="concat"):
    """cGAN: Mirza and Osindero 2014, equation 2, arXiv 1411.1784: D(x, y), the label joined to what the critic sees.

    As a one-hot plane a class: K more channels, each all ones or all zeros, over every pixel or position.
    """

    def inputs(self, num_classes: int) -> int:
        return num_classes

    def entry(self, num_classes: int, features: int) -> nn.Module:
        return ConcatEntry(num_classes)


class Projection(Conditioning, name="projection"):
    """Projection discriminator: Miyato and Koyama 2018, section 3, arXiv 1802.05637.

    D(x, y) = y^T V phi(x) + psi(phi(x)), phi the trunk's features, psi the linear score, V an embedding of the classes,
    which a spectral norm on the critic holds as it does every weight.
    """

    def entry(self, num_classes: int, features: int) -> nn.Module:
        return ProjectionEntry(num_classes, features)
