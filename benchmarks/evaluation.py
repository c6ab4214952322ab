"""Scoring samples against ten million real lines: what counting the lines costs once, and a score after that.

    python -m benchmarks.evaluation [--lines N] [--rounds N] [--folder DIR]

The lines are words of the built-in sentences, drawn as often as they occur there. They are prepared as for training,
and counted by protocol wgan-gp; then samples are scored by a process that finds the counts in the cache. The same by
the command `evaluate SAMPLES --data LINES`, from its start to its end. A folder that is named keeps lines and cache: a
run that is given again goes on where it was.
"""

import argparse
import gzip
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import machine
from gan_core.runtime.progress import Progress
from seqgan_gp.corpus.corpus import Corpus, prepare
from seqgan_gp.scores.protocols import PROTOCOLS, run_scorer

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data" / "wordnet"
SIZES = (640, 10_000)  # samples
LIMITS = {640: 2.0, 10_000: 10.0}  # seconds that a score of so many shall take
WORDS = 8  # of a line: about 45 characters, of which 32 are used
CHUNK = 100_000  # lines that are made at a time
LENGTH = 32


def write_lines(path: Path, num: int) -> None:
    """Write `num` lines of words, if they are not there."""
    if path.exists():
        return
    counts: Counter[str] = Counter()
    for file in sorted(DATA.glob("*.txt.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                counts.update(line.split())
    words, shares = list(counts), np.array(list(counts.values()), float)
    rng, partial = np.random.default_rng(0), path.with_suffix(".part")
    with partial.open("w", encoding="utf-8", newline="\n") as out, Progress("lines", num, " lines") as progress:
        for start in range(0, num, CHUNK):
            drawn = rng.choice(len(words), (min(CHUNK, num - start), WORDS), p=shares / shares.sum())
            out.writelines(" ".join([words[i] for i in row]) + "\n" for row in drawn.tolist())
            progress.advance(len(drawn))
    partial.rename(path)


def corpus_of(lines: Path) -> Corpus:
    """The lines as training sees them, from the cache if they are there."""
    return prepare(str(lines), seq_len=LENGTH)


def count_reference(lines: Path) -> dict[str, float]:
    """Count the training lines, and the chains; "seconds" 0 where the cache has all. "memory" is in MB."""
    corpus = corpus_of(lines)
    before = peak_memory()
    scorer = run_scorer(PROTOCOLS["wgan-gp"], corpus)
    seconds = timed(lambda: scorer.score(corpus.heldout[: SIZES[0]]))
    largest = scorer._known().reference
    return {
        "seconds": seconds, "memory": peak_memory(), "before": before, "rows": len(corpus.train),
        "grams": len(largest.counts[max(largest.counts)]), "bytes": sum(16 * len(c) for c in largest.counts.values()),
    }  # fmt: skip


def score_once(lines: Path, num: int) -> dict[str, float]:
    """Seconds of a first score in this process, which reads the cache, and of a second one; the memory in MB."""
    corpus = corpus_of(lines)
    samples = np.array(corpus.heldout[:num])
    scorer = run_scorer(PROTOCOLS["wgan-gp"], corpus)
    first, again = (timed(lambda: scorer.score(samples)) for _ in range(2))
    return {"first": first, "again": again, "memory": peak_memory()}


def write_samples(folder: Path, lines: Path) -> None:
    """Write the first lines as files of samples."""
    with lines.open(encoding="utf-8") as file:
        texts = list(islice(file, max(SIZES)))
    for num in SIZES:
        (folder / f"{num}.txt").write_text("".join(texts[:num]))


def evaluate(folder: Path, lines: Path, num: int) -> float:
    """Seconds of the command that scores a file of samples."""
    command = [sys.executable, str(ROOT / "cli.py"), "evaluate", str(folder / f"{num}.txt"), "--data", str(lines)]
    return timed(lambda: subprocess.run([*command, "--json"], check=True, stdout=subprocess.DEVNULL))


def timed(task: Callable[[], object]) -> float:
    """The seconds that a task takes."""
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


def peak_memory() -> float:
    """The most memory that this process has taken, in MB: files that are mapped count while they are read."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def alone(task: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    """What a task returns that runs in a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(task, *arguments).result()


def row(what: str, seconds: list[float], memory: list[float], limit: float = 0.0) -> str:
    """A row of the table: the median, the least and the most of the seconds, and the most memory."""
    cells = [
        what, f"{statistics.median(seconds):.2f}", f"{min(seconds):.2f} to {max(seconds):.2f}",
        f"{limit:g}" if limit else "-", f"{max(memory):,.0f}" if memory else "-",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def measure(folder: Path, num: int, rounds: int) -> Iterator[str]:
    """Make all measurements; the lines of the table, each as soon as it is known."""
    lines = folder / f"lines-{num}.txt"
    yield "| what | seconds, median | from, to | shall be under | peak memory, MB |"
    yield "|---|---:|---:|---:|---:|"
    yield row("make the lines", [timed(lambda: write_lines(lines, num))], [])
    yield row("prepare them, or find them prepared", [timed(lambda: corpus_of(lines))], [])
    counted = alone(count_reference, lines)
    yield row("count the reference and the chains, or find them", [counted["seconds"]], [counted["memory"]])
    write_samples(folder, lines)
    for size in SIZES:
        found = [alone(score_once, lines, size) for _ in range(rounds)]
        memory = [one["memory"] for one in found]
        yield row(f"{size:,} samples, first score", [one["first"] for one in found], memory, LIMITS[size])
        yield row(f"{size:,} samples, later scores", [one["again"] for one in found], memory, LIMITS[size])
    yield row("`evaluate`, first time with these lines", [evaluate(folder, lines, SIZES[0])], [])
    for size in SIZES:
        seconds = [evaluate(folder, lines, size) for _ in range(rounds)]
        yield row(f"`evaluate`, {size:,} samples", seconds, [], LIMITS[size])
    about = ", ".join(f"{name} {value}" for name, value in machine(torch.device("cpu")).items())
    yield (
        f"\n{num:,} lines, {counted['rows']:,} of them the reference; {counted['grams']:,.0f} different 6-grams, all "
        f"counts {counted['bytes'] / 1e6:,.0f} MB. {rounds} rounds, each in a new process. {about}."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where lines and cache are kept  [a temporary one]")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["SEQGAN_GP_CACHE"] = str(folder.resolve() / "cache")
        for line in measure(folder.resolve(), options.lines, options.rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
