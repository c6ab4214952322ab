"""Gradient penalties. Each defines the points at which the critic's gradient is taken (`look`) and its cost (`price`).

The gradient norm is the norm of d D(x_i) / d x_i over all dimensions but the batch's: one per sample.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_core.networks.critic import judge
from gan_core.ops.precision import upcast
from gan_core.parts.base import Penalty
from gan_core.parts.fields import option
from gan_core.runtime.dist import drawn, gathered
from gan_core.sample import Sample, Verdict


def squared_gradient_norms(gradient: Tensor) -> Tensor:
    """Squared norms per sample, (B, ...) -> (B,), in float32 or wider."""
    return upcast(gradient).flatten(1).square().sum(1)


def gradient_norms(gradient: Tensor) -> Tensor:
    """Norms per sample, (B, ...) -> (B,). At a zero gradient, the derivative of the norm is 0 instead of NaN."""
    squared = squared_gradient_norms(gradient)
    flat = squared == 0
    return torch.where(flat, 0.0, torch.where(flat, 1.0, squared).sqrt())


class NormPenalty(Penalty):
    """The mean price of the critic's gradient at chosen points: weight * E price(gradient)."""

    weight: float = option(10.0, "weight of the penalty (the paper's lambda)", low=0.0, varies=True)
    meaning: ClassVar[Mapping[str, str]] = {
        "gradient_norm": "mean norm of the critic's gradient where the penalty looks"
    }

    @abstractmethod
    def look(self, critic: nn.Module, real: Verdict, fake: Verdict) -> Tensor:
        """The critic's gradient (B, ...) at the points that this penalty chooses."""

    @abstractmethod
    def price(self, gradient: Tensor) -> Tensor:
        """The cost of each sample's gradient: (B, ...) -> (B,)."""

    def forward(self, critic: nn.Module, real: Verdict, fake: Verdict) -> Tensor:
        return self.measured(critic, real, fake)[0]

    def measured(self, critic: nn.Module, real: Verdict, fake: Verdict) -> tuple[Tensor, dict[str, Tensor]]:
        gradient = self.look(critic, real, fake)
        found = {"gradient_norm": gathered(squared_gradient_norms(gradient.detach()).sqrt()).mean()}
        return self.weight * self.every * gathered(self.price(gradient)).mean(), found


def two_sided(gradient: Tensor) -> Tensor:
    """The two-sided cost (||gradient|| - 1)^2: (B, ...) -> (B,)."""
    return (gradient_norms(gradient) - 1).square()


def one_sided(gradient: Tensor) -> Tensor:
    """The one-sided cost max(0, ||gradient|| - 1)^2: (B, ...) -> (B,)."""
    return torch.relu(gradient_norms(gradient) - 1).square()


def gradient_at(critic: nn.Module, sample: Sample) -> Tensor:
    """The critic's gradient at a sample, by a forward pass of its own: (B, ...)."""
    gradient = judge(critic, sample, gradient=True).gradient
    assert gradient is not None
    return gradient


def at_interpolates(critic: nn.Module, real: Verdict, fake: Verdict) -> Tensor:
    """The critic's gradient at e x + (1 - e) G, e ~ U[0, 1] per sample: Gulrajani et al. 2017, algorithm 1."""
    x, g = real.sample.x, fake.sample.x
    e = drawn(torch.rand, len(x), *[1] * (x.ndim - 1), dtype=x.dtype, device=x.device)
    return gradient_at(critic, real.sample.at(g + e * (x - g)))


def at_verdict(critic: nn.Module, verdict: Verdict) -> Tensor:
    """The critic's gradient at the samples of a verdict; computed unless the verdict already contains it."""
    return gradient_at(critic, verdict.sample) if verdict.gradient is None else verdict.gradient


class GradientPenalty(NormPenalty, name="gp"):
    """WGAN-GP, two-sided: Gulrajani et al. 2017, equation 3, arXiv 1704.00028.

    weight * E (||d D(v) / d v|| - 1)^2 at v = e x + (1 - e) G, e ~ U[0, 1] per sample.
    """

    target: ClassVar[float | None] = 1.0

    def look(self, critic: nn.Module, real: Verdict, fake: Verdict) -> Tensor:
        return at_interpolates(critic, real, fake)

    def price(self, gradient: Tensor) -> Tensor:
        return two_sided(gradient)


class LipschitzPenalty(NormPenalty, name="lp"):
    """WGAN-LP, one-sided: Petzka et al. 2018, equation 8, arXiv 1709.08894.

    weight * E max(0, ||d D(v) / d v|| - 1)^2 at v = e x + (1 - e) G, e ~ U[0, 1] per sample.
    """

    def look(self, critic: nn.Module, real: Verdict, fake: Verdict) -> Tensor:
        return at_interpolates(critic, real, fake)

    def price(self, gradient: Tensor) -> Tensor:
        return one_sided(gradient)


class ZeroCentred(NormPenalty, name="zero-gp"):
    """Zero-centred at interpolates: Thanh-Tung et al. 2019, equation 7, arXiv 1902.03984.

    weight * E ||d D(v) / d v||^2 at v = e x + (1 - e) G, e ~ U[0, 1] per sample.
    """

    def look(self, critic: nn.Module, real: Verdict, fake: Verdict) -> Tensor:
        return at_interpolates(critic, real, fake)

    def price(self, gradient: Tensor) -> Tensor:
        return squared_gradient_norms(gradient)


class Dragan(NormPenalty, name="dragan"):
    """DRAGAN: Kodali et al. 2017, section 2.4, arXiv 1705.07215; the noise as in the authors' code.

    weight * E (||d D(v) / d v|| - 1)^2 at v = x + spread * std(x) * u, u ~ U[0, 1] per value, std over the batch.
    """

    spread: float = option(0.5, "largest noise, in standard deviations of the batch", above=0.0, varies=True)

    target: ClassVar[float | None] = 1.0

    def look(self, critic: nn.Module, real: Verdict, fake: Verdict) -> Tensor:
        x = real.sample.x
        noise = drawn(torch.rand, *x.shape, dtype=x.dtype, device=x.device)
        return gradient_at(critic, real.sample.at(x + self.spread * gathered(x).std() * noise))

    def price(self, gradient: Tensor) -> Tensor:
        return two_sided(gradient)


class R1(NormPenalty, name="r1"):
    """Mescheder et al. 2018, equation 9, arXiv 1801.04406, with its factor of 1/2.

    weight / 2 * E ||d D(x) / d x||^2 at real x.
    """

    where: ClassVar[str] = "real"

    def look(self, critic: nn.Module, real: Verdict, fake: Verdict) -> Tensor:
        return at_verdict(critic, real)

    def price(self, gradient: Tensor) -> Tensor:
        return 0.5 * squared_gradient_norms(gradient)


class R2(NormPenalty, name="r2"):
    """Mescheder et al. 2018, equation 10, arXiv 1801.04406, with its factor of 1/2.

    weight / 2 * E ||d D(G) / d G||^2 at generated G.
    """

    where: ClassVar[str] = "fake"

    def look(self, critic: nn.Module, real: Verdict, fake: Verdict) -> Tensor:
        return at_verdict(critic, fake)

    def price(self, gradient: Tensor) -> Tensor:
        return 0.5 * squared_gradient_norms(gradient)
