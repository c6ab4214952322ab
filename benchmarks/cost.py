"""What a step costs: a model of FLOPs and bytes, steps an hour from it, and how far it is from what is measured.

    python -m benchmarks.cost [--domain text|image] [--recipe NAME] [--preset NAME] [--gflops N] [--check]

A product of matrices (a convolution is one) reads its operands and writes its result once; whatever lies between two
of them is taken to cost nothing, as a compiler may fuse it. Backward passes are counted by what they are at best:

- a critic step: one forward pass of the generator for the fakes; two of the critic, for reals and fakes, and four
  backward (by the inputs and by the weights); for each gradient penalty one forward, one backward by the input, and two
  more for the gradient of that;
- a generator step: forward and two backward of the generator, forward and one backward of the critic;
- Adam reads the weight, its gradient and two moments, and writes three of these: 28 bytes a weight.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.steps import CASES, Case, Setting
from benchmarks.tables import Row, arguments, ready, report
from benchmarks.timing import in_turns
from gan_core.game import Game
from image_gan.settings import IMAGE
from seqgan_gp.settings import TEXT

ADAM_BYTES = 28
KINDS = {"text": TEXT, "image": IMAGE}
PROBE = {"batch_size": 16}  # the same networks at a smaller batch tell how fast they run here


@dataclass(frozen=True)
class Work:
    """Floating-point operations; numbers read and written by products of matrices; weights moved by the optimiser."""

    flops: float = 0.0
    moved: float = 0.0
    learned: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flops + other.flops, self.moved + other.moved, self.learned + other.learned)

    def times(self, factor: float) -> "Work":
        """So many times this."""
        return Work(factor * self.flops, factor * self.moved, factor * self.learned)

    def bytes(self, width: int = 4) -> float:
        """Bytes read and written, the operands of products `width` bytes each."""
        return width * self.moved + ADAM_BYTES * self.learned


@dataclass(frozen=True)
class Cost:
    """The work of a run's steps."""

    critic_step: Work
    generator_step: Work
    iteration: Work


class Products(TorchDispatchMode):
    """Adds up the work of products of matrices that run under it."""

    def __init__(self) -> None:
        super().__init__()
        self.work = Work()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func.overloadpacket)) is not None:
            moved = sum(value.numel() for value in tree_leaves((args, out)) if isinstance(value, torch.Tensor))
            self.work += Work(count(*args, **(kwargs or {}), out_val=out), moved)
        return out


def forward(net: nn.Module, *inputs: Any) -> Work:
    """The work of a forward pass. Nothing is computed: it runs on the device `meta`."""
    with torch.no_grad(), Products() as products:
        copy.deepcopy(net).to("meta")(*inputs)
    return products.work


def cost_of(setting: Setting, game: Game | None = None) -> Cost:
    """The work of the steps of a case."""
    game = game or setting.game(compile=False)
    settings, real = setting.settings, setting.real

    def passes(batch: int) -> tuple[Work, Work]:
        latent = game.prior.draw(batch, setting.device).to(torch.device("meta"))
        x = torch.empty(batch, *real.x.shape[1:], device="meta")
        y = None if real.y is None else torch.empty(batch, dtype=torch.int64, device="meta")
        return forward(game.generator.net, latent), forward(game.critic.net, x, y)

    adam = [Work(learned=sum(p.numel() for p in player.net.parameters())) for player in (game.generator, game.critic)]
    generator, critic = passes(settings.batch_size)
    slopes = sum(4 / penalty.every for penalty in game.penalties)
    critic_step = generator + critic.times(6 + slopes) + adam[1]
    generator, critic = passes(setting.for_generator)
    generator_step = generator.times(3) + critic.times(2) + adam[0]
    return Cost(critic_step, generator_step, critic_step.times(settings.critic_steps) + generator_step)


def measured_speed(setting: Setting, rounds: int) -> float:
    """FLOP/s that critic steps of a case reach here, in fp32 and uncompiled."""
    game = setting.game(precision="fp32", compile=False)
    timed = in_turns({"step": lambda: game.critic_step(setting.real)}, rounds, setting.device)
    return cost_of(setting, game).critic_step.flops / timed["step"].seconds


def predictions(rounds: int, device: torch.device, **given: Any) -> list[Row]:
    """Every case's critic step: as predicted from how fast the same networks run at a smaller batch, and measured."""
    rows = []
    for case in CASES.values():
        probe, whole = Setting(case, device, **given | PROBE), Setting(case, device, **given)
        game = whole.game(precision="fp32", compile=False)
        expected = cost_of(whole, game).critic_step.flops / measured_speed(probe, rounds)
        timed = in_turns({"step": lambda game=game, whole=whole: game.critic_step(whole.real)}, rounds, device)["step"]
        note = f"{1000 * timed.seconds:.0f} ms; predicted {1000 * expected:.0f} ms from batch {PROBE['batch_size']}"
        rows.append(Row("cost", case.title, "measured / predicted", timed.seconds / expected, "", note=note))
    return rows


def lines(cost: Cost, speed: float) -> list[Row]:
    """The table of a run's cost at so many FLOP/s."""
    rows = []
    steps = {"critic step": cost.critic_step, "generator step": cost.generator_step}
    for name, work in (steps | {"iteration": cost.iteration}).items():
        note = f"{work.bytes() / 1e9:.2f} GB moved in fp32, {work.flops / work.bytes():.0f} FLOP a byte"
        rows.append(Row("cost", name, "best", work.flops / 1e9, "GFLOP", note=note))
    for name, work in steps.items():
        rows.append(Row("cost", name, "gradients sent, with several processes", 4 * work.learned / 1e6, "MB"))
    an_hour = 3600 * speed / cost.iteration.flops
    return [*rows, Row("cost", "iterations an hour", f"at {speed / 1e9:,.0f} GFLOP/s", an_hour, "")]


def main() -> None:
    """Print the cost of a run."""
    parser = arguments(__doc__)
    parser.add_argument("--domain", choices=KINDS, default="text")
    parser.add_argument("--recipe", default="wgan-gp")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--gflops", type=float, help="GFLOP/s that steps reach  [measured, at a batch of 16]")
    parser.add_argument("--check", action="store_true", help="compare with measured steps of the published sizes")
    args = parser.parse_args()
    device = ready(args)
    if args.check:
        report(predictions(args.rounds, device), device, args)
        return
    case = Case("", KINDS[args.domain], args.recipe, {"preset": args.preset})
    speed = 1e9 * args.gflops if args.gflops else measured_speed(Setting(case, device, **PROBE), args.rounds)
    report(lines(cost_of(Setting(case, device)), speed), device, args)


if __name__ == "__main__":
    main()
