"""The trained networks of a run: drawing samples, and reading the critic's heads."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from gan_core.game.prior import Prior
from gan_core.networks.critic import Critic
from gan_core.networks.modes import evaluating
from gan_core.runtime import dist
from gan_core.sample import Latent, Sample

PICTURED = 64  # samples in a picture
PICTURED_CLASSES = 16
SWEPT = 10  # values of a continuous code in a picture if there is no categorical code
MOST_SWEPT = 20  # highest number of values of a categorical code in a picture
SWEEPS = 3  # rows for each code


@dataclass(frozen=True)
class Picture:
    """Samples that are shown together as one picture.

    name: what the picture shows, "" for plain samples. num: the number of samples. columns: None for any number.
    """

    name: str
    num: int
    batches: Iterable[Sample]
    columns: int | None = None


def nothing() -> None:
    """No-op callback."""


@dataclass(frozen=True)
class Trained:
    """A generator with its prior, and its critic.

    The networks run in evaluation mode. Nothing is drawn from torch's default generators.

    critic: None if it is not needed.
    seed: sample i depends on (seed, i) only.
    taught: whether the critic's head `class` was trained on labels.
    between: called before each batch of `collect`, equally often in every process.
    collected: called by `is_scorer`.
    """

    generator: nn.Module
    critic: Critic | None
    prior: Prior
    seed: int
    batch_size: int
    device: torch.device
    taught: bool = False
    between: Callable[[], None] = nothing
    collected: Callable[[], None] = nothing

    def draw(self, num: int, y: Tensor | None = None, code: Mapping[int, float] | None = None) -> Iterator[Sample]:
        """Generate exactly `num` samples in batches.

        y: (num,) labels to condition on; None: drawn from the prior.
        code: values of codes, by the code's number; other codes are drawn from the prior.
        """
        latents = self.prior.sequence(num, self.seed, self.batch_size, y)
        return self.make(self._with_codes(latent, code or {}) for latent in latents)

    def collect(
        self, num: int, read: Callable[[Sample], dict[str, np.ndarray]], y: Tensor | None = None
    ) -> dict[str, np.ndarray]:
        """Generate `num` samples, apply `read` to each batch, and return its arrays (num, ...) by name, in order.

        With several processes this is a collective: each draws and reads a share of the batches, which are the same as
        in a single process. Rank 0 gets all rows, the others get {}.

        read: a batch -> arrays by name, with one row per sample.
        """
        each = -(-num // (self.batch_size * dist.size()))
        latents = self.prior.sequence(num, self.seed, self.batch_size, y)
        own = islice(latents, dist.rank() * each, (dist.rank() + 1) * each)
        found = []
        with closing(self.make(own)) as batches:
            for _ in range(each):
                self.between()
                found += [read(batch) for batch in islice(batches, 1)]
        names = found[0] if found else ()
        return dist.to_first({name: np.concatenate([arrays[name] for arrays in found]) for name in names})

    def is_scorer(self) -> bool:
        """End the collective phase. True on rank 0, which alone computes the scores."""
        self.collected()
        return dist.rank() == 0

    def make(self, latents: Iterable[Latent]) -> Generator[Sample, None, None]:
        """Generate the samples of given latents, batch by batch."""
        with evaluating(self.generator), torch.no_grad():
            for latent in latents:
                yield Sample(self.generator(latent.to(self.device)), latent.y, latent.code)

    def has_head(self, name: str) -> bool:
        """Whether the critic has a head of that name."""
        return self.critic is not None and name in self.critic.heads

    def heads(self, sample: Sample) -> dict[str, Tensor]:
        """The outputs of the critic's heads for a batch, by name, on the CPU."""
        assert self.critic is not None
        y = None if sample.y is None else sample.y.to(self.device)
        with evaluating(self.critic), torch.no_grad():
            _, heads = self.critic(sample.x.to(self.device), y)
        return {name: value.cpu() for name, value in heads.items()}

    def each_class(self, num: int) -> Tensor:
        """Labels (num,) in ascending order, with equally many of each class up to rounding."""
        return each_class(num, len(self.prior.shares))

    def pictures(self, num: int = PICTURED) -> Iterator[Picture]:
        """Pictures to look at during training: samples, sorted by class if there are classes, and a traversal of codes.

        num: samples in a picture without classes; a picture with classes has num / 8 samples of each.
        """
        shown = min(self.prior.num_classes, PICTURED_CLASSES)
        if shown:
            some = num // 8 * shown
            yield Picture("", some, self.draw(some, each_class(some, shown)))
        else:
            yield Picture("", num, self.draw(num))
        if self.prior.codes:
            yield self.traversal()

    def traversal(self) -> Picture:
        """A picture in which one code varies along each row and all else is fixed: SWEEPS rows for each code."""
        codes = self.prior.codes
        assert codes is not None
        columns = min(codes.categories, MOST_SWEPT) if codes.categorical else SWEPT
        rows = []
        starts = next(self.prior.sequence(SWEEPS * codes.num, self.seed, SWEEPS * codes.num))
        for row in range(len(starts)):
            index = row // SWEEPS
            discrete = index < codes.categorical
            values = list(range(columns)) if discrete else torch.linspace(-1, 1, columns).tolist()
            start = starts.rows(slice(row, row + 1))
            rows += [self._with_codes(start, {index: value}) for value in values]
        return Picture("traversal", len(rows), self.make(rows), columns)

    def _with_codes(self, latent: Latent, values: Mapping[int, float]) -> Latent:
        code = latent.code
        for index, value in values.items():
            assert self.prior.codes is not None and code is not None
            code = self.prior.codes.fixed(code, index, value)
        return Latent(latent.z, latent.y, code)


def each_class(num: int, num_classes: int) -> Tensor:
    """Labels (num,) in ascending order, with equally many of each class up to rounding."""
    return torch.arange(num) * num_classes // num
