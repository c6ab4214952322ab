"""The protocol "plain": every line of a file of samples against every line of a file of real lines, as code points."""

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
from seqgan_gp.scores.markov import Chains, markov_chains
from seqgan_gp.scores.measured import scores_of
from seqgan_gp.scores.ngrams import Reference, count
from seqgan_gp.scores.protocols import FORMAT, KEPT_ROWS, MAX_N, MAX_ORDER, Counted, kept_chains, named
from seqgan_gp.scores.real import RealLines, by_hash, code_lines
from seqgan_gp.sources.labelled import open_labelled

PROTOCOL = "plain"


class PlainScorer:
    """Scores samples against real rows (N, L) of code points, padded with END.

    Code points of real rows are numbered. All other code points share one further number: an n-gram with such a code
    point differs from all real ones, whichever it is.

    If the reference has at least twice as many lines as the sample, the report has a floor (as many lines of the
    reference, scored against its other lines) and the Markov chains' scores.

    Args:
        alphabet: the code points of the real rows, sorted.
        counted: what is counted of the real rows by number; its `others` are some of these rows.
        real: the real rows.
        chains: returns the Markov chains of the real rows.
    """

    def __init__(
        self,
        alphabet: np.ndarray,
        counted: Counted,
        real: RealLines,
        chains: Callable[[], Chains],
    ) -> None:
        self.counted, self.real, self.chains = counted, real, chains
        self.number = numbering(alphabet)

    def score(self, samples: np.ndarray) -> dict[str, Any]:
        """Return the object that `evaluate --json` prints for samples (M, L) of code points."""
        reference, num, length = self.counted.reference, len(samples), samples.shape[1]
        report: dict[str, Any] = {
            "protocol": PROTOCOL,
            "unit": "code points",
            "length": length,
            "num_samples": num,
            "num_reference": reference.num_lines,
            "js": named(reference.scores(self.number[samples])),
            "scores": scores_of(samples, self.real),
        }
        if reference.num_lines < 2 * num:
            return report
        taken = self.counted.others[:num]
        if len(taken) < num:
            rows = self.real.rows
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
    """Return a scorer against the lines of a source, cut and padded to `length`. Counts are kept in the cache.

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
        assert len(code_lines(lambda: whole, fingerprint).facts.hashes)  # kept too, so that lines are read once

    alphabet, counted = kept(cache_root(None), f"ngrams-{fingerprint[:24]}-{PROTOCOL}", read, write, **about)
    real = code_lines(rows, fingerprint)
    return PlainScorer(alphabet, counted, real, lambda: kept_chains(fingerprint, rows, END + 1))


def fingerprint_of(spec: str, length: int, bad_utf8: str) -> str:
    """Return a hexadecimal hash that is equal if and only if the rows of `plain_rows` are equal."""
    contents = []
    for one in joined.several(spec):
        source = open_labelled(one, bad_utf8, "none").source
        read_as = f"{PROTOCOL} {FORMAT} {type(source).__name__} {source.reading} {one}"
        contents.append(remembered(cache_root(None), source.paths, read_as, source.fingerprint))
    how = {PROTOCOL: FORMAT, "length": length, "bad_utf8": bad_utf8, "sources": contents}
    return hashlib.sha256(json.dumps(how).encode()).hexdigest()


def score_plain(samples: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    """Return the report of samples (M, L) against real rows (N, L). Nothing is kept in the cache."""
    alphabet, counted = count_plain(reference)
    chains = partial(markov_chains, reference, MAX_ORDER, END + 1)
    return PlainScorer(alphabet, counted, code_lines(lambda: reference), chains).score(samples)


def count_plain(rows: np.ndarray) -> tuple[np.ndarray, Counted]:
    """Return the alphabet of real rows (N, L), and what is counted of them."""
    alphabet = count(rows, 1, END + 1).keys.astype(np.uint32)
    number = numbering(alphabet)
    reference = Reference.count(rows, min(MAX_N, rows.shape[1]), len(alphabet) + 1, number.__getitem__)
    return alphabet, Counted(reference, number[rows[by_hash(rows, KEPT_ROWS)]])


def numbering(alphabet: np.ndarray) -> np.ndarray:
    """Return the number of each code point, (END + 1,): its index in the alphabet, or the alphabet's size if absent."""
    number = np.full(END + 1, len(alphabet), np.min_scalar_type(len(alphabet)))
    number[alphabet] = np.arange(len(alphabet))
    return number
