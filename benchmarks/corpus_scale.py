"""Ten million lines prepared by the real command: how fast, in what memory and space, and what kills cost.

    python -m benchmarks.corpus_scale [--lines N] [--kills N] [--outdir DIR] [--seed N]

The lines are made from a seed. They are prepared in a cache of their own: once straight through, once more from the
cache, once with one processor; then whole process groups are killed with SIGKILL while they prepare, and the command
is given again until it ends. Every cache is compared with the first, byte for byte. The table goes to
DIR/corpus-scale.md.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import torch

from gan_core.runtime.pool import processors
from seqgan_gp.sources.open import open_source

ROOT = Path(__file__).parents[1]
LINES = 10_000_000
COMMAND = (str(ROOT / "cli.py"), "train-text", "--data", "lines.txt", "--dry-run")
PAUSE = 0.02  # seconds between two looks at memory and disk
CHUNK = 100_000  # lines that are made at a time


@dataclass
class Measured:
    """One run of the command.

    seconds: of all of it. memory, disk: the most bytes of its processes together, and in the cache, seen at a time.
    preparing: seconds from the first look at which a chunk was begun to the last.
    ended: whether it ended by itself. chunks: how many were finished when it was killed.
    """

    seconds: float = 0.0
    memory: int = 0
    disk: int = 0
    preparing: float = 0.0
    ended: bool = False
    chunks: int = 0


@dataclass
class Bench:
    """A folder with the lines and a cache.

    command: what prepares lines.txt in the folder, as arguments of Python.
    """

    folder: Path
    lines: int
    seed: int
    command: tuple[str, ...] = COMMAND
    cache: Path = field(init=False)

    def __post_init__(self) -> None:
        self.cache = self.folder / "cache"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_lines(self.folder / "lines.txt", self.lines, self.seed)

    def run(self, kill_after: float | None = None, processors: int | None = None) -> Measured:
        """Give the command once.

        kill_after: seconds of preparing after which its process group is killed; None to let it end.
        processors: how many it may use; None for all.
        """
        measured, began, first = Measured(), time.monotonic(), None
        before = self.in_chunks()
        prefix = [] if processors is None else ["taskset", "--cpu-list", f"0-{processors - 1}"]
        process = subprocess.Popen(
            [*prefix, sys.executable, *self.command],
            cwd=self.folder, env=os.environ | {"SEQGAN_GP_CACHE": str(self.cache), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        while process.poll() is None:
            now = time.monotonic()
            if first or self.in_chunks() != before:  # it has begun, or has swept what the one before left half done
                first = first or now
                measured.preparing = now - first
                if kill_after is not None and measured.preparing >= kill_after:
                    os.killpg(process.pid, signal.SIGKILL)
                    break
            measured.memory = max(measured.memory, memory_of(process.pid))
            measured.disk = max(measured.disk, size_of(self.cache))
            time.sleep(PAUSE)
        output, _ = process.communicate()
        measured.seconds = time.monotonic() - began
        measured.ended = process.returncode == 0
        measured.chunks = len([name for name in self.in_chunks() if not name.startswith(".")])
        if not measured.ended and kill_after is None:
            raise RuntimeError(output.decode(errors="replace"))
        return measured

    def in_chunks(self) -> set[str]:
        """The names of what lies in the folder of chunks, if there is one; what is not finished begins with a dot."""
        return {path.name for path in self.cache.glob(".*.chunks/*")}

    def digest(self) -> str:
        """The SHA-256 of all files in the cache but locks, and notes of when a source was last read."""
        digest = hashlib.sha256()
        files = [path for path in self.cache.rglob("*") if path.is_file() and path.suffix != ".lock"]
        for path in sorted(path for path in files if path.parent.name != "fingerprints"):
            digest.update(str(path.relative_to(self.cache)).encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def forget(self) -> None:
        """Empty the cache."""
        shutil.rmtree(self.cache, ignore_errors=True)


def write_lines(path: Path, count: int, seed: int) -> None:
    """Write lines of two phrases each, of 400 million pairs of them: rarely does one come twice."""
    rng = np.random.default_rng(seed)
    letters = [*"etaoinshrdlucmfwypvbgk", "é", "ü", "—"]
    shares = np.geomspace(1, 0.01, len(letters))
    drawn = rng.choice(letters, (5000, 9), p=shares / shares.sum())
    words = ["".join(row[:length]) for row, length in zip(drawn.tolist(), rng.integers(2, 10, 5000), strict=True)]
    picked = (5000 * rng.random((20_000, 12)) ** 3).astype(int)  # a few words are frequent, most are rare
    lengths = rng.integers(3, 13, 20_000)
    phrases = [" ".join(words[i] for i in row[:n]) for row, n in zip(picked.tolist(), lengths, strict=True)]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for start in range(0, count, CHUNK):
            pairs = rng.integers(0, len(phrases), (min(CHUNK, count - start), 2)).tolist()
            file.write("".join(f"{phrases[i]} {phrases[j]}\n" for i, j in pairs))


def memory_of(group: int) -> int:
    """The bytes of memory that the processes of a group take together; 0 where the system does not say."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):  # it has ended
            if os.getpgid(int(folder.name)) == group:
                total += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def size_of(folder: Path) -> int:
    """The bytes of the files under a folder, which may come and go meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(place) / name).stat().st_size
    return total


def report(bench: Bench, kills: int, rng: random.Random) -> str:
    """Make all runs and return the table."""
    size = (bench.folder / "lines.txt").stat().st_size
    rows = [
        "| run | seconds | lines/s while preparing | memory, all processes | cache on disk | cache |",
        "|---|---:|---:|---:|---:|---|",
    ]

    def row(name: str, measured: Measured, verdict: str) -> None:
        speed = f"{bench.lines / measured.preparing:,.0f}" if measured.preparing and not killed else "-"
        cells = [
            name,
            f"{measured.seconds:.1f}",
            speed,
            f"{measured.memory / 1e6:,.0f} MB",
            f"{measured.disk / 1e6:,.0f} MB",
        ]
        rows.append(f"| {' | '.join([*cells, verdict])} |")
        print(rows[-1], flush=True)

    def compared() -> str:
        return "byte for byte the same" if bench.digest() == wanted else "ANOTHER CACHE"

    killed: list[Measured] = []
    bench.forget()
    straight = bench.run()
    wanted = bench.digest()
    row(f"straight, {processors()} processors", straight, f"{size_of(bench.cache) / 1e6:,.0f} MB when done")
    row("again, from the cache", bench.run(), compared())
    bench.forget()
    row("straight, 1 processor", bench.run(processors=1), compared())
    bench.forget()
    for _ in range(kills):
        killed.append(bench.run(kill_after=rng.uniform(0.2, 1.5) * straight.preparing / (kills + 1)))
    last = bench.run()
    row(f"the last, after {kills} kills", last, compared())
    whole = sum(run.preparing for run in killed) + last.preparing
    kept = (
        ", ".join(f"{run.chunks} after {run.preparing:.1f} s" for run in killed if not run.ended)
        or "no kill was in time"
    )
    number = 2 * len(open_source(str(bench.folder / "lines.txt")).chunks()) + 1  # counted, encoded; and the tokenizer
    return "\n".join(
        [
            *rows, "",
            f"{bench.lines:,} lines, {size / 1e6:,.0f} MB. Finished of {number} chunks: {kept}.",
            f"Preparing took {whole:.1f} s in all, {whole / max(straight.preparing, 1e-9):.2f} times as long.",
            "",
            f"{date.today()}, torch {torch.__version__}, {machine()}: "
            f"`python -m benchmarks.corpus_scale --lines {bench.lines} --kills {kills} --seed {bench.seed}`", "",
        ]
    )  # fmt: skip


def machine() -> str:
    """The processors of this machine, in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "processor")
    except OSError:
        name = "processor"
    return f"{processors()} x {name}"


def main() -> None:
    """Make the lines and the runs, then the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--outdir", type=Path, default=Path("experiments-out/corpus-scale"))
    args = parser.parse_args()
    bench = Bench(args.outdir.resolve() / "work", args.lines, args.seed)
    table = report(bench, args.kills, random.Random(args.seed))
    (args.outdir / "corpus-scale.md").write_text(table)
    print(table.partition("\n\n")[2])
    shutil.rmtree(bench.folder)


if __name__ == "__main__":
    main()
