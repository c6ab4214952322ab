"""N-gram counts and Jensen-Shannon scores: seqgan_gp.scores.ngrams against plain Python, in one run.

    python -m benchmarks.ngrams [--lines FILE] [--rounds N]

Plain Python is a Counter of string slices a length, the score its definition. Both sides start from lines in memory
in their own form, strings and rows of symbols. The two take turns, so what slows the machine slows both.
"""

import argparse
import gzip
import math
import platform
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqgan_gp.scores.markov import markov_chains
from seqgan_gp.scores.ngrams import Reference

DATA = Path(__file__).parents[1] / "data" / "wordnet"
LENGTH = 32
MAX_N = 6
SAMPLE = 640


def plain_counts(lines: Sequence[str]) -> dict[int, Counter[str]]:
    """Count the n-grams of lines of LENGTH characters, for n = 1..MAX_N."""
    return {n: Counter(line[i : i + n] for line in lines for i in range(LENGTH - n + 1)) for n in range(1, MAX_N + 1)}


def plain_scores(reference: dict[int, Counter[str]], sample: dict[int, Counter[str]]) -> dict[int, float]:
    """The score by its definition, [KL(P||M) + KL(Q||M)] / 2 in bits."""
    scores = {}
    for n in reference:
        p, q = reference[n], sample[n]
        p_total, q_total = p.total(), q.total()
        terms = []
        for gram in p.keys() | q.keys():
            a, b = p[gram] / p_total, q[gram] / q_total
            m = (a + b) / 2
            if a:
                terms.append(a * math.log2(a / m))
            if b:
                terms.append(b * math.log2(b / m))
        scores[n] = math.fsum(terms) / 2
    return scores


def read(files: Sequence[Path], number: int) -> list[str]:
    """`number` lines in random order, cut and padded to LENGTH, repeated if there are too few."""
    lines: list[str] = []
    for path in files:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            lines += (line.rstrip("\n")[:LENGTH].ljust(LENGTH, "`") for line in file)
    if not lines:
        raise SystemExit("there are no lines to count")
    random.Random(0).shuffle(lines)
    return (lines * (number // len(lines) + 1))[:number]


def encode(lines: Sequence[str]) -> tuple[np.ndarray, str]:
    """Rows of symbols (N, LENGTH), and the alphabet that they number."""
    points = np.frombuffer("".join(lines).encode("utf-32-le"), np.uint32).reshape(-1, LENGTH)
    alphabet = np.unique(points)
    return np.searchsorted(alphabet, points).astype(np.uint16), "".join(map(chr, alphabet))


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Median seconds of the repeats, and the last result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def spread(values: Sequence[float], unit: str = "", scale: float = 1) -> str:
    """Median (min..max)."""
    low, middle, high = (f"{scale * v:.4g}" for v in (min(values), statistics.median(values), max(values)))
    return f"{middle}{unit} ({low}..{high})"


def processor() -> str:
    """The CPU's model name."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if "model name" in line] if info.exists() else []
    return names[0].split(":")[1].strip() if names else platform.processor()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=Path, metavar="FILE", help="text, .gz or plain [the built-in data]")
    parser.add_argument("--number", type=int, default=200_000, metavar="LINES", help="lines to count [200000]")
    parser.add_argument("--rounds", type=int, default=3, help="paired rounds, about 15 s each [3]")
    options = parser.parse_args()

    lines = read([options.lines] if options.lines else sorted(DATA.glob("*.txt.gz")), options.number)
    rows, alphabet = encode(lines)
    fit_time, chains = timed(lambda: markov_chains(rows, 5, len(alphabet)))
    draw_time, drawn = timed(lambda: {k: chain.sample(10_000, LENGTH, seed=0) for k, chain in chains.items()})
    sample_rows = drawn[3][:SAMPLE]
    sample = ["".join(alphabet[symbol] for symbol in row) for row in sample_rows]
    Reference.count(rows[:1000], MAX_N, len(alphabet)).scores(sample_rows)  # warm up

    times: dict[str, list[float]] = {"plain count": [], "count": [], "plain score": [], "score": []}
    for _ in range(options.rounds):
        plain_count, grams = timed(lambda: plain_counts(lines))
        plain_score, expected = timed(lambda grams=grams: plain_scores(grams, plain_counts(sample)))
        counting, reference = timed(lambda: Reference.count(rows, MAX_N, len(alphabet)), 3)
        scoring, scores = timed(lambda reference=reference: reference.scores(sample_rows), 15)
        assert all(abs(scores[n] - expected[n]) < 1e-12 for n in range(1, MAX_N + 1)), (scores, expected)
        for name, seconds in zip(times, (plain_count, counting, plain_count + plain_score, scoring), strict=True):
            times[name].append(seconds)

    print(f"{processor()}, Python {platform.python_version()}, numpy {np.__version__}")
    print(
        f"{len(lines)} lines of {LENGTH} characters, alphabet of {len(alphabet)}, n = 1..{MAX_N}; distinct "
        f"{MAX_N}-grams: {len(reference.counts[MAX_N])}; {options.rounds} rounds, median (min..max)\n"
    )
    print(f"{'':34}{'plain Python':28}{'seqgan_gp.scores.ngrams':28}ratio")
    for title, plain, fast in [
        ("count the reference", times["plain count"], times["count"]),
        (f"score {SAMPLE} lines against it", times["plain score"], times["score"]),
    ]:
        ratios = [a / b for a, b in zip(plain, fast, strict=True)]
        print(f"{title:34}{spread(plain, ' s'):28}{spread(fast, ' ms', 1000):28}{spread(ratios, 'x')}")
    print("(plain Python counts the reference anew for a score, the Reference was counted once)\n")
    print("scores of an order-3 Markov chain, both sides equal to 1e-12:")
    print("  " + "  ".join(f"JS-{n} {score:.4f}" for n, score in scores.items()))
    print(f"Markov chains of order 1 to 5: trained in {fit_time:.2f} s, 10,000 lines of each in {draw_time:.2f} s")


if __name__ == "__main__":
    main()
