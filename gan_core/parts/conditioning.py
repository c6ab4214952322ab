"""Conditionings: two ways to condition the critic on labels. The generator gets the label next to the noise."""

from torch import nn

from gan_core.networks.conditional import ConcatEntry, ProjectionEntry
from gan_core.parts.base import Conditioning


class Concat(Conditioning, name="concat"):
    """cGAN: Mirza and Osindero 2014, equation 2, arXiv 1411.1784: D(x, y), the label is appended to the critic's input.

    The one-hot label is appended as K channels, each constant over all pixels or positions.
    """

    def inputs(self, num_classes: int) -> int:
        return num_classes

    def entry(self, num_classes: int, features: int) -> nn.Module:
        return ConcatEntry(num_classes)


class Projection(Conditioning, name="projection"):
    """Projection discriminator: Miyato and Koyama 2018, section 3, arXiv 1802.05637.

    D(x, y) = y^T V phi(x) + psi(phi(x)), phi the trunk's features, psi the linear score, V an embedding of the classes.
    Spectral norm on the critic applies to V as to every other weight.
    """

    def entry(self, num_classes: int, features: int) -> nn.Module:
        return ProjectionEntry(num_classes, features)
