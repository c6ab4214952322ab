"""Everything that is measured of speed and size, in one table.

    python -m benchmarks [--only PIECE ...] [--rounds N] [--quick] [--device DEVICE] [--json FILE]

Each piece is a module of its own too: `python -m benchmarks.PIECE`. What needs a GPU is `benchmarks/gpu.sh`, and what
trains for long is `python -m benchmarks.time_to_target`.
"""

from collections.abc import Callable, Iterable, Iterator

import torch

from benchmarks import feeding, memory, processes, scaling, steps
from benchmarks.tables import Row, arguments, as_fast, ready, report
from benchmarks.timing import in_turns, peaks

SMALL = {"text-128": {"width": 8, "batch_size": 4}, "resnet-wgan-gp": {"width": 8, "batch_size": 4}}


def measure_steps(rounds: int, device: torch.device, quick: bool) -> Iterator[Row]:
    """Critic steps and iterations of the published sizes against the plain ones."""
    if quick:
        for name, given in SMALL.items():
            yield from quick_steps(name, rounds, device, given)
        return
    peak = peaks(device)
    for case in steps.CASES.values():
        found = steps.measure(case, rounds, device, True)
        for step in ("critic step", "iteration"):
            for how, timed in found[step].items():
                note = ""
                if step == "critic step":
                    reached = found["gflop"] / timed.seconds
                    note = f"{reached:.0f} GFLOP/s"
                    if how != "plain":
                        note += f", {reached / peak[how.split()[0]]:.0%} of the peak"
                yield as_fast("steps", f"{case.title}: {step}", how, timed, note)


def quick_steps(name: str, rounds: int, device: torch.device, given: dict[str, int]) -> list[Row]:
    """The same at a small size, without the compiled ways, which take long to begin."""
    setting = steps.Setting(steps.CASES[name], device, compile=False, **given)
    plain, game, real = setting.plain(), setting.game(), setting.real.x.contiguous()
    tasks = {"plain": lambda: plain.critic_step(real), "fp32": lambda: game.critic_step(setting.real)}
    timed = in_turns(tasks, rounds, device)
    return [as_fast("steps", f"{setting.case.title}: critic step", how, took) for how, took in timed.items()]


PIECES: dict[str, Callable[[int, torch.device, bool], Iterable[Row]]] = {
    "steps": measure_steps,
    "scaling": scaling.measure,
    "memory": lambda rounds, device, quick: memory.measure(1, device, quick),  # it hardly varies
    "processes": processes.measure,
    "feeding": feeding.measure,
}


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=PIECES, default=list(PIECES), metavar="PIECE", help=", ".join(PIECES)
    )
    args = parser.parse_args()
    device = ready(args)
    report((row for name in args.only for row in PIECES[name](args.rounds, device, args.quick)), device, args)


if __name__ == "__main__":
    main()
