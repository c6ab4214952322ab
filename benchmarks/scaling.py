"""How the cost of a text step grows with width, length, batch and critic steps, beside what the FLOPs say.

    python -m benchmarks.scaling [--rounds N] [--precision P] [--compile]

The points of an axis take turns. A slope is that of the least-squares line through log time against log size; the
FLOPs are those of `benchmarks.work`. The time is a critic step's, and for the number of critic steps an iteration's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.steps import CASES, Setting
from benchmarks.tables import Row, arguments, ready, report
from benchmarks.timing import in_turns
from benchmarks.work import cost_of


@dataclass(frozen=True)
class Axis:
    """A size that varies: the setting's name, its values, and what stays."""

    title: str
    key: str
    values: Sequence[int]
    fixed: dict[str, int]


AXES = (
    Axis("width", "width", (96, 128, 192, 256, 384, 512), {"batch_size": 16}),
    Axis("length", "seq_len", (16, 32, 64, 128, 256), {"batch_size": 16, "width": 128}),
    Axis("batch", "batch_size", (8, 16, 32, 64, 128), {"width": 128}),
    Axis("critic steps", "critic_steps", (1, 2, 5, 10, 20), {"batch_size": 16, "width": 128}),
)
SMALL = (
    Axis("width", "width", (8, 16, 32), {"batch_size": 4, "seq_len": 8}),
    Axis("critic steps", "critic_steps", (1, 2), {"batch_size": 4, "width": 8, "seq_len": 8}),
)


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The least-squares slope of log cost against log size."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def along(axis: Axis, rounds: int, device: torch.device, how: dict[str, Any]) -> list[Row]:
    """Time the points of an axis in turns; a row each, and one for the slope."""
    tasks: dict[str, Callable[[], object]] = {}
    flops = []
    for value in axis.values:
        setting = Setting(CASES["text-128"], device, **axis.fixed | {axis.key: value} | how)
        game = setting.game()
        cost = cost_of(setting, game)
        if axis.key == "critic_steps":
            flops.append(cost.iteration.flops)
            tasks[str(value)] = lambda setting=setting, game=game: setting.iteration(game)
        else:
            flops.append(cost.critic_step.flops)
            tasks[str(value)] = lambda setting=setting, game=game: game.critic_step(setting.real)
    what = f"text by {axis.title}"
    timed = in_turns(tasks, rounds, device, title=what)
    rows = []
    for name, work in zip(tasks, flops, strict=True):
        took = timed[name]
        note = f"{1000 * took.seconds:.1f} ms; FLOPs {work / flops[0]:.3g}"
        rows.append(Row("scaling", what, name, 1 / took.ratio, "times the first", 1 / took.high, 1 / took.low, note))
    found = slope(axis.values, [timed[name].seconds for name in tasks])
    expected = slope(axis.values, flops)
    return [*rows, Row("scaling", what, "slope", found, "log-log", note=f"FLOPs {expected:.2f}")]


def measure(rounds: int, device: torch.device, quick: bool = False, **how: Any) -> list[Row]:
    """The rows of all axes."""
    how = {"precision": "fp32", "compile": False} | how
    return [row for axis in (SMALL if quick else AXES) for row in along(axis, rounds, device, how)]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    device = ready(args)
    rows = measure(args.rounds, device, args.quick, precision=args.precision, compile=args.compile)
    report(rows, device, args)


if __name__ == "__main__":
    main()
