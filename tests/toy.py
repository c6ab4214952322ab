"""A domain small enough to train in milliseconds: points near a circle. It knows no text and no images."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gan_core.build import build, make_parts
from gan_core.game import Game
from gan_core.recipes import RECIPES
from gan_core.sample import Sample
from gan_core.settings import Settings

CPU = torch.device("cpu")


class ToyDomain:
    name = "toy"
    num_classes = 0
    energy_scale = 1.0
    num_examples = 256
    fingerprint = "toy"

    def __init__(self, z_dim: int = 4, shape: tuple[int, ...] = (2, 3), norm: type[nn.Module] | None = None) -> None:
        self.z_dim, self.shape, self.norm = z_dim, shape, norm
        angles = np.linspace(0, 2 * np.pi, self.num_examples, endpoint=False)
        points = np.stack([np.cos(angles), np.sin(angles)] * (int(np.prod(shape)) // 2), axis=1)
        self.points = torch.tensor(points, dtype=torch.float32).view(-1, *shape)

    def batch(self, indices: np.ndarray, device: torch.device) -> Sample:
        return Sample(self.points[indices].to(device))

    def generator(self) -> nn.Module:
        return self.decoder(self.z_dim)

    def decoder(self, code: int) -> nn.Module:
        size = int(np.prod(self.shape))
        return nn.Sequential(nn.Linear(code, 16), nn.ReLU(), nn.Linear(16, size), nn.Unflatten(1, self.shape))

    def trunk(self) -> tuple[nn.Module, int]:
        layers = [nn.Flatten(), nn.Linear(int(np.prod(self.shape)), 16)]
        return nn.Sequential(*layers, *([self.norm(16)] if self.norm else []), nn.LeakyReLU(0.2)), 16

    def initialise(self, net: nn.Module) -> None:
        return None

    def save(self, folder: Path) -> None:
        (folder / "toy.json").write_text("{}")

    def about(self) -> dict:
        return {"fingerprint": "toy"}

    def summary(self) -> str:
        return "a circle"

    def write_samples(self, stem: Path, batches: Iterator[torch.Tensor]) -> Path:
        path = stem.with_suffix(".txt")
        path.write_text("\n".join(str(x.tolist()) for batch in batches for x in batch))
        return path

    def write_real(self, stem: Path, num: int) -> Path:
        return self.write_samples(stem, iter([self.points[:num]]))

    def preview(self, batches: Iterator[torch.Tensor]) -> list[str]:
        return [str(len(batch)) for batch in batches]

    def evaluate(self, draw) -> dict:
        return {"radius": float(torch.cat(list(draw(100))).norm())}

    def scalars(self, evaluation: dict) -> dict[str, float]:
        return evaluation

    def report(self, evaluation: dict) -> str:
        return str(evaluation)


def settings(**values) -> Settings:
    return Settings(**(dict(batch_size=8, z_dim=4, critic_steps=2, steps=10, g_lr=1e-3, d_lr=1e-3, ema=0.9) | values))


def game(parts, domain=None, numbers=None, **values) -> Game:
    """A toy game of some parts."""
    chosen = settings(**values)
    return build(domain or ToyDomain(chosen.z_dim), make_parts(parts, numbers or {}), chosen, CPU)


def recipe_game(name: str, **values) -> Game:
    """A toy game of a recipe, with its own schedule."""
    recipe = RECIPES[name]
    numbers = {key: value for key, value in recipe.numbers.items() if "." not in key} | dict(batch_size=8, z_dim=4)
    return game(recipe.parts, numbers=recipe.numbers, **numbers, **values)


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
