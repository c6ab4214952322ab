"""`RealLines`: the real lines that samples are compared with, at any number of lines."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_core.storage.cache import cache_root, kept
from gan_core.storage.sealed import DamagedError, verify
from seqgan_gp.corpus.corpus import Corpus, row_hashes
from seqgan_gp.lines import END, code_texts
from seqgan_gp.scores.ngrams import find_sorted
from seqgan_gp.tokenizers.base import PAD, text_lengths

FORMAT = 1  # of the cached facts: raise it with any change to them
BLOCK = 1 << 16  # rows read at a time


class Facts(NamedTuple):
    """Facts about real lines.

    hashes: the sorted hashes of the lines, uint64. mean_length: the mean number of symbols per line.
    """

    hashes: np.ndarray
    mean_length: float


@dataclass(frozen=True, eq=False)
class RealLines:
    """The real lines that samples are compared with: a run's training lines, or for a file all lines of `data`.

    Attributes:
        read: returns all rows. Prefer `rows`, which calls it once.
        pad: the symbol that fills a row after the end of its line.
        texts: turns rows (M, L) into lines of text.
        fingerprint: identifies the rows in the cache; "" to keep nothing in the cache.
    """

    read: Callable[[], np.ndarray]
    pad: int
    texts: Callable[[np.ndarray], list[str]]
    fingerprint: str = ""

    @cached_property
    def rows(self) -> np.ndarray:
        """All rows (N, L). They may be ten million in a file: read slices, and not once per evaluation."""
        return self.read()

    @cached_property
    def facts(self) -> Facts:
        """Facts about all rows, from the cache if it holds them. They take one pass, and 8 bytes per row."""
        if not self.fingerprint:
            return self._find()
        about = {"fingerprint": self.fingerprint, "format": FORMAT}

        def read(folder: Path) -> Facts | None:
            try:
                if not about.items() <= verify(folder).items():
                    return None
                hashes = np.load(folder / "hashes.npy", mmap_mode="r", allow_pickle=False)
                return Facts(hashes, json.loads((folder / "facts.json").read_text())["mean_length"])
            except (DamagedError, OSError, ValueError, KeyError):
                return None

        def write(folder: Path) -> None:
            found = self._find()
            np.save(folder / "hashes.npy", found.hashes)
            (folder / "facts.json").write_text(json.dumps({"mean_length": found.mean_length}))

        return kept(cache_root(None), f"lines-{self.fingerprint[:24]}", read, write, **about)

    def _find(self) -> Facts:
        rows, total = self.rows, 0
        hashes = np.empty(len(rows), np.uint64)
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            hashes[start : start + BLOCK] = row_hashes(block)
            total += int(self.lengths(block).sum())
        hashes.sort()
        return Facts(hashes, total / len(rows))

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of symbols before the padding of each row (M, L): (M,)."""
        return text_lengths(rows, self.pad)

    def hold(self, rows: np.ndarray) -> np.ndarray:
        """Return whether each row (M, L) equals a real line: (M,) bool."""
        return find_sorted(self.facts.hashes, row_hashes(rows))[1]


def training_lines(corpus: Corpus) -> RealLines:
    """Return the training lines of a corpus."""
    return RealLines(lambda: corpus.train, PAD, corpus.tokenizer.decode, corpus.fingerprint)


def code_lines(read: Callable[[], np.ndarray], fingerprint: str = "") -> RealLines:
    """Return lines of code points that are padded with END, see `plain_rows`."""
    return RealLines(read, END, code_texts, fingerprint)


def by_hash(rows: np.ndarray, num: int) -> np.ndarray:
    """Return the indices of the `num` rows with the smallest hashes, smallest first: equal on every machine.

    If there are fewer rows, return the indices of all. A smaller `num` gives the beginning of the same list.
    """
    hashes = row_hashes(rows)
    if num < len(hashes):  # sort only the candidates
        near = np.flatnonzero(hashes <= np.partition(hashes, num)[num])
        return near[np.argsort(hashes[near], kind="stable")[:num]]
    return np.argsort(hashes, kind="stable")
