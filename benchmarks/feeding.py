"""Batches of text and of images: how fast they are fed, against how fast the published critic steps take them.

    python -m benchmarks.feeding [--lines DATA] [--images DATA] [--rounds N]

A batch is 64 lines as one-hot rows, or 64 images of 32 x 32 in colour, mirrored and dequantised: read by the shuffled
indices of an epoch, as in training. A critic step is that of Gulrajani et al. 2017 at its published size, for text as
for images (their ResNet for CIFAR-10). Without --images the images are noise; CIFAR-10's binary batches are the real
thing.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan_core.build import build, make_parts
from gan_core.engine import use_threads
from gan_core.options import Kind, settle
from gan_core.randomness import reseed, shuffled
from image_gan.domain import ImageDomain
from image_gan.settings import IMAGE
from seqgan_gp.domain import TextDomain
from seqgan_gp.settings import TEXT

CPU = torch.device("cpu")
FED = 200  # batches a round


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lines", default="wordnet", help="lines to feed, as for train-text  [wordnet]")
    parser.add_argument("--images", help="images to feed, as for train-image  [noise]")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    use_threads(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; {args.rounds} rounds in turn, medians\n")
    print("| data | opened, and again (s) | a batch (ms) | batches/s | a critic step (ms) | fed / taken (min, max) |")
    print("|---|---:|---:|---:|---:|---:|")
    print(row("text", TEXT, TextDomain, args.rounds, data=args.lines), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        images = args.images or noise(Path(folder))
        print(row("images", IMAGE, ImageDomain, args.rounds, data=images, mirror=True))


def row(name: str, kind: Kind, domain_class: Any, rounds: int, **given: Any) -> str:
    """A line of the table: one domain at its published size; `given` are numbers of the run, the data among them."""
    plan = settle(kind, {"preset": "paper", "recipe": "wgan-gp"} | given)
    settings = plan.settings(kind)
    opened = []
    for _ in range(2):
        began = time.perf_counter()
        domain = domain_class.open(settings)
        opened.append(time.perf_counter() - began)
    game = build(domain, make_parts(plan.parts, plan.numbers), settings, CPU)
    feed(domain, settings.batch_size, 2), step(game, domain, settings.batch_size)
    pairs = [(feed(domain, settings.batch_size, FED), step(game, domain, settings.batch_size)) for _ in range(rounds)]
    fed, taken = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = sorted(taken / fed for fed, taken in pairs)
    cells = [
        f"{name}, {domain.num_examples:,}",
        f"{opened[0]:.2f}, {opened[1]:.2f}",
        f"{1000 * fed:.2f}",
        f"{1 / fed:,.0f}",
        f"{1000 * taken:,.0f}",
        f"{statistics.median(ratios):.0f} ({ratios[0]:.0f}, {ratios[-1]:.0f})",
    ]
    return f"| {' | '.join(cells)} |"


def feed(domain: Any, size: int, count: int) -> float:
    """Seconds a batch, over `count` of them."""
    began = time.perf_counter()
    for turn in range(count):
        batch(domain, size, turn)
    return (time.perf_counter() - began) / count


def step(game: Any, domain: Any, size: int) -> float:
    """Seconds of a critic step, its batch left out."""
    real = batch(domain, size, 0)
    began = time.perf_counter()
    game.critic_step(real)
    return time.perf_counter() - began


def batch(domain: Any, size: int, turn: int):
    """The reals of one critic step, as the loop takes them."""
    positions = np.arange(turn * size, (turn + 1) * size, dtype=np.int64)
    reseed(0, "data for the critic", turn)
    return domain.batch(shuffled(positions, domain.num_examples, 0), CPU)


def noise(folder: Path) -> str:
    """As many images as CIFAR-10 has, of random pixels."""
    images = np.random.default_rng(0).integers(0, 256, (60_000, 32, 32, 3), np.uint8)
    np.savez(folder / "noise.npz", x_train=images[:50_000], x_test=images[50_000:])
    return str(folder / "noise.npz")


if __name__ == "__main__":
    main()
