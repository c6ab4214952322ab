"""Constraints on the weights of a network: spectral norm, weight norm, orthonormal weights, clipping.

Each applies to every weight matrix of linear, convolution and embedding layers, of shape (out, everything else).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrizations, parametrize

from gan_core.networks.weights import TRANSPOSED, matrix, weighted_layers
from gan_core.parts.base import Constraint
from gan_core.parts.fields import option


class SpectralNorm(Constraint, name="spectral"):
    """Miyato et al. 2018, equation 8 and algorithm 1, arXiv 1802.05957: W / sigma(W), sigma = u^T W v.

    Power iteration updates u and v after each step of the network only. Reading, averaging or saving the weights does
    not change them, and both forward passes of a penalty use the same weights. u and v are constants in the gradient.
    """

    iterations: int = option(1, "power iterations after each step of the network", low=1, metavar="N")
    reparametrises: ClassVar[bool] = True

    def attach(self, net: nn.Module) -> None:
        for layer in weighted_layers(net):
            dividing = DividedBySigma(layer.weight, isinstance(layer, TRANSPOSED))
            parametrize.register_parametrization(layer, "weight", dividing)
        self._iterate(net, 15)

    def enforce(self, net: nn.Module) -> None:
        self._iterate(net, self.iterations)

    def _iterate(self, net: nn.Module, times: int) -> None:
        for layer in weighted_layers(net):
            weight = layer.parametrizations.weight
            weight[0].iterate(weight.original, times)


class DividedBySigma(nn.Module):
    """The parametrisation of `SpectralNorm`: W / (u^T W v), an estimate of W divided by its largest singular value."""

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, transposed: bool) -> None:
        super().__init__()
        self.transposed = transposed
        rows, columns = matrix(weight, transposed).shape
        self.register_buffer("u", normalize(torch.randn(rows, dtype=weight.dtype), dim=0))
        self.register_buffer("v", normalize(torch.randn(columns, dtype=weight.dtype), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        return weight / (self.u @ matrix(weight, self.transposed) @ self.v)

    @torch.no_grad()
    def iterate(self, weight: Tensor, times: int) -> None:
        """Update u and v in place by `times` power iterations."""
        wide = matrix(weight, self.transposed)
        for _ in range(times):
            self.v.copy_(normalize(wide.T @ self.u, dim=0))
            self.u.copy_(normalize(wide @ self.v, dim=0))


class WeightNorm(Constraint, name="weight-norm"):
    """Salimans and Kingma 2016, equation 2, arXiv 1602.07868: w = g v / ||v||, one g per output unit."""

    reparametrises: ClassVar[bool] = True

    def attach(self, net: nn.Module) -> None:
        for layer in weighted_layers(net):
            parametrizations.weight_norm(layer, dim=1 if isinstance(layer, TRANSPOSED) else 0)


class OrthonormalTerm(Constraint, name="orthonormal-term"):
    """Brock et al. 2017, equation 2, arXiv 1609.07093: a term of the loss that pulls weights towards orthonormal ones.

    weight * sum over layers of ||W W^T - I||_F^2, or ||W^T W - I||_F^2 if W has more rows than columns, so that the
    term can reach 0.
    """

    weight: float = option(1e-4, "weight of the term in the network's loss", low=0.0, varies=True)

    def cost(self, net: nn.Module) -> Tensor:
        total = torch.zeros(())
        for layer in weighted_layers(net):
            wide = matrix(layer.weight, isinstance(layer, TRANSPOSED))
            gram = wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
            total = total.to(gram) + (gram - torch.eye(len(gram)).to(gram)).square().sum()
        return self.weight * total


class OrthonormalProjection(Constraint, name="orthonormal-projection"):
    """Replaces weights by the nearest orthonormal ones after each step: W = U S V^T becomes U V^T.

    Miyato et al. 2018, section 4.1, arXiv 1802.05957, compare spectral norm with it. Here it is a hard constraint.
    """

    def attach(self, net: nn.Module) -> None:
        self.enforce(net)

    @torch.no_grad()
    def enforce(self, net: nn.Module) -> None:
        for layer in weighted_layers(net):
            transposed = isinstance(layer, TRANSPOSED)
            u, _, vh = torch.linalg.svd(matrix(layer.weight, transposed), full_matrices=False)
            nearest = u @ vh
            turned = layer.weight.transpose(0, 1) if transposed else layer.weight
            turned.copy_(nearest.reshape(turned.shape))


class Clip(Constraint, name="clip"):
    """Arjovsky et al. 2017, algorithm 1, arXiv 1701.07875: every parameter clipped to [-bound, bound]."""

    bound: float = option(
        0.01, "bound that every parameter is clipped to, from -bound to bound (the paper's c)", above=0.0, varies=True
    )

    @torch.no_grad()
    def enforce(self, net: nn.Module) -> None:
        for parameter in net.parameters():
            parameter.clamp_(-self.bound, self.bound)
