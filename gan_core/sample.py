"""What travels through a step: a batch, and what a critic says of it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """A batch, channels first.

    x: (B, ...) values; text is (B, V, L) one-hot or softmax, images are (B, C, H, W) in [-1, 1].
    y: (B,) int64 labels, -1 where a label is unknown, or None.
    code: (B, K) latent code the batch was made from, or None.
    """

    x: Tensor
    y: Tensor | None = None
    code: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def joined(self, other: "Sample") -> "Sample":
        """Both batches as one, this one first."""
        y = None if self.y is None or other.y is None else torch.cat([self.y, other.y])
        return Sample(torch.cat([self.x, other.x]), y)

    def at(self, x: Tensor) -> "Sample":
        """The same labels and codes at other values."""
        return Sample(x, self.y, self.code)


@dataclass(frozen=True)
class Verdict:
    """What a critic says of a sample.

    heads: one tensor a head, (B,) or (B, n); `score` is the adversarial one, always there.
    features: (B, F), the trunk's output or an autoencoder's encoding.
    gradient: d score_i / d x_i for every i, shaped like x, where it was asked for.
    """

    sample: Sample
    features: Tensor
    heads: dict[str, Tensor] = field(default_factory=dict)
    gradient: Tensor | None = None

    @property
    def score(self) -> Tensor:
        """(B,) one score per sample, never a mean: a mean would scale every slope by 1/B."""
        return self.heads["score"]

    def split(self, first: Sample, second: Sample) -> "tuple[Verdict, Verdict]":
        """The verdict of two joined samples as one of each."""
        n = len(first)
        return self._part(first, slice(None, n)), self._part(second, slice(n, None))

    def _part(self, sample: Sample, rows: slice) -> "Verdict":
        heads = {name: value[rows] for name, value in self.heads.items()}
        gradient = None if self.gradient is None else self.gradient[rows]
        return Verdict(sample, self.features[rows], heads, gradient)
