"""Critics: a trunk with heads, or an autoencoder whose score is an energy. And judge(), which asks them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_core.sample import Sample, Verdict

Answer = tuple[Tensor, dict[str, Tensor]]  # features (B, F) and the heads


def wide(x: Tensor) -> Tensor:
    """At least float32: what autocast made narrow, scores and slopes are summed in."""
    return x if x.dtype == torch.float64 else x.float()


class ScoringCritic(nn.Module):
    """A trunk, x -> (B, features), with a linear head a task; the head `score` is the adversarial one."""

    energy = 0

    def __init__(self, trunk: nn.Module, features: int, heads: Mapping[str, int]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict({name: nn.Linear(features, n) for name, n in {"score": 1, **heads}.items()})

    def forward(self, x: Tensor) -> Answer:
        features = self.trunk(x)
        heads = {name: wide(head(features)) for name, head in self.heads.items()}
        return features, {**heads, "score": heads["score"].squeeze(1)}


class AutoencoderCritic(nn.Module):
    """An autoencoder; its score is the reconstruction error of each sample, E(v) = scale * mean |v - D(v)|^power.

    `scale` is the domain's: 1 gives the plain mean of BEGAN and EBGAN.
    """

    def __init__(
        self, trunk: nn.Module, features: int, code: int, decoder: nn.Module, power: int, scale: float
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.encode = nn.Linear(features, code)
        self.decoder = decoder
        self.energy = power
        self.scale = scale

    def forward(self, x: Tensor) -> Answer:
        code = wide(self.encode(self.trunk(x)))
        error = (x - wide(self.decoder(code))).abs().flatten(1)
        return code, {"score": self.scale * error.pow(self.energy).mean(1)}


def judge(critic: nn.Module, sample: Sample, slope: bool = False) -> Verdict:
    """Ask a critic about a sample; with `slope`, also for the gradient of each score by its own sample.

    The only place where a gradient is taken by hand. It can be differentiated again, and by torch.func.grad
    the verdict and the gradient come out of one forward pass, which torch.compile takes as one graph.
    """
    if not slope:
        features, heads = critic(sample.x)
        return Verdict(sample, features, heads)

    def total(x: Tensor) -> "tuple[Tensor, Answer]":  # quoted: torch.compile cannot evaluate it
        features, heads = critic(x)
        return heads["score"].sum(), (features, heads)

    gradient, (features, heads) = torch.func.grad(total, has_aux=True)(sample.x)
    return Verdict(sample, features, heads, gradient)


def judge_both(
    critic: nn.Module, real: Sample, fake: Sample, slope_of: frozenset[str] = frozenset()
) -> tuple[Verdict, Verdict]:
    """Judge reals and fakes, in one call of the critic where that gives the same verdicts.

    slope_of: those of "real" and "fake" whose gradients are wanted too. A critic with batch norm sees the two
    batches apart, as in its publications: joined, the statistics of one would leak into the other.
    """
    wanted = ["real" in slope_of, "fake" in slope_of]
    if wanted[0] != wanted[1] or mixes_samples(critic):
        return judge(critic, real, wanted[0]), judge(critic, fake, wanted[1])
    return judge(critic, real.joined(fake), wanted[0]).split(real, fake)


def mixes_samples(critic: nn.Module) -> bool:
    """Whether a sample's score depends on the others of its batch, as batch norm makes it."""
    return any(isinstance(module, _BatchNorm) for module in critic.modules())
