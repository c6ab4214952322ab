"""Critics (a trunk with heads, or an autoencoder with an energy as its score), and `judge`, which evaluates them."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_core.networks.conditional import LabelEntry
from gan_core.ops.precision import upcast
from gan_core.runtime.dist import gathered, size
from gan_core.sample import Sample, Verdict

Answer = tuple[Tensor, dict[str, Tensor]]  # features (B, F) and the heads
Heads = dict[str, Tensor]

# The kinds of score, as functions of the critic's heads.
SCORES: dict[str, Callable[[Heads], Tensor]] = {
    "linear": lambda heads: heads["score"].squeeze(1),
    "class evidence": lambda heads: heads["class"].logsumexp(1),
    "class certainty": lambda heads: -entropy(heads["class"]),
}
ENERGIES = {"absolute error": 1, "squared error": 2}  # the kinds of an autoencoder's score: the power of its error
BOUNDED = ("class certainty",)  # bounded scores: no penalty with a non-zero target norm can hold for them


def entropy(logits: Tensor) -> Tensor:
    """The entropy in nats of the softmax of each row of logits: (B, K) -> (B,)."""
    logs = logits.log_softmax(1)
    return -(logs.exp() * logs).sum(1)


class Critic(nn.Module):
    """A trunk, x -> (B, features), with linear heads, and a score (B,).

    heads: the heads' widths, by name. score: the kind of score, a key of SCORES or ENERGIES.
    labels: how labels enter the critic; None: not at all.
    """

    def __init__(
        self, trunk: nn.Module, features: int, heads: Mapping[str, int], score: str, labels: LabelEntry | None = None
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict({name: nn.Linear(features, n) for name, n in heads.items()})
        self.labels = labels or LabelEntry()
        self.score_kind = score


class ScoringCritic(Critic):
    """A critic whose score is the head `score` or a function of the head `class`, plus the term of `labels`."""

    def __init__(
        self,
        trunk: nn.Module,
        features: int,
        heads: Mapping[str, int],
        score: str = "linear",
        labels: LabelEntry | None = None,
    ) -> None:
        heads = {"score": 1, **heads} if score == "linear" else heads
        super().__init__(trunk, features, heads, score, labels)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Answer:
        features = self.trunk(self.labels.enter(x, y))
        heads = {name: upcast(head(features)) for name, head in self.heads.items()}
        return features, {**heads, "score": SCORES[self.score_kind](heads) + self.labels.bonus(upcast(features), y)}


class AutoencoderCritic(Critic):
    """An autoencoder; its score is the reconstruction error of each sample, E(v) = scale * mean |v - D(v)|^power.

    The domain sets `scale`; 1 gives the plain mean of BEGAN and EBGAN. The heads take the encoding (B, code) as input.
    """

    def __init__(
        self,
        trunk: nn.Module,
        features: int,
        code: int,
        decoder: nn.Module,
        heads: Mapping[str, int],
        score: str,
        scale: float,
        labels: LabelEntry | None = None,
    ) -> None:
        super().__init__(trunk, code, heads, score, labels)
        self.encode = nn.Linear(features, code)
        self.decoder = decoder
        self.scale = scale

    def forward(self, x: Tensor, y: Tensor | None = None) -> Answer:
        code = upcast(self.encode(self.trunk(self.labels.enter(x, y))))
        heads = {name: upcast(head(code)) for name, head in self.heads.items()}
        error = (x - upcast(self.decoder(code))).abs().flatten(1)
        return code, {**heads, "score": self.scale * error.pow(ENERGIES[self.score_kind]).mean(1)}


def judge(critic: nn.Module, sample: Sample, gradient: bool = False) -> Verdict:
    """Evaluate a critic on a sample; with `gradient`, also compute the gradient of each score by its own sample.

    No other function computes an input gradient. The gradient can be differentiated again. torch.func.grad returns
    the verdict and the gradient from one forward pass, which torch.compile compiles into one graph.
    """
    if not gradient:
        features, heads = critic(sample.x, sample.y)
        return Verdict(sample, features, heads)

    def total(x: Tensor) -> "tuple[Tensor, Answer]":  # quoted: torch.compile cannot evaluate the annotation
        features, heads = critic(x, sample.y)
        return heads["score"].sum(), (features, heads)

    slopes, (features, heads) = torch.func.grad(total, has_aux=True)(sample.x)
    return Verdict(sample, features, heads, slopes)


def judge_both(
    critic: nn.Module, real: Sample, fake: Sample, gradients_of: frozenset[str] = frozenset()
) -> tuple[Verdict, Verdict]:
    """Judge real and generated samples, in one call of the critic if that gives the same verdicts.

    A critic with batch norm gets the two batches in separate calls, as in the publications: in a joined batch, the
    statistics of one would leak into the other.

    gradients_of: "real", "fake" or both; the verdicts that must include the gradient.
    """
    wanted = ["real" in gradients_of, "fake" in gradients_of]
    if wanted[0] != wanted[1] or mixes_samples(critic):
        return judge(critic, real, wanted[0]), judge(critic, fake, wanted[1])
    return judge(critic, real.joined(fake), wanted[0]).split(real, fake)


def mixes_samples(critic: nn.Module) -> bool:
    """Whether a sample's score depends on the rest of its batch, which is so for a critic with batch norm."""
    return any(isinstance(module, _BatchNorm) for module in critic.modules())


def whole(verdict: Verdict) -> Verdict:
    """Gather the verdict of the whole batch from all processes, for losses.

    With several processes, its `sample` has labels and codes; of x only the batch size is kept.
    """
    if size() == 1:
        return verdict
    sample = verdict.sample
    y, code = (None if part is None else gathered(part) for part in (sample.y, sample.code))
    x = sample.x.new_empty(len(sample) * size(), 0)
    heads = {name: gathered(value) for name, value in verdict.heads.items()}
    return Verdict(Sample(x, y, code), gathered(verdict.features), heads)
