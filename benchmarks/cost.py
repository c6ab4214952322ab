"""What a step costs: a model of FLOPs and bytes, steps an hour from it, and how far it is from what is measured.

    python -m benchmarks.cost [--domain text|image] [--recipe NAME] [--preset NAME] [--gflops N] [--check]

What is counted, `benchmarks.work` says.
"""

from typing import Any

import torch

from benchmarks.steps import CASES, Case, Setting
from benchmarks.tables import Row, arguments, ready, report
from benchmarks.timing import in_turns
from benchmarks.work import Cost, cost_of
from image_gan.settings import IMAGE
from seqgan_gp.settings import TEXT

KINDS = {"text": TEXT, "image": IMAGE}
PROBE = {"batch_size": 16}  # the same networks at a smaller batch tell how fast they run here


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
        tasks = {"step": lambda game=game, whole=whole: game.critic_step(whole.real)}
        timed = in_turns(tasks, rounds, device, title=case.title)["step"]
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
