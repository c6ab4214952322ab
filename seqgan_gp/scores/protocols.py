"""Protocols for scoring text: the n-gram score and all metrics, beside real text and Markov chains at the same size.

A score is never reported alone, because the n-gram JS falls as the number of samples grows, and simple chains score
well. What is counted of real text is kept in the cache under the fingerprint of the text; a damaged file is counted
again.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.storage.cache import cache_root, kept
from gan_core.storage.sealed import DamagedError, verify
from seqgan_gp.corpus.corpus import Corpus, row_hashes
from seqgan_gp.scores.markov import Chains, MarkovChain, shorter_too
from seqgan_gp.scores.measured import Beside, scores_of, scores_table
from seqgan_gp.scores.ngrams import Reference
from seqgan_gp.scores.real import RealLines, by_hash, training_lines
from seqgan_gp.tokenizers.base import PAD, UNK, Tokenizer

MAX_N = 6  # the longest n-gram scored
MAX_ORDER = 5  # the highest order of the Markov chains
FORMAT = 2  # of the cached files: raise it with any change to what is counted
KEPT_ROWS = 10_000  # real rows kept for floors; a larger floor selects from all rows again

Js = dict[str, float]


@dataclass(frozen=True)
class Protocol:
    """How a run is scored.

    Attributes:
        num: number of samples.
        against: the side of the corpus that is the reference, "train" or "heldout".
        backtick: whether n-grams are counted as in the code of WGAN-GP's authors, where padding is a backtick and
            symbols after it count. Otherwise padding is a symbol of its own, and a sample ends at its first padding.
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
    """What is counted of real text and kept in the cache.

    Attributes:
        reference: the n-grams of the reference.
        others: real rows (K, L) for floors, sorted by their hashes.
    """

    reference: Reference
    others: np.ndarray

    def save(self, folder: Path) -> None:
        """Write both into a folder."""
        self.reference.save(folder / "reference.npz")
        np.save(folder / "others.npy", self.others)

    @classmethod
    def load(cls, folder: Path) -> "Counted":
        """Read what `save` wrote.

        Raises:
            OSError, ValueError: a file is missing or damaged.
        """
        return cls(Reference.load(folder / "reference.npz"), np.load(folder / "others.npy", allow_pickle=False))


class Scorer:
    """Scores samples of a run by one protocol.

    The reference, the floor and the Markov chains are counted on first use and kept in the cache. Rows stay in their
    files and are read in blocks.

    Args:
        protocol: the protocol.
        tokenizer: the tokenizer of the run.
        reference: the real rows (N, L) that n-grams are compared with.
        others: real rows that are not in the reference, for the floor of the n-gram score.
        fingerprint: a hash of reference, others and chains.
        chains: returns the Markov chains of the training lines.
        real: the training lines, which metrics compare samples with.
        heldout: real rows that are not training lines, for the floors of metrics.
    """

    def __init__(
        self,
        protocol: Protocol,
        tokenizer: Tokenizer,
        reference: np.ndarray,
        others: np.ndarray,
        fingerprint: str,
        chains: Callable[[], Chains],
        real: RealLines,
        heldout: np.ndarray,
    ) -> None:
        self.protocol, self.tokenizer, self.fingerprint = protocol, tokenizer, fingerprint
        self.reference, self.others, self.chains = reference, others, chains
        self._counted: Counted | None = None
        self._baselines: dict[int, dict[str, Any]] = {}
        self._drawn = lru_cache(maxsize=1)(self._draw)
        self._beside = Beside(real, heldout, self._drawn)

    def score(self, ids: np.ndarray) -> dict[str, Any]:
        """Return the object that `evaluate --json` prints for samples (N, L) of ids."""
        reference = self._known().reference
        report = {
            "protocol": self.protocol.name,
            "unit": self.tokenizer.unit,
            "length": reference.length,
            "num_samples": len(ids),
            "num_reference": reference.num_lines,
            "js": named(reference.scores(self._symbols(ids))),
            **self._baselines_at(len(ids)),
            "scores": scores_of(self.tokenizer.canonical(ids), self._beside.real, self._beside),
        }
        self._drawn.cache_clear()  # long lines take much memory
        return report

    def _symbols(self, ids: np.ndarray) -> np.ndarray:
        """Turn rows of ids into rows of the symbols whose n-grams are counted."""
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
        """Return the n-gram scores of `num` real lines and of `num` samples of each Markov chain."""
        reference = counted.reference
        real = counted.others[:num]
        if len(real) < min(num, len(self.others)):
            real = self.others[by_hash(self.others, num)]
        return {
            "num_floor": len(real),
            "floor": named(reference.scores(self._symbols(real))),
            "markov": {
                str(order): named(reference.scores(self._symbols(rows))) for order, rows in self._drawn(num).items()
            },
        }

    def _draw(self, num: int) -> dict[int, np.ndarray]:
        """Draw `num` samples from the Markov chain of each order."""
        length = self.reference.shape[1]
        return {order: chain.sample(num, length, seed=order) for order, chain in self.chains().items()}


def kept_chains(fingerprint: str, rows: Callable[[], np.ndarray], symbols: int) -> Chains:
    """Return Markov chains of order 1 to MAX_ORDER. `rows` returns the rows (N, L); it is called if none are cached."""
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
    """Return a scorer of a run against its own corpus. The n-gram floor comes from the other side."""
    sides = {"train": corpus.train, "heldout": corpus.heldout}
    reference = sides.pop(protocol.against)
    (others,) = sides.values()
    return scorer_of(protocol, corpus, reference, others, corpus.fingerprint)


def other_scorer(protocol: Protocol, corpus: Corpus, rows: np.ndarray) -> Scorer:
    """Return a scorer of a run against other real rows. The n-gram floor comes from the run's own held-out lines."""
    fingerprint = hashlib.sha256(np.sort(row_hashes(rows)).tobytes() + corpus.fingerprint.encode()).hexdigest()
    return scorer_of(protocol, corpus, rows, corpus.heldout, fingerprint)


def scorer_of(
    protocol: Protocol, corpus: Corpus, reference: np.ndarray, others: np.ndarray, fingerprint: str
) -> Scorer:
    """Return a scorer of a run whose corpus is given. The other arguments are those of `Scorer`."""

    def chains() -> Chains:
        return kept_chains(corpus.fingerprint, lambda: corpus.train, corpus.tokenizer.size)

    real = training_lines(corpus)
    return Scorer(protocol, corpus.tokenizer, reference, others, fingerprint, chains, real, corpus.heldout)


def named(scores: dict[int, float]) -> Js:
    """Return scores with their keys as text, as in JSON."""
    return {str(n): value for n, value in scores.items()}


def scalars(reports: Mapping[str, dict[str, Any]]) -> dict[str, float]:
    """Return all scores of reports by protocol, each under SCORE/PROTOCOL: the curves of TensorBoard and curves.png."""
    found = {}
    for name, report in reports.items():
        found |= {f"js-{n}/{name}": value for n, value in report["js"].items()}
        found |= {f"{metric}/{name}": score["value"] for metric, score in report["scores"].items()}
    return found


def table(report: dict[str, Any]) -> str:
    """Return a report as a table, with a sentence that compares the score with Markov chains and real text."""
    sizes = f"{report['num_samples']:,} samples against {report['num_reference']:,} real lines of {report['length']}"
    ns = list(report["js"])
    rows = [("generator", report["js"])]
    if "floor" in report:
        rows += [(f"Markov chain, order {order}", js) for order, js in report["markov"].items()]
        rows += [(f"real text ({report['num_floor']:,} lines)", report["floor"])]
    lines = [f"Jensen-Shannon divergence of n-grams of {report['unit']}, protocol {report['protocol']}: {sizes}"]
    lines.append(f"{'':<26}" + "".join(f"{'JS-' + n:>8}" for n in ns))
    lines += [f"{name:<26}" + "".join(f"{js[n]:>8.3f}" for n in ns) for name, js in rows]
    if report.get("scores"):
        lines += ["", *scores_table(report["scores"]), ""]
    if "floor" in report:
        lines.append(in_words(report))
    return "\n".join(lines)


def in_words(report: dict[str, Any], n: str = "4") -> str:
    """Return a sentence that places the generator between the Markov chains and real text."""
    n = n if n in report["js"] else max(report["js"])
    score, floor = report["js"][n], report["floor"][n]
    worse = [order for order, js in report["markov"].items() if js[n] > score]
    chain = (
        f"better than a Markov chain of order {max(worse)} ({report['markov'][max(worse)][n]:.3f})"
        if worse
        else f"not yet as good as a Markov chain of order 1 ({report['markov']['1'][n]:.3f})"
    )
    return f"In short: JS-{n} is {score:.3f}, {chain}; real lines score {floor:.3f}, the best that can be expected."
