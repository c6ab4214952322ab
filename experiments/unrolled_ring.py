"""Mode collapse on a ring of eight Gaussians, with and without unrolling: Metz et al. 2017, section 3.1.

    python -m experiments.unrolled_ring [--steps 2500] [--seeds 5] [--outdir experiments-out/unrolled-ring]

The ring, the networks, the noise and the initial weights are those of the paper's appendix A: eight Gaussians of
standard deviation 0.02 on a circle of radius 2; noise of 256 dimensions; a generator with two hidden layers of 128
ReLUs; a critic that divides its input by 4 and has one hidden layer of 128 ReLUs; orthogonal weights, scaled by 0.8;
Adam with beta1 0.5, one step of each player in turn; batches of 512, as in the authors' notebook. The learning rate
falls linearly from 3e-3 to 0, where the paper holds it at 1e-4, so that a few thousand steps suffice, and the loss is
the non-saturating one. Both recipes have all of this; they differ in --unroll alone.

Modes and quality are the metrics of `train-points`: a sample is of high quality if it lies within three standard
deviations of a mode, and a mode is covered if at least a tenth of its even share of the samples lies that close to it.
"""

import argparse
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gan_core.domain import Domain
from gan_core.game.game import Game
from gan_core.game.prior import Prior
from gan_core.labels import Labels
from gan_core.networks.conditional import Generator
from gan_core.recipes.build import build, make_parts
from gan_core.recipes.published import RECIPES
from gan_core.recipes.settings import Settings
from gan_core.runtime.device import use_threads
from gan_core.sample import Sample
from gan_core.schedules.base import linear
from point_gan.scores import Real
from point_gan.scores.modes import assigned, high_quality, modes_covered
from point_gan.sources import SHAPES

CPU = torch.device("cpu")
RING = SHAPES["8gaussians"]
BATCH, NOISE, WIDTH, RATE = 512, 256, 128, 3e-3
NUM = 2560  # samples that are scored
UNROLL = {"gan": 0, "unrolled": 5}
TIMES = 24  # at which samples are scored, after the first
COLUMNS = 6  # of the picture


class Networks:
    """The paper's networks."""

    energy_scale = 1.0

    def generator(self, prior: Prior) -> nn.Module:
        return Generator(self.decoder(prior.width))

    def decoder(self, code: int) -> nn.Module:
        return nn.Sequential(nn.Linear(code, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2))

    def trunk(self, extra: int = 0) -> tuple[nn.Module, int]:
        return nn.Sequential(Quarter(), nn.Linear(2 + extra, WIDTH), nn.ReLU()), WIDTH

    def initialise(self, net: nn.Module) -> None:
        for module in net.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, 0.8)
                nn.init.zeros_(module.bias)


class Quarter(nn.Module):
    """x / 4: the ring's points in about [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return x / 4


def new_game(recipe: str, seed: int, steps: int) -> Game:
    """A game of a recipe on the ring, for so many steps."""
    rate = linear(RATE, 0, steps=steps)
    settings = Settings(
        seed=seed, z_dim=NOISE, batch_size=BATCH, critic_steps=1, unroll=UNROLL[recipe], generator_lr=rate,
        critic_lr=rate, beta1=0.5, beta2=0.999,
    )  # fmt: skip
    nothing: Any = None  # it is never asked to show samples
    domain = Domain(name="ring", labels=Labels(), networks=Networks(), samples=nothing)
    return build(domain, make_parts(RECIPES[recipe].parts, {}), settings, CPU)


def samples(game: Game) -> np.ndarray:
    """Points (NUM, 2) of a game's generator, always from the same noise."""
    with torch.no_grad():
        (latent,) = game.prior.sequence(NUM, 0, NUM)
        return game.generator.net(latent).numpy()


def score(x: np.ndarray) -> dict[str, Any]:
    """The metrics of points (N, 2), and the share of the points that lies near each mode."""
    real = Real(x[:0], RING.modes, RING.spread)
    mode, near = assigned(x, real)
    shares = np.bincount(mode[near], minlength=len(RING.modes)) / len(x)
    return {"modes": modes_covered(x, real), "high_quality": high_quality(x, real), "shares": shares.round(4).tolist()}


def play(game: Game, seed: int, steps: int) -> Iterator[int]:
    """Train; gives the number of each step before it is made, and of the last one after it."""
    rng = np.random.default_rng(seed)
    for step in range(steps):
        yield step
        game.critic_step(drawn(rng))
        game.generator_step(BATCH, CPU, drawn(rng) if game.needs_reals else None)
    yield steps


def drawn(rng: np.random.Generator) -> Sample:
    """A batch of real points."""
    return Sample(torch.tensor(RING.draw(BATCH, rng)[0], dtype=torch.float32))


def run(recipe: str, seed: int, steps: int) -> tuple[dict[str, Any], dict[int, np.ndarray]]:
    """Train once; gives the report, with the scores at TIMES, and the samples at the picture's COLUMNS, by step."""
    game = new_game(recipe, seed, steps)
    scored, shown = ({round(steps * k / times) for k in range(times + 1)} for times in (TIMES, COLUMNS - 1))
    history, pictures, started = [], {}, monotonic()
    for step in play(game, seed, steps):
        if step in scored | shown:
            x = samples(game)
            history.append({"step": step, **score(x)})
            if step in shown:
                pictures[step] = x
    seconds = round(monotonic() - started, 1)
    report = {"recipe": recipe, "seed": seed, "steps": steps, "seconds": seconds, "history": history}
    return report, pictures


def summary(report: dict[str, Any]) -> dict[str, float]:
    """A run's numbers: at the end, the most modes at one time, and those covered at one time or another."""
    history = report["history"]
    least = 0.1 / len(RING.modes)
    ever = np.array([scored["shares"] for scored in history]).max(0) >= least
    return {
        "modes": history[-1]["modes"],
        "high_quality": history[-1]["high_quality"],
        "most": max(scored["modes"] for scored in history),
        "ever": float(ever.sum()),
        "seconds": report["seconds"],
    }


def table(reports: list[dict[str, Any]]) -> str:
    """The reports in Markdown: a row a recipe, medians over the seeds."""
    lines = [
        "| recipe | modes covered at the end, by seed | median | of high quality | most modes at one time | "
        "modes at any time | seconds a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for recipe in dict.fromkeys(report["recipe"] for report in reports):
        runs = [summary(report) for report in reports if report["recipe"] == recipe]
        middle = {key: float(np.median([found[key] for found in runs])) for key in runs[0]}
        by_seed = ", ".join(f"{found['modes']:g}" for found in runs)
        lines.append(
            f"| `{recipe}` | {by_seed} | {middle['modes']:g} | {middle['high_quality']:.0%} | {middle['most']:g} | "
            f"{middle['ever']:g} | {middle['seconds']:.0f} |"
        )
    about = f"{date.today()}, {reports[0]['steps']:,} steps, one thread, torch {torch.__version__}"
    return "\n".join([*lines, "", about])


def draw(pictures: dict[str, dict[int, np.ndarray]], path: Path) -> None:
    """Scatter plots of samples over the modes: a row a recipe, a column a step."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * COLUMNS, 2.2 * len(pictures)), layout="constrained")
    FigureCanvasAgg(figure)
    for row, (recipe, columns) in enumerate(pictures.items()):
        for column, (step, x) in enumerate(columns.items()):
            axes = figure.add_subplot(len(pictures), COLUMNS, row * COLUMNS + column + 1)
            axes.scatter(*RING.modes.T, s=90, c="#f6c98f", linewidths=0)
            axes.scatter(*x.T, s=1.5, c="#111111", linewidths=0)
            axes.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal")
            axes.set_title(f"{recipe}, step {step:,}", fontsize=8)
    figure.savefig(path, dpi=70)


def main() -> None:
    """Train, and write table.md, results.json and ring.png."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=2500, help="generator steps of a run")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each recipe")
    parser.add_argument("--recipe", nargs="+", choices=UNROLL, default=list(UNROLL))
    parser.add_argument("--outdir", type=Path, default=Path("experiments-out/unrolled-ring"), metavar="FOLDER")
    args = parser.parse_args()
    use_threads(1)
    args.outdir.mkdir(parents=True, exist_ok=True)
    reports: list[dict[str, Any]] = []
    pictures: dict[str, dict[int, np.ndarray]] = {}
    for seed in range(args.seeds):
        for recipe in args.recipe:
            report, shown = run(recipe, seed, args.steps)
            reports.append(report)
            pictures.setdefault(recipe, shown)
            print(recipe, f"seed {seed}:", summary(report), flush=True)
            (args.outdir / "results.json").write_text(json.dumps(reports, indent=1))
            (args.outdir / "table.md").write_text(table(reports) + "\n")
            draw(pictures, args.outdir / "ring.png")
    print(table(reports))


if __name__ == "__main__":
    main()
