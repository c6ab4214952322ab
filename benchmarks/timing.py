"""Ratios of speed: tasks that take turns, so what slows the machine slows them all."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from torch.nn.functional import conv2d

from gan_core.runtime.progress import Progress

BAR_AFTER = 2.0  # seconds


@dataclass(frozen=True)
class Timed:
    """What a task took.

    seconds: median of the rounds. ratio, low, high: how many times as fast as the first task, by round: median,
    smallest, largest.
    """

    seconds: float
    ratio: float
    low: float
    high: float


def in_turns(
    tasks: Mapping[str, Callable[[], object]],
    rounds: int,
    device: torch.device,
    turn: float = 0.0,
    title: str = "timing",
) -> dict[str, Timed]:
    """Time tasks in `rounds` rounds, each once a round, after one call of each that is not timed.

    turn: seconds of calls in a row that make a turn, at least one: a step in training follows one like itself, and
        finds its weights where the processor left them. One more untimed call says how many.
    title: what the bar of progress calls it.
    """

    def once(task: Callable[[], object], calls: int = 1) -> float:
        wait(device)
        began = time.perf_counter()
        for _ in range(calls):
            task()
        wait(device)
        return (time.perf_counter() - began) / calls

    names = list(tasks)
    taken: dict[str, list[float]] = {name: [] for name in names}
    with Progress(title, (rounds + 1) * len(names), " turns", delay=BAR_AFTER) as progress:
        calls = {}
        for name, task in tasks.items():
            task()
            calls[name] = max(1, round(turn / once(task))) if turn else 1
            progress.advance(1)
        for number in range(rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:  # nobody is always the first
                taken[name].append(once(tasks[name], calls[name]))
                progress.advance(1)
    plain = taken[names[0]]
    found = {}
    for name, seconds in taken.items():
        ratios = [a / b for a, b in zip(plain, seconds, strict=True)]
        found[name] = Timed(statistics.median(seconds), statistics.median(ratios), min(ratios), max(ratios))
    return found


def wait(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def peaks(device: torch.device) -> dict[str, float]:
    """The most GFLOP/s that this machine reaches here, by precision: a large channels-last 3x3 convolution."""
    found = {}
    size, channels, batch = (32, 256, 32) if device.type == "cpu" else (64, 512, 64)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        x = torch.randn(batch, channels, size, size, device=device, dtype=dtype)
        weight = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype)
        x, weight = (value.contiguous(memory_format=torch.channels_last) for value in (x, weight))
        flops = 2 * 9 * channels**2 * batch * size**2
        with torch.no_grad():
            task = {"conv": lambda x=x, weight=weight: conv2d(x, weight, padding=1)}
            found[name] = flops / in_turns(task, 5, device)["conv"].seconds / 1e9
    return found


def machine(device: torch.device) -> dict[str, object]:
    """What the numbers were measured on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        "date": str(date.today()), "torch": torch.__version__, "device": name, "threads": torch.get_num_threads(),
        "system": platform.platform(),
    }  # fmt: skip


def processor() -> str:
    """The processor's name, where the system tells it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
