"""On an NVIDIA GPU: whether the fast ways are right, and how fast they are, at the published sizes. Under 10 minutes.

    benchmarks/gpu.sh [--case CASE ...] [--how HOW ...] [--rounds N] [--minutes M] [--json FILE]
    benchmarks/gpu.sh --device cpu --quick     shows on a CPU that it works

Each way is a pair of eager, compile, graph or both and fp32, tf32 or bf16. It is right where an iteration has the
gradients of eager fp32, those of the penalty included: the running mean of them that Adam keeps, network by network,
must differ by no more than TOLERANCE of its norm. Speed is a whole iteration's, against the plain reference as PyTorch
comes (convolutions in TF32, other products in fp32), and against the floor: the FLOPs at the peak of a large
convolution or the bytes at the speed of a copy, whichever takes longer (`benchmarks.cost`).
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.steps import CASES, Setting
from benchmarks.tables import Row, arguments, as_fast, ready, report
from benchmarks.timing import in_turns, peaks
from benchmarks.work import Work, cost_of
from gan_core.game.game import Game

SIZES = ("text-512", "resnet-wgan-gp")
HOW = {
    "eager": {"compile": False, "cuda_graphs": False},
    "compile": {"compile": True, "cuda_graphs": False},
    "graph": {"compile": False, "cuda_graphs": True},
    "compile + graph": {"compile": True, "cuda_graphs": True},
}
PRECISIONS = ("fp32", "tf32", "bf16")
TOLERANCE = {"fp32": 0.02, "tf32": 0.05, "bf16": 0.2}  # rounding moves Adam, and that moves later gradients
QUICK = {"width": 8, "batch_size": 4, "critic_steps": 2}


def need_gpu(name: str, device: str, quick: bool) -> None:
    """End with exit code 2 and a sentence where there is no GPU, and nobody asked for a small proof without one."""
    if quick if torch.device(device).type != "cuda" else torch.cuda.is_available():
        return
    print(
        f"{name} needs an NVIDIA GPU and a PyTorch built for CUDA; --device cpu --quick shows on a CPU that it works",
        file=sys.stderr,
    )
    raise SystemExit(2)


def allow_tf32(products: bool, convolutions: bool) -> None:
    """What CUDA may do in TF32. A game sets this when it is built; here games of several precisions take turns."""
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = products, convolutions


def ways(device: torch.device, chosen: list[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """name -> the precision and the options; eager fp32 first. What the device cannot do is told."""
    found, skipped = {}, []
    for precision in PRECISIONS:
        for how in chosen:
            name, given = f"{how} {precision}", {"precision": precision, **HOW[how]}
            if device.type == "cuda":
                found[name] = precision, given
            elif precision == "tf32" or given.pop("cuda_graphs"):
                skipped.append(name)
            else:
                found[name] = precision, given
    if skipped:
        print(f"skipped, as they need CUDA: {', '.join(skipped)}")
    return found


def gradients(game: Game) -> list[Tensor]:
    """The running mean of each network's gradients, (N,), the critic's last."""
    found = []
    for player in (game.generator, game.critic):
        means = [player.optimiser.state[p]["exp_avg"] for p in player.net.parameters()]
        found.append(torch.cat([mean.detach().double().flatten() for mean in means]))
    return found


def difference(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest relative difference of vectors."""
    return max(float((a - b).norm() / b.norm()) for a, b in zip(found, expected, strict=True))


def bandwidth(device: torch.device) -> float:
    """Bytes a second that a copy of 256 MB reads and writes."""
    x = torch.empty(1 << 26, device=device)
    y = torch.empty_like(x)
    return 2 * 4 * len(x) / in_turns({"copy": lambda: y.copy_(x)}, 5, device)["copy"].seconds


def floors(work: Work, device: torch.device) -> dict[str, float]:
    """The seconds that work takes at best, by precision."""
    allow_tf32(False, False)
    peak = peaks(device)
    allow_tf32(True, True)
    peak["tf32"] = peaks(device)["fp32"]
    speed = bandwidth(device)
    size = {"fp32": 4, "tf32": 4, "bf16": 2}
    return {each: max(work.flops / 1e9 / peak[each], work.bytes(size[each]) / speed) for each in PRECISIONS}


def measure(name: str, rounds: int, device: torch.device, chosen: list[str], until: float, quick: bool) -> list[Row]:
    """The rows of a case: what is right, then what is fast. After `until` no further way is begun."""
    setting = Setting(CASES[name], device, **QUICK if quick else {})
    plain, real = setting.plain(), setting.real.x.contiguous()

    def plainly(tf32: bool) -> None:
        allow_tf32(False, tf32)
        plain.iteration(lambda: real, device)

    tasks: dict[str, Callable[[], object]] = {"plain": lambda: plainly(True), "plain fp32": lambda: plainly(False)}
    rows, precisions = [], {}
    expected = work = None
    for way, (precision, given) in ways(device, chosen).items():
        if expected and time.monotonic() > until:
            print(f"left out, as the time is over: {setting.case.title}, {way}")
            continue
        game = setting.game(**given)
        work = work or cost_of(setting, game).iteration
        setting.iteration(game)
        expected = expected or gradients(game)
        apart = difference(gradients(game), expected)
        note = f"{'right' if apart <= TOLERANCE[precision] else 'WRONG'}: at most {TOLERANCE[precision]}"
        rows.append(Row("gpu", f"{setting.case.title}: gradients", way, apart, "of them apart", note=note))

        def run(game: Game = game, tf32: bool = precision == "tf32") -> None:
            allow_tf32(tf32, tf32)
            setting.iteration(game)

        tasks[way], precisions[way] = run, precision
    assert work is not None
    lowest = floors(work, device)
    for way, timed in in_turns(tasks, rounds, device, title=setting.case.title).items():
        floor = lowest[precisions.get(way, "fp32")]
        note = f"{work.flops / timed.seconds / 1e12:.3g} TFLOP/s"
        if way in precisions:
            note += f"; floor {1000 * floor:.3g} ms, {floor / timed.seconds:.0%} of it"
        rows.append(as_fast("gpu", f"{setting.case.title}: iteration", way, timed, note))
    return rows


def main() -> None:
    """Check, measure and print; exit code 1 where something is wrong."""
    parser = arguments(__doc__)
    parser.set_defaults(device="cuda")
    parser.add_argument("--case", nargs="+", choices=SIZES, help=f"[{' '.join(SIZES)}; with --quick the first]")
    parser.add_argument("--how", nargs="+", choices=HOW, default=list(HOW), metavar="HOW", help=", ".join(HOW))
    parser.add_argument("--minutes", type=float, default=8.0, help="to begin further ways in  [8]")
    args = parser.parse_args()
    need_gpu("benchmarks/gpu.sh", args.device, args.quick)
    device = ready(args)
    began, rows = time.monotonic(), []
    cases = args.case or SIZES[: 1 if args.quick else None]
    chosen = [how for how in HOW if how in {"eager", *args.how}]  # the others are compared with eager fp32
    for number, name in enumerate(cases, 1):
        until = began + 60 * args.minutes * number / len(cases)
        rows += measure(name, args.rounds, device, chosen, until, args.quick)
    report(rows, device, args)
    if any("WRONG" in row.note for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
