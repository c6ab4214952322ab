"""Lines that were saved, scored against a file of real ones, as code points: protocol "plain", every line of both."""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.storage.cache import cache_root, kept, remembered
from gan_core.storage.sealed import DamagedError, verify
from seqgan_gp.corpus import joined
from seqgan_gp.corpus.corpus import plain_rows
from seqgan_gp.lines import END
from seqgan_gp.scores.markov import markov_chains
from seqgan_gp.scores.ngrams import Reference, count
from seqgan_gp.scores.protocols import FORMAT, KEPT_ROWS, MAX_N, MAX_ORDER, Chains, Counted, by_hash, kept_chains, named
from seqgan_gp.sources.labelled import open_labelled

PROTOCOL = "plain"


class PlainScorer:
    """Scores samples against real rows (N, L) of code points, filled up with END.

    Symbols that occur in real rows are numbered, all others are one more: an n-gram with such a symbol is none of the
    real ones, whichever it is.

    Where the reference has at least twice the lines of the sample, the floor (as many lines of it against the
    others) and the Markov chains stand beside the score.

    alphabet: the code points of the real rows, in order. counted: of the real rows by number; the rows in it are some
    of them. rows: gives all of them, as code points. chains: gives theirs.
    """

    def __init__(
        self,
        alphabet: np.ndarray,
        counted: Counted,
        rows: Callable[[], np.ndarray],
        chains: Callable[[], Chains],
    ) -> None:
        self.counted, self.rows, self.chains = counted, rows, chains
        self.number = numbering(alphabet)

    def score(self, samples: np.ndarray) -> dict[str, Any]:
        """The report of an evaluation, for `evaluate` to print as JSON, of samples (M, L) of code points."""
        reference, num, length = self.counted.reference, len(samples), samples.shape[1]
        report: dict[str, Any] = {
            "protocol": PROTOCOL,
            "unit": "code points",
            "length": length,
            "num_samples": num,
            "num_reference": reference.num_lines,
            "js": named(reference.scores(self.number[samples])),
        }
        if reference.num_lines < 2 * num:
            return report
        taken = self.counted.others[:num]
        if len(taken) < num:
            rows = self.rows()
            taken = self.number[rows[by_hash(rows, num)]]
        rest = reference.without(Reference.count(taken, max(reference.counts), reference.symbols))
        return report | {
            "num_floor": num,
            "floor": named(rest.scores(taken)),
            "markov": {
                str(order): named(reference.scores(self.number[chain.sample(num, length, seed=order)]))
                for order, chain in self.chains().items()
            },
        }


def plain_scorer(spec: str, length: int, bad_utf8: str) -> PlainScorer:
    """The scorer of a source of lines, cut and filled up to `length`, from the cache if it is there.

    Raises:
        DataError: the source is unusable.
    """
    fingerprint = fingerprint_of(spec, length, bad_utf8)
    about = {"fingerprint": fingerprint, "format": FORMAT, "max_n": MAX_N}

    def rows() -> np.ndarray:
        return plain_rows(spec, length, bad_utf8=bad_utf8)

    def read(folder: Path) -> tuple[np.ndarray, Counted] | None:
        try:
            if not about.items() <= verify(folder).items():
                return None
            return np.load(folder / "alphabet.npy", allow_pickle=False), Counted.load(folder)
        except (DamagedError, OSError, ValueError, KeyError):
            return None

    def write(folder: Path) -> None:
        whole = rows()
        alphabet, counted = count_plain(whole)
        np.save(folder / "alphabet.npy", alphabet)
        counted.save(folder)
        kept_chains(fingerprint, lambda: whole, END + 1)

    alphabet, counted = kept(cache_root(None), f"ngrams-{fingerprint[:24]}-{PROTOCOL}", read, write, **about)
    return PlainScorer(alphabet, counted, rows, lambda: kept_chains(fingerprint, rows, END + 1))


def fingerprint_of(spec: str, length: int, bad_utf8: str) -> str:
    """Hexadecimal; equal where the rows of `plain_rows` are equal."""
    contents = []
    for one in joined.several(spec):
        source = open_labelled(one, bad_utf8, "none").source
        read_as = f"{PROTOCOL} {FORMAT} {type(source).__name__} {one}"
        contents.append(remembered(cache_root(None), source.paths, read_as, source.fingerprint))
    how = {PROTOCOL: FORMAT, "length": length, "bad_utf8": bad_utf8, "sources": contents}
    return hashlib.sha256(json.dumps(how).encode()).hexdigest()


def score_plain(samples: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    """The report of samples (M, L) against real rows (N, L), of which nothing is kept."""
    alphabet, counted = count_plain(reference)
    chains = partial(markov_chains, reference, MAX_ORDER, END + 1)
    return PlainScorer(alphabet, counted, lambda: reference, chains).score(samples)


def count_plain(rows: np.ndarray) -> tuple[np.ndarray, Counted]:
    """The alphabet of real rows (N, L), and what is kept of them."""
    alphabet = count(rows, 1, END + 1).keys.astype(np.uint32)
    number = numbering(alphabet)
    reference = Reference.count(rows, min(MAX_N, rows.shape[1]), len(alphabet) + 1, number.__getitem__)
    return alphabet, Counted(reference, number[rows[by_hash(rows, KEPT_ROWS)]])


def numbering(alphabet: np.ndarray) -> np.ndarray:
    """The number of each code point, (END + 1,): its place in the alphabet, or the number after the last."""
    number = np.full(END + 1, len(alphabet), np.min_scalar_type(len(alphabet)))
    number[alphabet] = np.arange(len(alphabet))
    return number
