"""Eight Gaussians in sixty lines: WGAN-GP by the parts of the core, with networks and data of one's own.

python examples/ring.py [--steps 2000] [--picture ring.png]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from gan_core import Domain, Generator, Labels, Prior, Sample, Settings, build, linear, make_parts

ANGLES = np.arange(8) * np.pi / 4
MODES = 2 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


class Networks:
    """A generator z -> (x, y), and a critic below its linear score."""

    energy_scale = 1.0

    def generator(self, prior: Prior) -> nn.Module:
        return Generator(self.decoder(prior.width))

    def decoder(self, code: int) -> nn.Module:
        return nn.Sequential(nn.Linear(code, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2))

    def trunk(self, extra: int = 0) -> tuple[nn.Module, int]:
        return nn.Sequential(nn.Linear(2 + extra, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()), 128

    def initialise(self, net: nn.Module) -> None:
        """PyTorch's own initial weights stay."""


def main() -> None:
    """Train, count the modes, and draw what was generated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--picture", type=Path, default=Path("ring.png"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rate = linear(1e-3, 0, steps=args.steps)
    settings = Settings(z_dim=2, batch_size=256, generator_lr=rate, critic_lr=rate, beta1=0.5, beta2=0.9)
    domain = Domain(name="ring", labels=Labels(), networks=Networks(), samples=None, data=None, scores=None)
    game = build(domain, make_parts(["wasserstein", "gp"], {"gp.weight": 0.1}), settings, torch.device("cpu"))
    rng = np.random.default_rng(0)
    for step in range(args.steps):
        for _ in range(settings.critic_steps):
            points = MODES[rng.integers(8, size=256)] + 0.02 * rng.standard_normal((256, 2))
            terms = game.critic_step(Sample(torch.tensor(points, dtype=torch.float32)))
        game.generator_step(256, torch.device("cpu"))
        if step % 200 == 0:
            print(f"step {step}: estimate of the Wasserstein distance {-float(terms['critic/wasserstein']):.3f}")
    latent = next(game.prior.sequence(2000, seed=0, batch_size=2000))
    made = game.generator.net(latent).detach().numpy()
    near = np.linalg.norm(made[:, None] - MODES, axis=2)
    print(f"{len(np.unique(near.argmin(1)[near.min(1) < 0.2]))} of 8 modes, {np.mean(near.min(1) < 0.2):.0%} near one")
    figure = Figure(figsize=(4, 4), layout="constrained")
    figure.add_subplot(aspect="equal").scatter(*made.T, s=2)
    figure.savefig(args.picture)


if __name__ == "__main__":
    main()
