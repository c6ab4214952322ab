"""Mode collapse on a ring of eight Gaussians, with and without unrolling: Metz et al. 2017, section 3.1.

    python -m experiments.unrolled_ring [--steps 12000] [--seeds 5] [--outdir experiments-out/unrolled-ring]

The setting is that of the paper's appendix A: eight Gaussians of standard deviation 0.02, evenly spaced on a circle of
radius 2; noise of 256 dimensions; a generator with two hidden layers of 128 ReLUs; a critic that divides its input by 4
and has one hidden layer of 128 ReLUs; orthogonal initial weights, scaled by 0.8; Adam with a learning rate of 1e-4 and
beta1 0.5; batches of 512 as in the authors' notebook. The recipes `gan` and `unrolled` differ in --unroll alone.

Of NUM samples, a sample is of high quality if it lies within three standard deviations of a mode, and a mode is covered
if at least a tenth of its even share of the samples, NUM / 80, lies that close to it.
"""

import argparse
import json
import math
import platform
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gan_core.game.game import Game
from gan_core.labels import Labels
from gan_core.recipes.build import build, make_parts
from gan_core.recipes.published import RECIPES
from gan_core.recipes.settings import Settings
from gan_core.runtime.device import use_threads
from gan_core.runtime.randomness import derive
from gan_core.sample import Sample

CPU = torch.device("cpu")
MODES, RADIUS, STD = 8, 2.0, 0.02
NUM = 2560  # samples that are scored
BATCH, NOISE, WIDTH = 512, 256, 128
ADAM = dict(generator_lr=1e-4, critic_lr=1e-4, beta1=0.5, beta2=0.999)
UNROLL = {"gan": 0, "unrolled": 5}
PICTURES = 6  # columns of the picture


class Ring:
    """The points and the networks, as `build` wants them of a domain."""

    labels = Labels()
    labels_by_norm = False
    energy_scale = 1.0

    def __init__(self) -> None:
        angles = 2 * math.pi * torch.arange(MODES) / MODES
        self.centres = RADIUS * torch.stack([angles.cos(), angles.sin()], 1)

    def draw(self, num: int, seed: int, step: int) -> Sample:
        """`num` real points (num, 2)."""
        generator = torch.Generator().manual_seed(derive(seed, "ring", step))
        modes = torch.randint(MODES, (num,), generator=generator)
        return Sample(self.centres[modes] + STD * torch.randn(num, 2, generator=generator))

    def generator(self, inputs: int, num_classes: int) -> nn.Module:
        """Noise -> points."""
        return nn.Sequential(
            nn.Linear(inputs, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2)
        )

    def trunk(self, more: int = 0) -> tuple[nn.Module, int]:
        """Points -> the critic's hidden layer."""
        return nn.Sequential(Quarter(), nn.Linear(2 + more, WIDTH), nn.ReLU()), WIDTH

    def initialise(self, net: nn.Module) -> None:
        """Orthogonal weights, no biases."""
        for module in net.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, 0.8)
                nn.init.zeros_(module.bias)


class Quarter(nn.Module):
    """x / 4: the ring's points in about [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return x / 4


def new_game(ring: Ring, recipe: str, seed: int) -> Game:
    """A game of a recipe on the ring."""
    settings = Settings(seed=seed, z_dim=NOISE, batch_size=BATCH, critic_steps=1, unroll=UNROLL[recipe], **ADAM)
    return build(ring, make_parts(RECIPES[recipe].parts, {}), settings, CPU)  # type: ignore[arg-type]


def samples(game: Game) -> Tensor:
    """NUM points (NUM, 2) of a game's generator, always from the same noise."""
    with torch.no_grad():
        return torch.cat([game.generator.net(latent) for latent in game.prior.sequence(NUM, 0, NUM)])


def score(x: Tensor, centres: Tensor) -> dict[str, Any]:
    """How many modes the points (N, 2) cover, the share of points of high quality, and each mode's share."""
    distance, nearest = torch.cdist(x, centres).min(1)
    close = distance <= 3 * STD
    shares = torch.bincount(nearest[close], minlength=len(centres)) / len(x)
    covered = shares >= 1 / (10 * len(centres))
    return {"modes": int(covered.sum()), "high_quality": float(close.float().mean()), "shares": shares.tolist()}


def train(recipe: str, seed: int, steps: int) -> tuple[dict[str, Any], list[np.ndarray]]:
    """A run's report, with scores over time, and its samples at PICTURES steps, the first one before training."""
    ring = Ring()
    game = new_game(ring, recipe, seed)
    shown = {round(steps * column / (PICTURES - 1)) for column in range(PICTURES)}
    history, pictures, started = [], [], time.monotonic()
    for step in range(steps + 1):
        if step % max(1, steps // 24) == 0 or step in shown:
            x = samples(game)
            history.append({"step": step, **score(x, ring.centres)})
            if step in shown:
                pictures.append(x.numpy())
        if step < steps:
            game.critic_step(ring.draw(BATCH, seed, 2 * step))
            game.generator_step(BATCH, CPU, ring.draw(BATCH, seed, 2 * step + 1) if game.needs_reals else None)
    seconds = round(time.monotonic() - started, 1)
    report = {"recipe": recipe, "seed": seed, "steps": steps, "seconds": seconds, "last": history[-1]}
    return report | {"history": history}, pictures


def visited(report: dict[str, Any]) -> int:
    """How many modes a run has covered at any of the times that it was scored."""
    shares = np.array([scored["shares"] for scored in report["history"]])
    return int((shares >= 1 / (10 * MODES)).any(0).sum())


def table(reports: list[dict[str, Any]]) -> str:
    """The reports in Markdown: a row a recipe."""
    lines = [
        "| recipe | modes covered at the end, by seed | median | share of high quality (median) | most modes at one time "
        "(median) | modes covered at any time (median) | seconds a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for recipe in UNROLL:
        runs = [report for report in reports if report["recipe"] == recipe]
        if not runs:
            continue
        modes = [run["last"]["modes"] for run in runs]
        quality = float(np.median([run["last"]["high_quality"] for run in runs]))
        most = float(np.median([max(scored["modes"] for scored in run["history"]) for run in runs]))
        ever = float(np.median([visited(run) for run in runs]))
        seconds = float(np.median([run["seconds"] for run in runs]))
        lines.append(
            f"| `{recipe}` | {', '.join(map(str, modes))} | {np.median(modes):g} | {quality:.0%} | {most:g} | {ever:g} | "
            f"{seconds:.0f} |"
        )
    about = (
        f"{date.today()}, {reports[0]['steps']:,} steps, {platform.machine()}, one thread, torch {torch.__version__}"
    )
    return "\n".join([*lines, "", about])


def draw(pictures: dict[str, list[np.ndarray]], steps: int, path: Path) -> None:
    """Scatter plots of samples over real points: a row a recipe, a column a time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    real = Ring().draw(NUM, 0, 0).x.numpy()
    figure = Figure(figsize=(2 * PICTURES, 2.2 * len(pictures)))
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(pictures), PICTURES, squeeze=False)
    for row, (recipe, columns) in zip(grid, pictures.items(), strict=True):
        for column, (axes, x) in enumerate(zip(row, columns, strict=True)):
            axes.scatter(*real.T, s=6, c="0.8", linewidths=0)
            axes.scatter(*x.T, s=1.5, c="C3", linewidths=0)
            axes.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal")
            axes.set_title(f"{recipe}, step {round(steps * column / (PICTURES - 1)):,}", fontsize=8)
    figure.tight_layout(pad=0.4)
    figure.savefig(path, dpi=80)


def main() -> None:
    """Train, and write table.md, results.json and ring.png."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=12_000, help="generator steps of a run")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each recipe")
    parser.add_argument("--recipe", nargs="+", choices=UNROLL, default=list(UNROLL))
    parser.add_argument("--outdir", type=Path, default=Path("experiments-out/unrolled-ring"), metavar="FOLDER")
    args = parser.parse_args()
    use_threads(1)
    args.outdir.mkdir(parents=True, exist_ok=True)
    reports, shown = [], {}
    for seed in range(args.seeds):
        for recipe in args.recipe:
            report, pictures = train(recipe, seed, args.steps)
            reports.append(report)
            shown.setdefault(recipe, pictures)
            print(recipe, seed, report["last"]["modes"], f"{report['last']['high_quality']:.2f}", flush=True)
            (args.outdir / "results.json").write_text(json.dumps(reports, indent=1))
    draw(shown, args.steps, args.outdir / "ring.png")
    text = table(reports)
    (args.outdir / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
