"""Two processes with half of the threads and half of the batch each, against one with all: whole iterations.

    python -m benchmarks.processes [--case CASE ...] [--rounds N]

Both sides are started once, the two processes by torchrun, and wait; each of the rounds asks one and then the other
for an iteration (all critic steps and a generator step).
"""

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.steps import CASES, Setting
from benchmarks.tables import Row, arguments, as_fast, ready, report
from benchmarks.timing import in_turns
from gan_core.runtime import dist
from gan_core.runtime.device import use_threads
from gan_core.runtime.pool import processors

CPU = torch.device("cpu")
PROCESSES = 2
# The published ResNet takes ten seconds an iteration on two cores.
SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "text, width 128, 10 critic steps": ("text-128", {"critic_steps": 10}),
    "ResNet-32, width 64, 1 critic step": ("resnet-wgan-gp", {"width": 64, "critic_steps": 1}),
}
QUICK = {"width": 8, "batch_size": 4, "critic_steps": 1}


class Half(Setting):
    """A case of which this process has its rows of the batch."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        rows = np.arange(self.settings.batch_size, dtype=np.int64)[dist.own(self.settings.batch_size)]
        self.real = self.domain.data.batch(rows, self.device, 0)
        self.for_generator //= dist.size()


def serve(name: str, quick: bool) -> None:
    """Do an iteration for each line of standard input, and say when it is done."""
    use_threads(0)
    case, given = SIZES[name]
    with dist.processes(CPU):
        setting = Half(CASES[case], CPU, **given | (QUICK if quick else {}), precision="fp32", compile=False)
        game = setting.game()
        while dist.largest(len(sys.stdin.readline()) if dist.rank() == 0 else 0):
            setting.iteration(game)
            if dist.rank() == 0:
                print("done", flush=True)


@contextlib.contextmanager
def served(name: str, quick: bool, number: int) -> Iterator[Any]:
    """A function that has so many processes do an iteration, and waits for it."""
    command = [sys.executable, "-m"]
    if number > 1:
        command += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(number), "-m"]
    command += ["benchmarks.processes", "--serve", name, *(["--quick"] if quick else [])]
    root = Path(__file__).parents[1]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=root) as child:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None

        def ask() -> None:
            print("go", file=child.stdin, flush=True)
            if child.stdout.readline() != "done\n":
                raise SystemExit(f"{number} processes, {name}: {child.stderr.read().strip()}")

        yield ask
        child.stdin.close()  # they end


def measure(rounds: int, device: torch.device = CPU, quick: bool = False) -> list[Row]:
    """The rows of all cases: of the CPU, whatever the device of the other pieces."""
    threads = processors()
    sides = {f"1 process x {threads} threads": 1, f"{PROCESSES} processes x {max(1, threads // PROCESSES)}": PROCESSES}
    rows = []
    for name in SIZES:
        with contextlib.ExitStack() as stack:
            tasks = {side: stack.enter_context(served(name, quick, number)) for side, number in sides.items()}
            timed = in_turns(tasks, rounds, CPU, title=name)
        rows += [as_fast("processes", f"{name}: iteration", side, took) for side, took in timed.items()]
    return rows


def main() -> None:
    """Measure and print, or serve one side."""
    parser = arguments(__doc__)
    parser.add_argument("--serve", choices=SIZES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.quick)
        return
    device = ready(args)
    report(measure(args.rounds, device, args.quick), device, args)


if __name__ == "__main__":
    main()
