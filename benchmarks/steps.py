"""Training steps against the plain reference, in one run: critic steps and whole generator iterations.

    python -m benchmarks.steps [--case CASE ...] [--rounds N] [--json FILE] [--device DEVICE]

The cases are the published sizes: text at width 512, as in the paper, and 128; the CIFAR-10 ResNets of WGAN-GP and
SNGAN. Both sides learn from the same real batch. A ratio above 1 says that many times as fast as the plain step.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.plain import Plain, TextCritic, TextGenerator, image_critic, image_generator
from benchmarks.timing import Timed, in_turns, machine, peaks
from benchmarks.work import cost_of
from gan_core.game.game import Game
from gan_core.recipes.build import build, make_parts
from gan_core.recipes.plan import settle
from gan_core.runtime.device import pick_device, use_threads
from gan_core.sample import Sample
from image_gan import domain as image
from image_gan.settings import IMAGE
from point_gan import domain as points
from seqgan_gp import domain as text
from seqgan_gp.settings import TEXT


@dataclass(frozen=True)
class Case:
    """A published size: the domain, the recipe, and what differs from its preset `paper`."""

    title: str
    kind: Any
    recipe: str
    given: dict[str, Any]


CASES = {
    "text-128": Case("text, width 128", TEXT, "wgan-gp", {"width": 128}),
    "text-512": Case("text, width 512 (paper)", TEXT, "wgan-gp", {}),
    "resnet-wgan-gp": Case("ResNet-32, WGAN-GP (paper)", IMAGE, "wgan-gp", {}),
    "resnet-sngan": Case("ResNet-32, SNGAN (paper)", IMAGE, "sngan", {}),
}
TURN = 1.0  # seconds
VARIANTS = {
    "fp32": {}, "fp32 compiled": {"compile": True}, "bf16": {"precision": "bf16"},
    "bf16 compiled": {"precision": "bf16", "compile": True},
}  # fmt: skip


OPENS = {"text": text.open_domain, "image": image.open_domain, "points": points.open_domain}


class Setting:
    """A case made ready: reals, the plain networks, and games by variant."""

    def __init__(self, case: Case, device: torch.device, **given: Any) -> None:
        self.case, self.device = case, device
        self.given = {"preset": "paper", "recipe": case.recipe, "device": str(device), **case.given, **given}
        if case.kind is IMAGE:
            self.given |= {"data": "fashion-mnist", "mirror": False, "dequantise": False}
        self.plan = settle(case.kind, self.given)
        self.settings: Any = self.plan.settings(case.kind)
        self.domain: Any = OPENS[case.kind.name](self.settings)
        size = self.settings.batch_size
        self.real: Sample = self.domain.data.batch(np.arange(size, dtype=np.int64), device, 0)
        self.for_generator = size * self.settings.generator_batch_multiple

    def plain(self) -> Plain:
        """The reference with the same sizes."""
        settings, (_, channels, length, *_) = self.settings, self.real.x.shape
        if self.case.kind is TEXT:
            nets = [make(channels, length, settings.width) for make in (TextGenerator, TextCritic)]
        else:
            hinge = self.case.recipe == "sngan"
            nets = [
                image_generator(settings.generator_width or settings.width),
                image_critic(settings.width, hinge, hinge),
            ]
        return Plain(
            nets[0].to(self.device), nets[1].to(self.device), settings.batch_size, self.for_generator,
            self.case.recipe == "sngan", settings.critic_steps,
        )  # fmt: skip

    def game(self, **given: Any) -> Game:
        """The toolkit's."""
        plan = settle(self.case.kind, self.given | given)
        return build(self.domain, make_parts(plan.parts, plan.numbers), plan.settings(self.case.kind), self.device)

    def iteration(self, game: Game) -> None:
        """All critic steps before a generator step, and that step."""
        for _ in range(self.settings.critic_steps):
            game.critic_step(self.real)
        game.generator_step(self.for_generator, self.device, self.real if game.needs_reals else None)


def measure(case: Case, rounds: int, device: torch.device, whole: bool, **given: Any) -> dict[str, Any]:
    """Time the plain step and the variants of a case in turns."""
    setting = Setting(case, device, **given)
    plain = setting.plain()
    games = {name: setting.game(**how) for name, how in VARIANTS.items()}
    contiguous = setting.real.x.contiguous()
    tasks: dict[str, Callable[[], object]] = {"plain": lambda: plain.critic_step(contiguous)}
    tasks |= {name: lambda game=game: game.critic_step(setting.real) for name, game in games.items()}
    gflop = cost_of(setting, games["fp32"]).critic_step.flops / 1e9
    timed = in_turns(tasks, rounds, device, TURN, f"{case.title}: critic step")
    found = {"title": case.title, "gflop": gflop, "critic step": timed}
    if whole:
        tasks = {"plain": lambda: plain.iteration(lambda: contiguous, device)}
        tasks |= {name: lambda game=game: setting.iteration(game) for name, game in games.items()}
        found["iteration"] = in_turns(tasks, max(5, rounds // 2), device, TURN, f"{case.title}: iteration")
    return found


def table(found: list[dict[str, Any]], peak: dict[str, float]) -> str:
    """The results in Markdown."""
    lines = [
        "| case | step | how | ms | times as fast (least, most) | GFLOP/s (of peak) |",
        "|---|---|---|---|---|---|",
    ]
    for case in found:
        for step in ("critic step", "iteration"):
            for name, timed in case.get(step, {}).items():
                speed = ""
                if step == "critic step" and name != "plain":
                    reached = case["gflop"] / timed.seconds
                    speed = f"{reached:.0f} ({reached / peak[name.split()[0]]:.0%})"
                ratio = f"{timed.ratio:.2f} ({timed.low:.2f}, {timed.high:.2f})" if name != "plain" else "1"
                lines.append(f"| {case['title']} | {step} | {name} | {1000 * timed.seconds:.1f} | {ratio} | {speed} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps-only", action="store_true", help="no whole iterations")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    use_threads(0)
    device = pick_device(args.device)
    about, peak = machine(device), peaks(device)
    found = []
    for name in args.case:
        found.append(measure(CASES[name], args.rounds, device, not args.steps_only))
        print(table(found[-1:], peak), flush=True)
    reached = ", ".join(f"{name} {value:.0f} GFLOP/s" for name, value in peak.items())
    print(f"\n{about['date']}, {about['device']}, {about['threads']} threads, torch {about['torch']}; peak {reached}")
    if args.json:
        args.json.write_text(json.dumps({"machine": about, "peak": peak, "cases": found}, default=plain_json, indent=1))


def plain_json(value: Any) -> Any:
    """What JSON does not know."""
    if isinstance(value, Timed):
        return asdict(value)
    raise TypeError(value)


if __name__ == "__main__":
    main()
