"""What a run has learned, to draw from and to ask."""

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
SWEPT = 10  # values of a continuous code in a picture, where no categorical code sets its width
MOST_SWEPT = 20  # values of a categorical code in a picture
SWEEPS = 3  # rows for each code


@dataclass(frozen=True)
class Picture:
    """Some samples to look at together: what they show, and in how many columns, None where that does not matter."""

    name: str
    num: int
    batches: Iterable[Sample]
    columns: int | None = None


def nothing() -> None:
    """No-op callback."""


@dataclass(frozen=True)
class Trained:
    """A generator with what it starts from, and its critic.

    While they are asked the networks are in evaluation mode; nothing is drawn from torch's default generators.
    seed: sample i depends on it and i alone. critic: None where nobody will ask it. taught: whether its head `class`
    learnt from labels.
    between: called before each batch that `collect` draws; as often in every process. collected: called by `is_scorer`.
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
        """Batches that add up to exactly `num` samples.

        y: (num,) the labels to ask for, else drawn. code: values of codes, by their number, else drawn.
        """
        latents = self.prior.sequence(num, self.seed, self.batch_size, y)
        return self.make(self._with_codes(latent, code or {}) for latent in latents)

    def collect(
        self, num: int, read: Callable[[Sample], dict[str, np.ndarray]], y: Tensor | None = None
    ) -> dict[str, np.ndarray]:
        """What `read` makes of `num` samples, arrays (num, ...) by name, in order.

        Of several processes each draws and reads a share of the batches, which are those of one process. All must call
        this alike; the first one has everything, the others {}.

        read: a batch -> arrays with a row for each of its samples.
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
        """The samples that come of latents, batch by batch."""
        with evaluating(self.generator), torch.no_grad():
            for latent in latents:
                yield Sample(self.generator(latent.to(self.device)), latent.y, latent.code)

    def has_head(self, name: str) -> bool:
        """Whether the critic has a head of that name."""
        return self.critic is not None and name in self.critic.heads

    def heads(self, sample: Sample) -> dict[str, Tensor]:
        """What the critic's heads say of a batch, on the CPU."""
        assert self.critic is not None
        y = None if sample.y is None else sample.y.to(self.device)
        with evaluating(self.critic), torch.no_grad():
            _, heads = self.critic(sample.x.to(self.device), y)
        return {name: value.cpu() for name, value in heads.items()}

    def each_class(self, num: int) -> Tensor:
        """Labels (num,) to ask for, class by class, of each as many, or one more of the first ones."""
        return each_class(num, len(self.prior.shares))

    def pictures(self, num: int = PICTURED) -> Iterator[Picture]:
        """What to look at while training: samples, class by class if there are classes; codes swept one by one.

        num: samples of a picture without classes; one with classes has an eighth as many of each.
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
        """One code swept along each row, everything else the same: a few rows for each code, categorical ones first."""
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
    """Labels (num,) in order, of each class as many, or one more of some."""
    return torch.arange(num) * num_classes // num
