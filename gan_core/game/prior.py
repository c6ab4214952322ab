"""What the generator starts from: noise, and where a recipe wants them labels and codes."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_core.runtime import dist
from gan_core.runtime.randomness import derive
from gan_core.sample import Codes, Latent

NOISES = ("normal", "uniform")
BLOCK = 1024  # noise for sampling is drawn in blocks of this size, whatever the batch: sample i never depends on it


@dataclass(frozen=True)
class Prior:
    """Noise of `size` dimensions, N(0, 1), or U[-1, 1] as BEGAN has it; with it labels and codes.

    shares: of the classes, by which labels are drawn; () where the generator is not told of labels.
    codes: those of the run, or None.
    """

    size: int
    noise: str = "normal"
    shares: tuple[float, ...] = ()
    codes: Codes | None = None

    @property
    def width(self) -> int:
        """Columns of noise and code, beside each other."""
        return self.size + (self.codes.width if self.codes else 0)

    @property
    def num_classes(self) -> int:
        """Of the labels that the generator is told, 0 for none."""
        return len(self.shares)

    def draw(self, num: int, device: torch.device | str = "cpu", like: Tensor | None = None) -> Latent:
        """`num` of them from torch's default generators.

        like: (num,) labels to take over where they are known, so that pairs of real and generated samples, and what
            lies between the two of a pair, have one label.
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
        """Batches that add up to exactly `num`, on the CPU; of what is drawn row i depends on (seed, i) alone.

        y: (num,) labels, code: (num, C) codes, to take instead of drawing them.
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
        """Labels and codes have generators of their own: the noise is the same with and without them."""

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
