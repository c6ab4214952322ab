"""A domain small enough to train in milliseconds: points on a circle. It knows no text and no images."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gan_core.errors import UsageError
from gan_core.game.game import Game
from gan_core.game.prior import Prior
from gan_core.game.trained import PICTURED, Picture, Trained
from gan_core.labels import UNKNOWN, Labels
from gan_core.networks.conditional import Generator
from gan_core.recipes.build import build, make_parts
from gan_core.recipes.published import RECIPES
from gan_core.recipes.settings import Settings
from gan_core.sample import Sample
from gan_core.training.loop import Trainer
from gan_core.training.recorder import Recorder
from gan_core.training.run import Run

CPU = torch.device("cpu")
LABELLED = ("cgan", "acgan", "wgan-gp-acgan", "projection", "sgan", "catgan")  # the recipes that learn from labels


class Tilted(nn.Module):
    """A generator that takes labels beside its row, as conditional normalisation does: each class has a shift."""

    def __init__(self, net: nn.Module, num_classes: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.net, self.shift = net, nn.Embedding(num_classes, int(np.prod(shape)))

    def forward(self, row: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x = self.net(row)
        return x + self.shift(y).view_as(x)


class ToyDomain:
    """classes: arcs of the circle that are labelled, 0 for none; hidden: the share of examples that show no label."""

    name = "toy"
    energy_scale = 1.0
    num_examples = 256
    fingerprint = "toy"

    formats = ("txt",)
    printed = ()
    pictured = PICTURED

    def __init__(
        self,
        z_dim: int = 4,
        shape: tuple[int, ...] = (2, 3),
        norm: type[nn.Module] | None = None,
        classes: int = 0,
        hidden: float = 0.0,
        labels_by_norm: bool = False,
    ) -> None:
        self.data = self.networks = self.samples = self.scores = self
        self.z_dim, self.shape, self.norm, self.labels_by_norm = z_dim, shape, norm, labels_by_norm
        order = np.arange(self.num_examples) * 37 % self.num_examples  # so that a batch has points of every arc
        angles = 2 * np.pi * order / self.num_examples
        points = np.stack([np.cos(angles), np.sin(angles)] * (int(np.prod(shape)) // 2), axis=1)
        self.points = torch.tensor(points, dtype=torch.float32).view(-1, *shape)
        y = order * classes // self.num_examples
        y[np.random.default_rng(0).permutation(self.num_examples) < hidden * self.num_examples] = UNKNOWN
        self.y = torch.from_numpy(y) if classes else None
        counts = np.bincount(y[y >= 0], minlength=classes)
        names = tuple(f"arc {k}" for k in range(classes))
        self.labels = Labels(names, tuple(map(int, counts)), int((y < 0).sum())) if classes else Labels()
        self.labelled = np.flatnonzero(y >= 0) if self.labels.hidden else np.empty(0, np.int64)

    def batch(self, indices: np.ndarray, device: torch.device, step: int = 0) -> Sample:
        y = None if self.y is None else self.y[indices].to(device)
        return Sample(self.points[indices].to(device), y)

    def generator(self, prior: Prior) -> nn.Module:
        by_norm = self.labels_by_norm
        if by_norm and not prior.num_classes:
            raise UsageError(
                "--generator-norm conditional is told labels, which no part of this run asks for: "
                "use --generator-norm batch"
            )
        net = self.decoder(prior.width + (0 if by_norm else prior.num_classes))
        net = Tilted(net, prior.num_classes, self.shape) if by_norm else net
        return Generator(net, prior.num_classes, by_norm)

    def decoder(self, code: int) -> nn.Module:
        size = int(np.prod(self.shape))
        return nn.Sequential(nn.Linear(code, 16), nn.ReLU(), nn.Linear(16, size), nn.Unflatten(1, self.shape))

    def trunk(self, extra: int = 0) -> tuple[nn.Module, int]:
        size = int(np.prod((self.shape[0] + extra, *self.shape[1:])))
        layers = [nn.Flatten(), nn.Linear(size, 16)]
        return nn.Sequential(*layers, *([self.norm(16)] if self.norm else []), nn.LeakyReLU(0.2)), 16

    def initialise(self, net: nn.Module) -> None:
        return None

    def save(self, folder: Path) -> None:
        (folder / "toy.json").write_text("{}")

    def about(self) -> dict:
        return {"fingerprint": "toy"}

    def summary(self) -> str:
        return "a circle"

    def show(self, stem: Path, picture: Picture, trained: Trained) -> Path:
        path = stem.with_suffix(".txt")
        path.write_text("\n".join(str(x.tolist()) for batch in picture.batches for x in batch.x))
        return path

    def show_real(self, stem: Path, num: int) -> Path:
        return self.show(stem, Picture("real", num, [self.batch(np.arange(num), CPU)]), None)

    def preview(self, batches: Iterable[Sample]) -> list[str]:
        return [str(len(batch)) for batch in batches]

    def evaluate(self, trained: Trained) -> dict:
        return {"radius": float(torch.cat([batch.x for batch in trained.draw(100)]).norm())}

    def scalars(self, evaluation: dict) -> dict[str, float]:
        return evaluation

    def report(self, evaluation: dict) -> str:
        return str(evaluation)


def settings(**values) -> Settings:
    return Settings(
        **(dict(batch_size=8, z_dim=4, critic_steps=2, steps=10, generator_lr=1e-3, critic_lr=1e-3, ema=0.9) | values)
    )


def game(parts, domain=None, numbers=None, **values) -> Game:
    """A toy game of some parts."""
    chosen = settings(**values)
    return build(domain or ToyDomain(chosen.z_dim), make_parts(parts, numbers or {}), chosen, CPU)


def labelled(**values) -> ToyDomain:
    """A toy domain of four classes."""
    return ToyDomain(**(dict(classes=4) | values))


def domain_of(name: str) -> ToyDomain:
    """A toy domain with all that a recipe asks for."""
    return labelled() if name in LABELLED else ToyDomain()


def recipe_game(name: str, **values) -> Game:
    """A toy game of a recipe, with its own schedule."""
    recipe = RECIPES[name]
    numbers = {key: value for key, value in recipe.numbers.items() if "." not in key} | dict(batch_size=8, z_dim=4)
    parts = {key: value for key, value in recipe.numbers.items() if "." in key}
    return game(recipe.parts, domain_of(name), parts, **numbers, **values)


def play(game: Game, steps: int, domain: ToyDomain, batch_size: int = 8, critic_steps: int = 2) -> list[dict]:
    """Some steps of a game, with batches by position; returns each step's terms."""
    log = []
    for _ in range(steps):
        terms: dict = {}
        for _ in range(critic_steps):
            first = game.critic_turns * batch_size
            indices = np.arange(first, first + batch_size) % domain.num_examples
            terms |= game.critic_step(domain.batch(indices, CPU))
        real = domain.batch(np.arange(batch_size), CPU) if game.needs_reals else None
        terms |= game.generator_step(batch_size, CPU, real)
        log.append({name: float(value) for name, value in terms.items()})
    return log


def trainer_of(game: Game, domain: Any, run: Run, settings: Settings) -> Trainer:
    """What trains a game into a run."""
    return Trainer(game, domain, settings, CPU, Recorder(run, domain, game.parts, settings.keep))
