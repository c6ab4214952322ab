"""What was measured, as one table of rows, and as JSON. Every piece of `python -m benchmarks` prints by it."""

import argparse
import json
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, tee
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import Timed, machine
from gan_core.runtime.device import pick_device, use_threads


@dataclass(frozen=True)
class Row:
    """A line of the table.

    value, low, high: median, least and most of the rounds, in `unit`; low and high are None of what has no rounds.
    """

    piece: str
    what: str
    how: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    note: str = ""


def as_fast(piece: str, what: str, how: str, timed: Timed, note: str = "") -> Row:
    """How many times as fast as the first of the tasks."""
    note = ", ".join(filter(None, [f"{1000 * timed.seconds:.1f} ms", note]))
    return Row(piece, what, how, timed.ratio, "times as fast", timed.low, timed.high, note)


def markdown(titles: Sequence[str], cells: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table in Markdown, each as soon as its cells are there."""
    for line in chain([titles, ["---"] * len(titles)], cells):
        yield f"| {' | '.join(line)} |"


def table(rows: Iterable[Row]) -> Iterator[str]:
    """The rows in Markdown, a line each."""
    return markdown(
        ["piece", "what", "how", "median", "least", "most", "unit", "notes"],
        (
            [row.piece, row.what, row.how, *map(short, (row.value, row.low, row.high)), row.unit, row.note]
            for row in rows
        ),
    )


def short(number: float | None) -> str:
    """Three digits, more where they stand before the point; nothing for None."""
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def arguments(about: str | None, rounds: int = 5) -> argparse.ArgumentParser:
    """The options that the pieces share."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds, help=f"rounds in which all take turns [{rounds}]")
    parser.add_argument("--quick", action="store_true", help="small networks and few rounds, to see that it works")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file too")
    return parser


def ready(args: argparse.Namespace) -> torch.device:
    """Take all threads; the device that was asked for."""
    use_threads(0)
    return pick_device(args.device)


def report(rows: Iterable[Row], device: torch.device, args: argparse.Namespace) -> None:
    """Print the rows as they come and what they were measured on; write both to a JSON file where one is wanted."""
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    about = machine(device) | versions | {"rounds": args.rounds, "quick": args.quick}
    shown, measured = tee(rows)
    for line in table(shown):
        print(line, flush=True)
    print(
        f"\n{about['date']}, {about['device']}, {about['threads']} threads, torch {about['torch']}, Python "
        f"{about['python']}, numpy {about['numpy']}, {about['system']}; {args.rounds} rounds in turn"
    )
    if args.quick:
        print("--quick: networks far smaller than their names say; these numbers mean nothing")
    if args.json:
        args.json.write_text(json.dumps({"machine": about, "rows": [asdict(row) for row in measured]}, indent=1) + "\n")
