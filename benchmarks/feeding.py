"""Batches of text and of images: how fast they are fed, against how fast the published critic steps take them.

    python -m benchmarks.feeding [--lines DATA] [--images DATA] [--rounds N]

A batch is 64 lines as one-hot rows, or 64 images of 32 x 32 in colour, mirrored and dequantised: read by the shuffled
indices of an epoch, as in training. A critic step is that of Gulrajani et al. 2017 at its published size, for text as
for images (their ResNet for CIFAR-10). Without --images the images are noise; CIFAR-10's binary batches are the real
thing.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.tables import Row, arguments, ready, report
from benchmarks.timing import wait
from gan_core.recipes.build import build, make_parts
from gan_core.recipes.plan import Kind, settle
from gan_core.runtime.randomness import reseed, shuffled
from gan_core.sample import Sample
from image_gan import domain as image
from image_gan.settings import IMAGE
from seqgan_gp import domain as text
from seqgan_gp.settings import TEXT

FED = 200  # batches a round


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--lines", default="wordnet", help="lines to feed, as for train-text  [wordnet]")
    parser.add_argument("--images", help="images to feed, as for train-image  [noise]")
    args = parser.parse_args()
    device = ready(args)
    report(measure(args.rounds, device, args.quick, args.lines, args.images), device, args)


def measure(
    rounds: int, device: torch.device, quick: bool = False, lines: str = "wordnet", images: str | None = None
) -> list[Row]:
    """A row for text and one for images."""
    sizes = {"width": 8} if quick else {}
    with tempfile.TemporaryDirectory() as folder:
        images = images or noise(Path(folder), 640 if quick else 60_000)  # as many as CIFAR-10 has
        return [
            fed_and_taken("text", TEXT, text.open_domain, rounds, device, data=lines, **sizes),
            fed_and_taken("images", IMAGE, image.open_domain, rounds, device, data=images, mirror=True, **sizes),
        ]


def fed_and_taken(name: str, kind: Kind, open_domain: Any, rounds: int, device: torch.device, **given: Any) -> Row:
    """How many batches are fed while one is taken, at the published size; `given` are numbers of the run."""
    plan = settle(kind, {"preset": "paper", "recipe": "wgan-gp", "device": str(device)} | given)
    settings = plan.settings(kind)
    opened = []
    for _ in range(2):
        began = time.perf_counter()
        domain = open_domain(settings)
        opened.append(time.perf_counter() - began)
    game = build(domain, make_parts(plan.parts, plan.numbers), settings, device)
    size = settings.batch_size
    feed(domain, size, 2, device), step(game, domain, size, device)
    pairs = [(feed(domain, size, FED, device), step(game, domain, size, device)) for _ in range(rounds)]
    fed, taken = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = sorted(taken / fed for fed, taken in pairs)
    note = (
        f"{1 / fed:,.0f} batches a second, {1000 * fed:.2f} ms each; a critic step {1000 * taken:,.0f} ms; "
        f"opened in {opened[0]:.2f} s, again in {opened[1]:.2f} s"
    )
    what, median = f"{name}, {domain.data.num_examples:,}", statistics.median(ratios)
    return Row("feeding", what, "batches", median, "times as often as taken", ratios[0], ratios[-1], note)


def feed(domain: Any, size: int, count: int, device: torch.device) -> float:
    """Seconds a batch, over `count` of them."""
    began = time.perf_counter()
    for turn in range(count):
        batch(domain, size, turn, device)
    wait(device)
    return (time.perf_counter() - began) / count


def step(game: Any, domain: Any, size: int, device: torch.device) -> float:
    """Seconds of a critic step, its batch left out."""
    real = batch(domain, size, 0, device)
    wait(device)
    began = time.perf_counter()
    game.critic_step(real)
    wait(device)
    return time.perf_counter() - began


def batch(domain: Any, size: int, turn: int, device: torch.device) -> Sample:
    """The reals of one critic step, as the loop takes them."""
    positions = np.arange(turn * size, (turn + 1) * size, dtype=np.int64)
    reseed(0, "data for the critic", turn)
    return domain.data.batch(shuffled(positions, domain.data.num_examples, 0), device, 0)


def noise(folder: Path, count: int) -> str:
    """So many images of random pixels, a sixth of them to test by."""
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
    np.savez(folder / "noise.npz", x_train=images[: count * 5 // 6], x_test=images[count * 5 // 6 :])
    return str(folder / "noise.npz")


if __name__ == "__main__":
    main()
