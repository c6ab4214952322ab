"""What the generator starts from."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_core.randomness import derive

NOISES = ("normal", "uniform")
BLOCK = 1024  # noise for sampling is drawn in blocks of this size, whatever the batch: sample i never depends on it


@dataclass(frozen=True)
class Prior:
    """Noise of `size` dimensions: N(0, 1), or U[-1, 1] as BEGAN has it."""

    size: int
    noise: str = "normal"

    def draw(self, num: int, device: torch.device | str = "cpu", generator: torch.Generator | None = None) -> Tensor:
        """(num, size) from torch's default generator, or from the one given."""
        if self.noise == "normal":
            return torch.randn(num, self.size, device=device, generator=generator)
        return torch.rand(num, self.size, device=device, generator=generator) * 2 - 1

    def sequence(self, num: int, seed: int, batch_size: int) -> Iterator[Tensor]:
        """Batches that add up to exactly `num` rows of noise, on the CPU; row i depends on (seed, i) alone."""
        rest = torch.empty(0, self.size)
        for first in range(0, num, BLOCK):
            generator = torch.Generator().manual_seed(derive(seed, "sample", first // BLOCK))
            rest = torch.cat([rest, self.draw(BLOCK, generator=generator)[: num - first]])
            last = first + BLOCK >= num
            while len(rest) >= batch_size or (last and len(rest)):
                yield rest[:batch_size]
                rest = rest[batch_size:]
