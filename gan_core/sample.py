"""What travels through a step: what the generator starts from, a batch, and what a critic says of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import one_hot


@dataclass(frozen=True)
class Latent:
    """What the generator starts from.

    z: (B, Z) noise. y: (B,) int64 labels that are asked for, or None. code: (B, C), see `prior.Codes`, or None.
    """

    z: Tensor
    y: Tensor | None = None
    code: Tensor | None = None

    def __len__(self) -> int:
        return self.z.shape[0]

    def rows(self, rows: slice) -> "Latent":
        """Some of them."""
        return self._each(lambda part: part[rows])

    def to(self, device: torch.device) -> "Latent":
        """The same on a device."""
        return self._each(lambda part: part.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Latent":
        y, code = (None if part is None else change(part) for part in (self.y, self.code))
        return Latent(change(self.z), y, code)


@dataclass(frozen=True)
class Sample:
    """A batch, channels first.

    x: (B, ...) values; text is (B, V, L) one-hot or softmax, images are (B, C, H, W) in [-1, 1].
    y: (B,) int64 labels, of generated samples those asked for; -1 where a label is unknown; or None.
    code: (B, C) latent code the batch was made from, or None.
    """

    x: Tensor
    y: Tensor | None = None
    code: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def rows(self, rows: slice) -> "Sample":
        """Some of them."""
        y, code = (None if part is None else part[rows] for part in (self.y, self.code))
        return Sample(self.x[rows], y, code)

    def joined(self, other: "Sample") -> "Sample":
        """Both batches as one, this one first."""
        y = None if self.y is None or other.y is None else torch.cat([self.y, other.y])
        return Sample(torch.cat([self.x, other.x]), y)

    def to(self, dtype: torch.dtype) -> "Sample":
        """The same with values of a type."""
        return self.at(self.x.to(dtype))

    def without_labels(self) -> "Sample":
        """The same values and codes."""
        return Sample(self.x, None, self.code)

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
        """(B,) one score per sample, never a mean: a mean would scale every gradient by 1/B."""
        return self.heads["score"]

    def split(self, first: Sample, second: Sample) -> "tuple[Verdict, Verdict]":
        """The verdict of two joined samples as one of each."""
        n = len(first)
        return self._part(first, slice(None, n)), self._part(second, slice(n, None))

    def _part(self, sample: Sample, rows: slice) -> "Verdict":
        heads = {name: value[rows] for name, value in self.heads.items()}
        gradient = None if self.gradient is None else self.gradient[rows]
        return Verdict(sample, self.features[rows], heads, gradient)


@dataclass(frozen=True)
class Codes:
    """The latent code of InfoGAN: some categorical codes, each one-hot, and then some continuous ones, U(-1, 1)."""

    categorical: int
    categories: int
    continuous: int

    @property
    def width(self) -> int:
        """Columns of a batch of codes."""
        return self.categorical * self.categories + self.continuous

    @property
    def num(self) -> int:
        """How many codes there are: the categorical ones come first."""
        return self.categorical + self.continuous

    def draw(self, num: int, device: torch.device | str = "cpu", generator: torch.Generator | None = None) -> Tensor:
        """(num, width)."""
        values = torch.randint(self.categories, (num, self.categorical), device=device, generator=generator)
        levels = torch.rand(num, self.continuous, device=device, generator=generator) * 2 - 1
        return torch.cat([one_hot(values, self.categories).flatten(1).float(), levels], 1)

    def categories_of(self, code: Tensor) -> Tensor:
        """The values (B, categorical) of the categorical codes in (B, width)."""
        return code[:, : self.categorical * self.categories].unflatten(1, (self.categorical, self.categories)).argmax(2)

    def fixed(self, code: Tensor, index: int, value: float) -> Tensor:
        """The same codes (B, width) with one of them, categorical ones first, set to a value."""
        code = code.clone()
        if index < self.categorical:
            start = index * self.categories
            code[:, start : start + self.categories] = 0
            code[:, start + int(value)] = 1
        else:
            code[:, self.categorical * self.categories + index - self.categorical] = value
        return code
