"""Scores that can be trusted: n-gram JS by a named protocol, beside what real text and Markov chains score.

What is counted of real text is kept in the cache: sealed, so what is damaged is counted again, and by the fingerprint
of the text. JS falls as the number of samples grows, and simple chains score well, so a score is never given alone.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.storage.cache import cache_root, kept
from gan_core.storage.sealed import DamagedError, verify
from seqgan_gp.corpus.corpus import Corpus, row_hashes
from seqgan_gp.scores.markov import MarkovChain, shorter_too
from seqgan_gp.scores.ngrams import Reference
from seqgan_gp.tokenizers.base import PAD, UNK, Tokenizer

MAX_N = 6  # the longest n-gram scored
MAX_ORDER = 5  # of the Markov chains
FORMAT = 2  # of what is cached: raise it with any change to what is counted
KEPT_ROWS = 10_000  # real rows that are kept for floors: a larger floor is chosen from all of them once more

Js = dict[str, float]
Chains = dict[int, MarkovChain]


@dataclass(frozen=True)
class Protocol:
    """How a run is scored.

    num: samples drawn. against: the side of the corpus that is the reference.
    backtick: padding counts as a backtick, and samples as they are emitted, as the authors of WGAN-GP have it;
        otherwise padding is a symbol of its own, and samples as they are printed: they end at their first padding.
    """

    name: str
    summary: str
    num: int
    against: str
    backtick: bool = False


PROTOCOLS = {
    "heldout": Protocol("heldout", "10,000 samples against lines that no training batch sees", 10_000, "heldout"),
    "wgan-gp": Protocol(
        "wgan-gp", "640 samples against all training lines, as in Gulrajani et al. 2017", 640, "train", backtick=True
    ),
}


@dataclass(frozen=True)
class Counted:
    """What is kept of real text.

    reference: its n-grams. others: real rows (K, L) that floors are measured by, the one of the smallest hash first.
    """

    reference: Reference
    others: np.ndarray

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        self.reference.save(folder / "reference.npz")
        np.save(folder / "others.npy", self.others)

    @classmethod
    def load(cls, folder: Path) -> "Counted":
        """Read what `save` wrote.

        Raises:
            OSError, ValueError: it is not there, or is damaged.
        """
        return cls(Reference.load(folder / "reference.npz"), np.load(folder / "others.npy", allow_pickle=False))


class Scorer:
    """Scores samples of one run's tokenizer against one set of real rows, by one protocol.

    The reference, the floor and the Markov chains are counted on the first use, and kept in the cache. Rows stay where
    they are, in files; they are read a block at a time.

    reference: rows (N, L) of real lines. others: real rows that are not among them, for the floor. fingerprint: of all
    of these. chains: those of the training lines.
    """

    def __init__(
        self,
        protocol: Protocol,
        tokenizer: Tokenizer,
        reference: np.ndarray,
        others: np.ndarray,
        fingerprint: str,
        chains: Callable[[], Chains],
    ) -> None:
        self.protocol, self.tokenizer, self.fingerprint = protocol, tokenizer, fingerprint
        self.reference, self.others, self.chains = reference, others, chains
        self._counted: Counted | None = None
        self._baselines: dict[int, dict[str, Any]] = {}

    def score(self, ids: np.ndarray) -> dict[str, Any]:
        """The report of an evaluation, for `evaluate` to print as JSON, of samples (N, L) of ids."""
        reference = self._known().reference
        return {
            "protocol": self.protocol.name,
            "unit": self.tokenizer.unit,
            "length": reference.length,
            "num_samples": len(ids),
            "num_reference": reference.num_lines,
            "js": named(reference.scores(self._symbols(ids))),
            **self._baselines_at(len(ids)),
        }

    def _symbols(self, ids: np.ndarray) -> np.ndarray:
        """Rows of ids as the rows of symbols whose n-grams are counted."""
        if not self.protocol.backtick:
            return self.tokenizer.symbols(self.tokenizer.canonical(ids))
        rows = self.tokenizer.symbols(ids)
        pad = self.tokenizer.symbols(np.full((1, ids.shape[1]), PAD, ids.dtype))[0, 0]
        first = self.tokenizer.encode_block(b"`\n", ids.shape[1])
        backtick = self.tokenizer.symbols(first)[0, 0]
        known = self.tokenizer.unk is None or first[0, 0] != UNK
        return np.where(rows == pad, backtick, rows) if known else rows

    def _known(self) -> Counted:
        if self._counted is None:
            about = {
                "fingerprint": self.fingerprint, "protocol": self.protocol.name, "format": FORMAT, "max_n": MAX_N,
                "max_order": MAX_ORDER,
            }  # fmt: skip

            def read(folder: Path) -> Counted | None:
                return self._read(folder, about)

            name = f"ngrams-{self.fingerprint[:24]}-{self.protocol.name}"
            self._counted = kept(cache_root(None), name, read, self._count, **about)
        return self._counted

    def _read(self, folder: Path, about: dict[str, Any]) -> Counted | None:
        try:
            if not about.items() <= verify(folder).items():
                return None
            counted = Counted.load(folder)
            baselines = json.loads((folder / "baselines.json").read_text())
            self._baselines = {int(num): value for num, value in baselines.items()}
        except (DamagedError, OSError, ValueError, KeyError):
            return None
        return counted

    def _count(self, folder: Path) -> None:
        max_n = min(MAX_N, self._symbols(self.reference[:1]).shape[1])
        reference = Reference.count(self.reference, max_n, self.tokenizer.symbol_count, self._symbols)
        counted = Counted(reference, self.others[by_hash(self.others, KEPT_ROWS)])
        counted.save(folder)
        baselines = {self.protocol.num: self._measure(counted, self.protocol.num)}
        (folder / "baselines.json").write_text(json.dumps(baselines))

    def _baselines_at(self, num: int) -> dict[str, Any]:
        if num not in self._baselines:
            self._baselines[num] = self._measure(self._known(), num)
        return self._baselines[num]

    def _measure(self, counted: Counted, num: int) -> dict[str, Any]:
        """What real lines, and Markov chains of the training lines, score at a size."""
        reference, length = counted.reference, self.reference.shape[1]
        real = counted.others[:num]
        if len(real) < min(num, len(self.others)):
            real = self.others[by_hash(self.others, num)]
        return {
            "num_floor": len(real),
            "floor": named(reference.scores(self._symbols(real))),
            "markov": {
                str(order): named(reference.scores(self._symbols(chain.sample(num, length, seed=order))))
                for order, chain in self.chains().items()
            },
        }


def kept_chains(fingerprint: str, rows: Callable[[], np.ndarray], symbols: int) -> Chains:
    """The Markov chains of rows (N, L) of so many symbols; they are asked for where the cache has no such chains."""
    about = {"fingerprint": fingerprint, "format": FORMAT, "max_order": MAX_ORDER}

    def read(folder: Path) -> MarkovChain | None:
        try:
            return MarkovChain.load(folder / "chain.npz") if about.items() <= verify(folder).items() else None
        except (DamagedError, OSError, ValueError, KeyError):
            return None

    def write(folder: Path) -> None:
        MarkovChain(rows(), MAX_ORDER, symbols).save(folder / "chain.npz")

    return shorter_too(kept(cache_root(None), f"chains-{fingerprint[:24]}", read, write, **about))


def run_scorer(protocol: Protocol, corpus: Corpus) -> Scorer:
    """A scorer of a run against its own corpus: the floor comes from the side that is not the reference."""
    sides = {"train": corpus.train, "heldout": corpus.heldout}
    reference = sides.pop(protocol.against)
    (others,) = sides.values()
    return Scorer(protocol, corpus.tokenizer, reference, others, corpus.fingerprint, chains_of(corpus))


def other_scorer(protocol: Protocol, corpus: Corpus, rows: np.ndarray) -> Scorer:
    """A scorer of a run against other real rows; the floor is what the run's own held-out lines score there."""
    fingerprint = hashlib.sha256(np.sort(row_hashes(rows)).tobytes() + corpus.fingerprint.encode()).hexdigest()
    return Scorer(protocol, corpus.tokenizer, rows, corpus.heldout, fingerprint, chains_of(corpus))


def chains_of(corpus: Corpus) -> Callable[[], Chains]:
    """What gives the Markov chains of a corpus's training lines, the same for every protocol."""
    return lambda: kept_chains(corpus.fingerprint, lambda: corpus.train, corpus.tokenizer.size)


def by_hash(rows: np.ndarray, num: int) -> np.ndarray:
    """Indices of `num` of the rows (fewer if there are fewer), chosen by content: the same on every machine.

    The one of the smallest hash is first, so that fewer of them are the beginning.
    """
    hashes = row_hashes(rows)
    if num < len(hashes):  # sorts only what can be among them
        near = np.flatnonzero(hashes <= np.partition(hashes, num)[num])
        return near[np.argsort(hashes[near], kind="stable")[:num]]
    return np.argsort(hashes, kind="stable")


def named(scores: dict[int, float]) -> Js:
    """The keys as JSON has them."""
    return {str(n): value for n, value in scores.items()}


def table(report: dict[str, Any]) -> str:
    """A report as a table for people, with a sentence that says how the score compares."""
    sizes = f"{report['num_samples']:,} samples against {report['num_reference']:,} real lines of {report['length']}"
    ns = list(report["js"])
    rows = [("generator", report["js"])]
    if "floor" in report:
        rows += [(f"Markov chain, order {order}", js) for order, js in report["markov"].items()]
        rows += [(f"real text ({report['num_floor']:,} lines)", report["floor"])]
    lines = [f"Jensen-Shannon divergence of n-grams of {report['unit']}, protocol {report['protocol']}: {sizes}"]
    lines.append(f"{'':<26}" + "".join(f"{'JS-' + n:>8}" for n in ns))
    lines += [f"{name:<26}" + "".join(f"{js[n]:>8.3f}" for n in ns) for name, js in rows]
    if "floor" in report:
        lines.append(in_words(report))
    return "\n".join(lines)


def in_words(report: dict[str, Any], n: str = "4") -> str:
    """Where the generator stands between the Markov chains and real text, in one sentence."""
    n = n if n in report["js"] else max(report["js"])
    score, floor = report["js"][n], report["floor"][n]
    worse = [order for order, js in report["markov"].items() if js[n] > score]
    chain = (
        f"better than a Markov chain of order {max(worse)} ({report['markov'][max(worse)][n]:.3f})"
        if worse
        else f"not yet as good as a Markov chain of order 1 ({report['markov']['1'][n]:.3f})"
    )
    return f"In short: JS-{n} is {score:.3f}, {chain}; real lines score {floor:.3f}, the best that can be expected."
