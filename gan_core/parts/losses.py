"""Losses. D is the critic's score before any sigmoid, x real samples, G generated samples, E the batch mean.

Every docstring cites the publication's equations and gives both losses, to be minimised.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize, relu, softplus

from gan_core.parts.base import Loss, Needs
from gan_core.parts.fields import buffer, option
from gan_core.sample import Verdict


class NonSaturating(Loss, name="nonsaturating"):
    """Goodfellow et al. 2014, section 3, arXiv 1406.2661: the logistic loss with -log D for the generator.

    critic: E softplus(-D(x)) + E softplus(D(G));  generator: E softplus(-D(G)).
    """

    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        return softplus(-real.score).mean() + softplus(fake.score).mean()

    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return softplus(-fake.score).mean()


class Minimax(Loss, name="minimax"):
    """Goodfellow et al. 2014, equation 1, arXiv 1406.2661: both players share one value function.

    critic: E softplus(-D(x)) + E softplus(D(G));  generator: E log(1 - sigmoid D(G)) = -E softplus(D(G)).
    """

    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        return softplus(-real.score).mean() + softplus(fake.score).mean()

    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return -softplus(fake.score).mean()


class LeastSquares(Loss, name="lsgan"):
    """Mao et al. 2017, equation 2, arXiv 1611.04076: LSGAN, with its factors of 1/2 and no sigmoid.

    critic: E (D(x) - b)^2 / 2 + E (D(G) - a)^2 / 2;  generator: E (D(G) - c)^2 / 2.
    """

    a: float = option(0.0, "score that the critic aims at for generated samples", varies=True)
    b: float = option(1.0, "score that the critic aims at for real samples", varies=True)
    c: float = option(1.0, "score that the generator aims at for generated samples", varies=True)

    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        return 0.5 * (real.score - self.b).square().mean() + 0.5 * (fake.score - self.a).square().mean()

    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return 0.5 * (fake.score - self.c).square().mean()


class Hinge(Loss, name="hinge"):
    """Miyato et al. 2018, equations 16 and 17, arXiv 1802.05957 (after Lim and Ye 2017, arXiv 1705.02894).

    critic: E max(0, 1 - D(x)) + E max(0, 1 + D(G));  generator: -E D(G).
    """

    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        return relu(1 - real.score).mean() + relu(1 + fake.score).mean()

    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return -fake.score.mean()


class Wasserstein(Loss, name="wasserstein"):
    """Arjovsky et al. 2017, equation 2 and algorithm 1, arXiv 1701.07875.

    critic: E D(G) - E D(x), the negative estimate of the distance;  generator: -E D(G).
    """

    meaning: ClassVar[Mapping[str, str]] = {
        "W": "estimate of the Wasserstein distance (times the gradient norm), mean D(x) - mean D(G): it falls slowly"
    }

    def headline(self, real: float, fake: float) -> dict[str, float]:
        return {"W": real - fake}

    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        return fake.score.mean() - real.score.mean()

    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return -fake.score.mean()


class Relativistic(Loss, name="relativistic"):
    """Jolicoeur-Martineau 2018, arXiv 1807.00734; the pairing form of R3GAN, Huang et al. 2024, arXiv 2501.05441.

    critic: E softplus(-(D(x) - D(G)));  generator: E softplus(-(D(G) - D(x))). Samples are paired by position.
    """

    def needs(self, num_classes: int) -> Needs:
        return Needs(reals=True)

    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        return softplus(fake.score - real.score).mean()

    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        assert real is not None
        return softplus(real.score - fake.score).mean()


class Began(Loss, name="began"):
    """Berthelot et al. 2017, equation 5 and section 3.4, arXiv 1703.10717: boundary equilibrium.

    The score is an energy L(v) = mean |v - D(v)|^norm, the reconstruction error.
    critic: E L(x) - k E L(G);  generator: E L(G);  then k <- clip(k + rate (gamma E L(x) - E L(G)), 0, 1), k0 = 0.
    Convergence measure M = E L(x) + |gamma E L(x) - E L(G)|.
    """

    gamma: float = option(
        0.5,
        "diversity ratio E L(G) / E L(x) that the controller holds; the paper has 0.3 to 0.7",
        above=0.0,
        high=1.0,
        varies=True,
    )
    rate: float = option(0.001, "learning rate of the controller k (the paper's lambda_k)", above=0.0, varies=True)
    norm: int = option(1, "power of the reconstruction error: 1 or 2 (the paper's eta)", low=1, high=2)
    k: Tensor = buffer()
    m_global: Tensor = buffer()

    meaning: ClassVar[Mapping[str, str]] = {
        "k": "weight of the generated samples in the critic's loss, held in balance",
        "m_global": "measure of convergence: falls as the samples improve",
    }

    def __post_init__(self) -> None:
        self.register_buffer("k", torch.zeros(()))
        self.register_buffer("m_global", torch.zeros(()))

    def needs(self, num_classes: int) -> Needs:
        return Needs(score=("absolute error", "squared error")[self.norm - 1])

    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        return real.score.mean() - self.k * fake.score.mean()

    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return fake.score.mean()

    @torch.no_grad()
    def observe(self, real: Verdict, fake: Verdict) -> None:
        energy = real.score.mean()
        balance = self.gamma * energy - fake.score.mean()
        self.k.copy_((self.k + self.rate * balance).clamp(0, 1))
        self.m_global.copy_(energy + balance.abs())

    def readings(self) -> dict[str, Tensor]:
        return {"k": self.k, "m_global": self.m_global}

    def headline(self, real: float, fake: float) -> dict[str, float]:
        return {}

    converges: ClassVar[bool] = True

    def convergence(self) -> Tensor:
        return self.m_global


class EnergyBased(Loss, name="ebgan"):
    """Zhao et al. 2017, equations 1 to 4, arXiv 1609.03126: energy margin with the pulling-away term.

    The score is an energy E(v), the mean squared reconstruction error; S are encodings of the generated samples.
    critic: E E(x) + E max(0, m - E(G));  generator: E E(G) + pt * f(S),
    f(S) = mean over i != j of cos(S_i, S_j)^2.
    """

    margin: float = option(
        1.0, "energy up to which the critic pushes generated samples (the paper's m)", above=0.0, varies=True
    )
    pt: float = option(0.1, "weight of the pulling-away term in the generator's loss", low=0.0, varies=True)

    meaning: ClassVar[Mapping[str, str]] = {
        "real": "mean energy (reconstruction error) of real samples",
        "fake": "mean energy of generated samples, pushed up to the margin by the critic",
    }

    def needs(self, num_classes: int) -> Needs:
        return Needs(score="squared error")

    def critic(self, real: Verdict, fake: Verdict) -> Tensor:
        return real.score.mean() + relu(self.margin - fake.score).mean()

    def generator(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return fake.score.mean() + self.pt * pulling_away(fake.features)


def pulling_away(features: Tensor) -> Tensor:
    """Mean squared cosine between the encodings (B, F) of different samples: EBGAN, equation 4."""
    unit = normalize(features.flatten(1))
    n = unit.shape[0]
    return ((unit @ unit.T).square().sum() - unit.square().sum(1).square().sum()) / max(n * (n - 1), 1)
