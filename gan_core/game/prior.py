"""The prior: the generator's input distribution of noise and, if a recipe has them, labels and codes."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_core.runtime import dist
from gan_core.runtime.randomness import derive
from gan_core.sample import Codes, Latent

NOISES = ("normal", "uniform")
BLOCK = 1024  # rows; sampling noise is drawn in blocks of this size, so that sample i does not depend on the batch size


@dataclass(frozen=True)
class Prior:
    """The distribution of the generator's input: noise, labels and codes.

    size: dimensions of the noise. noise: "normal" for N(0, 1), "uniform" for U[-1, 1] (as in BEGAN).
    shares: the probability of each class, from which labels are drawn; () if the generator gets no labels.
    codes: the latent codes, or None.
    """

    size: int
    noise: str = "normal"
    shares: tuple[float, ...] = ()
    codes: Codes | None = None

    @property
    def width(self) -> int:
        """The number of columns of noise and code together."""
        return self.size + (self.codes.width if self.codes else 0)

    @property
    def num_classes(self) -> int:
        """The number of classes of the generator's labels, 0 if it gets none."""
        return len(self.shares)

    def draw(self, num: int, device: torch.device | str = "cpu", like: Tensor | None = None) -> Latent:
        """Draw `num` latents from torch's default generators.

        like: (num,) labels to use where they are known, so that a real sample, the generated sample paired with it, and
            their interpolates have the same label.
        """
        total = num * dist.size()
        rows = dist.own(total)
        z = self._noise(total, device)[rows]
        y = self._labels(total, device)[rows] if self.shares else None
        if y is not None and like is not None:
            y = torch.where(like >= 0, like, y)
        return Latent(z, y, self.codes.draw(total, device)[rows] if self.codes else None)

    def sequence(
        self, num: int, seed: int, batch_size: int, y: Tensor | None = None, code: Tensor | None = None
    ) -> Iterator[Latent]:
        """Draw exactly `num` latents in batches, on the CPU; row i depends on (seed, i) only, not on the batch size.

        y: (num,) labels to use instead of drawing them. code: (num, C) codes to use instead of drawing them.
        """
        rest = Latent(torch.empty(0, self.size))
        for first in range(0, num, BLOCK):
            rows = slice(first, first + BLOCK)
            drawn = self._block(seed, first // BLOCK).rows(slice(num - first))
            rest = _joined(
                rest, Latent(drawn.z, drawn.y if y is None else y[rows], drawn.code if code is None else code[rows])
            )
            last = first + BLOCK >= num
            while len(rest) >= batch_size or (last and len(rest)):
                yield rest.rows(slice(batch_size))
                rest = rest.rows(slice(batch_size, None))

    def _block(self, seed: int, index: int) -> Latent:
        """Block `index` of BLOCK latents. The noise is the same with and without labels or codes: generators differ."""

        def generator(purpose: str) -> torch.Generator:
            return torch.Generator().manual_seed(derive(seed, purpose, index))

        z = self._noise(BLOCK, "cpu", generator("sample"))
        y = self._labels(BLOCK, "cpu", generator("sample labels")) if self.shares else None
        return Latent(z, y, self.codes.draw(BLOCK, generator=generator("sample codes")) if self.codes else None)

    def _noise(self, num: int, device: torch.device | str, generator: torch.Generator | None = None) -> Tensor:
        if self.noise == "normal":
            return torch.randn(num, self.size, device=device, generator=generator)
        return torch.rand(num, self.size, device=device, generator=generator) * 2 - 1

    def _labels(self, num: int, device: torch.device | str, generator: torch.Generator | None = None) -> Tensor:
        return torch.multinomial(torch.tensor(self.shares, device=device), num, replacement=True, generator=generator)


def _joined(first: Latent, second: Latent) -> Latent:
    if not len(first):
        return second
    pairs = ((first.y, second.y), (first.code, second.code))
    y, code = (None if a is None or b is None else torch.cat([a, b]) for a, b in pairs)
    return Latent(torch.cat([first.z, second.z]), y, code)
