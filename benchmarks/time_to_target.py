"""The small text preset's time to a score, by the toolkit's step and by the plain one, at the same seeds.

    python -m benchmarks.time_to_target [--target JS4] [--seeds N ...] [--every STEPS] [--most STEPS] [--json FILE]

The toolkit's runs with `--compile`, and what compiling takes counts: it is long in the first run of a size on a
machine; later ones find what torch kept. Both sides have the same sizes, schedule, data, initialisation and running
average, and the same code scores both every so many steps. The seconds are those of training alone; the sides take
turns, an interval each. When the target was reached is read off the line between two scores. The target is a quarter
below the first-order Markov chain's.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.plain import Plain, TextCritic, TextGenerator
from benchmarks.tables import markdown
from benchmarks.timing import machine
from gan_core.domain import Domain
from gan_core.game.trained import Trained
from gan_core.recipes.build import build, make_parts, make_prior
from gan_core.recipes.plan import settle
from gan_core.runtime.device import use_threads
from gan_core.runtime.randomness import reseed, shuffled
from gan_core.sample import Latent, Sample
from seqgan_gp.domain import open_domain
from seqgan_gp.networks.wgan_gp import initialise
from seqgan_gp.settings import TEXT

CPU = torch.device("cpu")
SIDES = ("plain", "toolkit")


class Noise(nn.Module):
    """A plain generator as the toolkit calls one."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, latent: Latent) -> Tensor:
        return self.net(latent.z)


@dataclass
class Side:
    """One way to train. iterate: all critic steps and a generator step, by its number. best: the net to score.

    seconds: what all steps took. first: what the first did, which compiles.
    """

    iterate: Callable[[int], None]
    best: Callable[[], nn.Module]
    seconds: float = 0.0
    first: float = 0.0
    step: int = 0

    def advance(self, steps: int) -> None:
        """Train for so many steps."""
        began = time.perf_counter()
        for _ in range(steps):
            self.iterate(self.step)
            self.step += 1
            self.first = self.first or time.perf_counter() - began
        self.seconds += time.perf_counter() - began


def reals(domain: Domain, settings: Any, turn: int) -> Sample:
    """The reals of a critic step, as the loop takes them."""
    positions = np.arange(turn * settings.batch_size, (turn + 1) * settings.batch_size, dtype=np.int64)
    reseed(settings.seed, "data for the critic", turn)
    return domain.data.batch(shuffled(positions, domain.data.num_examples, settings.seed), CPU, 0)


def toolkit_side(domain: Domain, plan: Any, settings: Any) -> Side:
    """The toolkit's game."""
    game = build(domain, make_parts(plan.parts, plan.numbers), settings, CPU)

    def iterate(step: int) -> None:
        for _ in range(settings.critic_steps):
            game.critic_step(reals(domain, settings, game.critic_turns))
        game.generator_step(settings.batch_size * settings.generator_batch_multiple, CPU)

    return Side(iterate, lambda: game.generator.best)


def plain_side(domain: Domain, settings: Any) -> Side:
    """The plain reference, with a running average as ports write it."""
    reseed(settings.seed, "initialisation")
    sizes = (domain.samples.tokenizer.size, settings.seq_len, settings.width, settings.depth)
    generator, critic = TextGenerator(*sizes), TextCritic(*sizes)
    for net in (generator, critic):
        initialise(net, settings.init)
    plain = Plain(
        generator, critic, settings.batch_size, settings.batch_size * settings.generator_batch_multiple,
        critic_steps=settings.critic_steps, rate=settings.generator_lr, betas=(settings.beta1, settings.beta2),
    )  # fmt: skip
    average = copy.deepcopy(generator)

    def iterate(step: int) -> None:
        for number in range(settings.critic_steps):
            plain.critic_step(reals(domain, settings, step * settings.critic_steps + number).x.contiguous())
        plain.generator_step(CPU)
        decay = min(settings.ema, (2 + step) / (11 + step))
        with torch.no_grad():
            for mine, its in zip(average.parameters(), generator.parameters(), strict=True):
                mine.mul_(decay).add_(its, alpha=1 - decay)

    return Side(iterate, lambda: Noise(average))


@dataclass(frozen=True)
class Mark:
    """What a side's average scored, after so many steps and seconds."""

    steps: float
    seconds: float
    score: float


def reached(before: Mark, after: Mark, target: float) -> Mark:
    """When the target was reached, between two marks on its two sides: along a straight line."""
    share = (before.score - target) / (before.score - after.score)
    steps, seconds = (
        start + share * (end - start) for start, end in ((before.steps, after.steps), (before.seconds, after.seconds))
    )
    return Mark(steps, seconds, target)


def race(target: float, seed: int, every: int, most: int) -> dict[str, dict[str, float]]:
    """Train both sides until each reaches the target, or for `most` steps."""
    plan = settle(TEXT, {"preset": "small", "seed": seed, "compile": True})
    settings: Any = plan.settings(TEXT)
    domain = open_domain(settings)
    parts = make_parts(plan.parts, plan.numbers)
    prior = make_prior(domain, parts, settings)
    sides = {"plain": plain_side(domain, settings), "toolkit": toolkit_side(domain, plan, settings)}
    marks = dict.fromkeys(sides, Mark(0, 0.0, 1.0))
    found: dict[str, dict[str, float]] = {}
    while len(found) < len(sides) and min(side.step for side in sides.values()) < most:
        for name in [name for name in sides if name not in found]:
            side = sides[name]
            side.advance(every)
            score = domain.scores.score("heldout", Trained(side.best(), None, prior, 0, 256, CPU))["js"]["4"]
            print(f"seed {seed}  {name:<8} step {side.step:>5}  {side.seconds:6.1f} s  JS-4 {score:.4f}", flush=True)
            before, marks[name] = marks[name], Mark(side.step, side.seconds, score)
            if score <= target:
                there = reached(before, marks[name], target)
                found[name] = {"steps": there.steps, "seconds": there.seconds, "first": side.first}
    return found


def table(results: dict[int, dict[str, dict[str, float]]]) -> str:
    """A row for each seed in Markdown, and one for all of them together where all reached the target."""
    rows: dict[str, dict[str, dict[str, float]]] = {str(seed): found for seed, found in results.items()}
    if all(len(found) == len(SIDES) for found in results.values()):
        rows["all"] = {
            name: {key: sum(found[name][key] for found in results.values()) for key in ("steps", "seconds", "first")}
            for name in SIDES
        }
    cells = []
    for seed, found in rows.items():
        taken = [
            f"{found[name]['steps']:.0f}, {found[name]['seconds']:.0f}" if name in found else "not reached"
            for name in SIDES
        ]
        first = f"{found['toolkit']['first']:.0f}" if "toolkit" in found else ""
        ratio = f"{found['plain']['seconds'] / found['toolkit']['seconds']:.2f}" if len(found) == len(SIDES) else ""
        cells.append([seed, *taken, first, ratio])
    titles = ["seed", "plain: steps, seconds", "toolkit: steps, seconds", "of them the first step", "times as fast"]
    return "\n".join(markdown(titles, cells))


def main() -> None:
    """Race and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--target", type=float, default=0.35, help="JS-4 on held-out lines")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--every", type=int, default=500, help="steps between scores")
    parser.add_argument("--most", type=int, default=7000, help="steps to give up after")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    use_threads(0)
    results = {seed: race(args.target, seed, args.every, args.most) for seed in args.seeds}
    print("\n" + table(results))
    about = machine(CPU)
    where = f"{about['date']}, {about['device']}, {about['threads']} threads, torch {about['torch']}"
    print(f"\nJS-4 of {args.target}; {where}")
    if args.json:
        args.json.write_text(json.dumps({"machine": about, "target": args.target, "seeds": results}, indent=1))


if __name__ == "__main__":
    main()
