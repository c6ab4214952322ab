"""Peak memory of an iteration at the published sizes, of the toolkit's steps and of the plain ones.

    python -m benchmarks.memory [--case CASE ...] [--side SIDE ...] [--rounds N] [--device DEVICE]

Each is measured in a process of its own: on a CPU the most memory that it ever held less what a process holds that made
the data ready and took no step (the library itself takes about 100 MB in the first); on CUDA what the allocator had
given out at most. Weights, gradients and Adam's moments follow from the number of weights; the rest is what passes
keep: activations, and the workspace of the library.
"""

import argparse
import contextlib
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.steps import CASES, Setting
from benchmarks.tables import Row, arguments, ready, report
from gan_core.runtime.device import pick_device, use_threads
from gan_core.runtime.progress import Progress

SIZES = ("text-512", "resnet-wgan-gp")
SIDES = ("plain fp32", "plain bf16", "toolkit fp32", "toolkit bf16")
NOTHING = "nothing"
QUICK = {"width": 32, "batch_size": 8}
MB = 1e6


def held() -> int:
    """The most bytes of memory that this process has ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count the process that started this one
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def count(*nets: nn.Module) -> int:
    """How many weights networks have."""
    return sum(parameter.numel() for net in nets for parameter in net.parameters())


def one(case: str, side: str, device: torch.device, given: dict[str, Any]) -> dict[str, int]:
    """In this process: the peak in bytes, and the number of weights of both networks."""
    setting = Setting(CASES[case], device, **given)
    weights = 0
    if side.startswith("plain"):
        plain = setting.plain()
        weights, real = count(plain.generator, plain.critic), setting.real.x.contiguous()
        narrow = torch.autocast(device.type, torch.bfloat16) if side.endswith("bf16") else contextlib.nullcontext()
        with narrow:
            for _ in range(2):  # in the first, Adam has no moments yet
                plain.critic_step(real)
                plain.generator_step(device)
    elif side.startswith("toolkit"):
        game = setting.game(precision=side.split()[1])
        weights = count(game.generator.net, game.critic.net)
        for _ in range(2):
            game.critic_step(setting.real)
            game.generator_step(setting.for_generator, device)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else held()
    return {"peak": peak, "weights": weights}


def apart(case: str, side: str, device: torch.device, given: dict[str, Any]) -> dict[str, int]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--device", str(device)]
    command += ["--one", case, side, json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise SystemExit(f"{case}, {side}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def rows_of(case: str, sides: Sequence[str], rounds: int, device: torch.device, given: dict[str, Any]) -> list[Row]:
    """A row for each side."""
    asked = [NOTHING, *sides] if device.type == "cpu" else sides
    found: dict[str, list[dict[str, int]]] = {side: [] for side in asked}
    with Progress(f"{CASES[case].title}: memory", rounds * len(asked), " processes") as progress:
        for side in asked:
            for _ in range(rounds):
                found[side].append(apart(case, side, device, given))
                progress.advance(1)
    before = statistics.median(each["peak"] for each in found.get(NOTHING, [{"peak": 0}]))
    rows = []
    for side in sides:
        peaks = [(each["peak"] - before) / MB for each in found[side]]
        weights = 4 * found[side][0]["weights"] / MB
        rest = statistics.median(peaks) - 4 * weights
        note = f"weights {weights:.0f}, gradients {weights:.0f}, moments {2 * weights:.0f}, the rest {rest:.0f} MB"
        spread = (min(peaks), max(peaks)) if rounds > 1 else (None, None)
        rows.append(Row("memory", CASES[case].title, side, statistics.median(peaks), "MB", *spread, note))
    return rows


def measure(
    rounds: int, device: torch.device, quick: bool = False, cases: Sequence[str] = SIZES, sides: Sequence[str] = SIDES
) -> list[Row]:
    """The rows of all cases."""
    if quick:
        return rows_of(cases[0], ["toolkit fp32"], 1, device, {"compile": False} | QUICK)
    return [row for case in cases for row in rows_of(case, sides, rounds, device, {"compile": False})]


def main() -> None:
    """Measure and print, or measure one side in this process."""
    parser = arguments(__doc__, 1)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(SIZES))
    parser.add_argument("--side", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--one", nargs=3, metavar=("CASE", "SIDE", "GIVEN"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        case, side, given = args.one
        use_threads(0)
        print(json.dumps(one(case, side, pick_device(args.device), json.loads(given))))
        return
    device = ready(args)
    report(measure(args.rounds, device, args.quick, args.case, args.side), device, args)


if __name__ == "__main__":
    main()
