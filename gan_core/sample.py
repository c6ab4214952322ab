"""The values of a training step: Latent (the generator's input), Sample (a batch), Verdict (a critic's output)."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import one_hot


@dataclass(frozen=True)
class Latent:
    """The generator's input.

    z: (B, Z) noise. y: (B,) int64 labels to condition on, or None. code: (B, C) latent codes (see `Codes`), or None.
    """

    z: Tensor
    y: Tensor | None = None
    code: Tensor | None = None

    def __len__(self) -> int:
        return self.z.shape[0]

    def rows(self, rows: slice) -> "Latent":
        """Select rows of the batch."""
        return self._each(lambda part: part[rows])

    def to(self, device: torch.device) -> "Latent":
        """Copy to a device."""
        return self._each(lambda part: part.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Latent":
        y, code = (None if part is None else change(part) for part in (self.y, self.code))
        return Latent(change(self.z), y, code)


@dataclass(frozen=True)
class Sample:
    """A batch, channels first.

    x: (B, ...) values; text is (B, V, L) one-hot or softmax, images are (B, C, H, W) in [-1, 1].
    y: (B,) int64 labels, or None; -1 for an unknown label. For generated samples, the labels asked for.
    code: (B, C) the latent codes that the batch was generated from, or None.
    """

    x: Tensor
    y: Tensor | None = None
    code: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def rows(self, rows: slice) -> "Sample":
        """Select rows of the batch."""
        y, code = (None if part is None else part[rows] for part in (self.y, self.code))
        return Sample(self.x[rows], y, code)

    def joined(self, other: "Sample") -> "Sample":
        """Concatenate two batches, this one first; codes are dropped."""
        y = None if self.y is None or other.y is None else torch.cat([self.y, other.y])
        return Sample(torch.cat([self.x, other.x]), y)

    def to(self, dtype: torch.dtype) -> "Sample":
        """Convert x to a dtype."""
        return self.at(self.x.to(dtype))

    def without_labels(self) -> "Sample":
        """A copy with y = None."""
        return Sample(self.x, None, self.code)

    def at(self, x: Tensor) -> "Sample":
        """A copy with other values x and the same labels and codes."""
        return Sample(x, self.y, self.code)


@dataclass(frozen=True)
class Verdict:
    """A critic's output for a sample.

    features: (B, F), the trunk's output or an autoencoder's encoding.
    heads: the output of each head, (B,) or (B, n); the adversarial score `score` is always present.
    gradient: d score_i / d x_i for every i, shaped like x, or None if it was not requested.
    """

    sample: Sample
    features: Tensor
    heads: dict[str, Tensor] = field(default_factory=dict)
    gradient: Tensor | None = None

    @property
    def score(self) -> Tensor:
        """The scores (B,), one per sample. Not their mean, which would scale every input gradient by 1/B."""
        return self.heads["score"]

    def split(self, first: Sample, second: Sample) -> "tuple[Verdict, Verdict]":
        """Split the verdict of two joined samples into a verdict of each."""
        n = len(first)
        return self._part(first, slice(None, n)), self._part(second, slice(n, None))

    def _part(self, sample: Sample, rows: slice) -> "Verdict":
        heads = {name: value[rows] for name, value in self.heads.items()}
        gradient = None if self.gradient is None else self.gradient[rows]
        return Verdict(sample, self.features[rows], heads, gradient)


@dataclass(frozen=True)
class Codes:
    """The latent codes of InfoGAN: one-hot categorical codes, followed by continuous codes drawn from U(-1, 1).

    categorical, continuous: the number of codes of each kind. categories: the number of values of a categorical code.
    """

    categorical: int
    categories: int
    continuous: int

    @property
    def width(self) -> int:
        """The number of columns of a batch of codes."""
        return self.categorical * self.categories + self.continuous

    @property
    def num(self) -> int:
        """The number of codes. Categorical codes are numbered first."""
        return self.categorical + self.continuous

    def draw(self, num: int, device: torch.device | str = "cpu", generator: torch.Generator | None = None) -> Tensor:
        """Draw `num` rows of codes: (num, width)."""
        values = torch.randint(self.categories, (num, self.categorical), device=device, generator=generator)
        levels = torch.rand(num, self.continuous, device=device, generator=generator) * 2 - 1
        return torch.cat([one_hot(values, self.categories).flatten(1).float(), levels], 1)

    def categories_of(self, code: Tensor) -> Tensor:
        """The values (B, categorical) of the categorical codes in a batch of codes (B, width)."""
        return code[:, : self.categorical * self.categories].unflatten(1, (self.categorical, self.categories)).argmax(2)

    def fixed(self, code: Tensor, index: int, value: float) -> Tensor:
        """A copy of codes (B, width) in which code number `index` has the given value."""
        code = code.clone()
        if index < self.categorical:
            start = index * self.categories
            code[:, start : start + self.categories] = 0
            code[:, start + int(value)] = 1
        else:
            code[:, self.categorical * self.categories + index - self.categorical] = value
        return code
