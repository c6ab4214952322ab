"""Markov chains over symbols, the baselines of all text scores."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np

from seqgan_gp.scores.ngrams import (
    MAX_SYMBOLS,
    Reference,
    add_up,
    as_words,
    count,
    find_sorted,
    pack,
    sum_runs,
    symbol_bits,
    without_last,
)

Chains = dict[int, "MarkovChain"]  # by order


class MarkovChain:
    """A Markov chain over symbols: P(next | previous `order` symbols) is the frequency in its training rows.

    Shannon 1948, "A Mathematical Theory of Communication", section 3, approximates English so. The beginning of a line
    is a context of its own: each row is preceded by `order` START symbols. A context that occurs only at the ends of
    rows, and so has no continuation, backs off to the next shorter context, down to order 0.

    Args:
        rows: (N, L) integer symbols in [0, symbols); padding is an ordinary symbol.
        order: length of the context, >= 0.
        symbols: size of the alphabet.

    Raises:
        ValueError: the rows are not such an array, or the order is negative or needs contexts of more than 128 bits.
    """

    def __init__(self, rows: np.ndarray, order: int, symbols: int = MAX_SYMBOLS):
        if order < 0:
            raise ValueError(f"a Markov chain of order {order} does not exist")
        # Number only the symbols that occur, to keep the keys short; START is the next number.
        self._know(order, count(rows, 1, symbols).keys.astype(rows.dtype))
        start = self._start
        number = np.zeros(int(self._alphabet[-1]) + 1, np.min_scalar_type(start))
        number[self._alphabet] = np.arange(start)
        # The (k+1)-grams of rows after k STARTs are the rows' own ones, and those that begin with a START.
        within = Reference.count(rows, min(order + 1, rows.shape[1]), start + 1, number.__getitem__).counts
        for k in range(order + 1):
            grams = within.get(k + 1)
            if k:

                def behind_starts(block: np.ndarray, k: int = k) -> np.ndarray:
                    return np.pad(number[block[:, :k]], ((0, 0), (k, 0)), constant_values=start)

                beginnings = count(rows, k + 1, start + 1, behind_starts)
                grams = beginnings if grams is None else add_up(beginnings, grams)
            assert grams is not None
            self._levels.append(_Transitions(grams.keys, grams.counts, k, symbol_bits(start + 1)))

    def _know(self, order: int, alphabet: np.ndarray) -> None:
        self.order, self._alphabet, self._start = order, alphabet, len(alphabet)
        self._levels: list[_Transitions] = []

    def save(self, path: Path) -> None:
        """Write the chain to one .npz file."""
        tables = {f"{name}_{k}": value for k, level in enumerate(self._levels) for name, value in level.table().items()}
        with path.open("wb") as file:
            np.savez(file, alphabet=self._alphabet, **tables)

    @classmethod
    def load(cls, path: Path) -> MarkovChain:
        """Read what `save` wrote.

        Raises:
            OSError, ValueError, KeyError: the file is not a saved chain. Its folder's manifest detects changes.
        """
        chain = cls.__new__(cls)
        with np.load(path, allow_pickle=False) as arrays:
            order = (len(arrays.files) - 1) // 2 - 1
            chain._know(order, arrays["alphabet"])
            bits = symbol_bits(chain._start + 1)
            chain._levels += [
                _Transitions(arrays[f"keys_{k}"], arrays[f"counts_{k}"], k, bits) for k in range(order + 1)
            ]
        return chain

    def sample(self, num: int, length: int, seed: int) -> np.ndarray:
        """Draw `num` lines, (num, length) symbols in the training rows' dtype. Equal seeds give equal lines."""
        generator = np.random.default_rng(seed)
        line = np.full((num, self.order + length), self._start, np.uint64)
        for end in range(self.order, self.order + length):
            line[:, end] = self._next(line[:, end - self.order : end], generator.random(num))
        return self._alphabet[line[:, self.order :]]

    def _next(self, context: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        symbol = np.empty(len(context), np.uint64)
        waiting = np.arange(len(context))
        for order in range(self.order, -1, -1):
            suffix = context[waiting, self.order - order :]
            found, drawn = self._levels[order].draw(suffix, uniform[waiting])
            symbol[waiting[found]] = drawn
            waiting = waiting[~found]
        return symbol


def markov_chains(rows: np.ndarray, max_order: int, symbols: int = MAX_SYMBOLS) -> dict[int, MarkovChain]:
    """Return chains of order 1..max_order over the same rows; each equals `MarkovChain(rows, order, symbols)`.

    The longest chain backs off to the tables of the shorter ones, so the shorter chains cost nothing extra.
    """
    return shorter_too(MarkovChain(rows, max_order, symbols))


def shorter_too(longest: MarkovChain) -> dict[int, MarkovChain]:
    """Return a chain and the chains of every lower order from 1, by order."""
    chains = {order: copy.copy(longest) for order in range(1, longest.order + 1)}
    for order, chain in chains.items():
        chain.order = order
    return chains


class _Transitions:
    """The continuations of each context of k symbols, from the counts of (k+1)-grams: keys (D,) and counts (D,)."""

    def __init__(self, keys: np.ndarray, counts: np.ndarray, order: int, bits: int):
        self.order, self.bits = order, bits
        self.keys, self.cumulative = keys, np.cumsum(counts, dtype=np.int64)
        self.contexts, self.totals = sum_runs(without_last(keys, order + 1, bits), counts)
        self.before = np.cumsum(self.totals) - self.totals

    def table(self) -> dict[str, np.ndarray]:
        """Return the keys and counts of the (k+1)-grams."""
        return {"keys": self.keys, "counts": np.diff(self.cumulative, prepend=0)}

    def draw(self, context: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which of the contexts (M, k) are known, (M,) bool, and one drawn symbol for each known context."""
        at, known = find_sorted(self.contexts, pack(context, self.order, self.bits)[:, 0])
        at = at[known]
        rank = self.before[at] + (uniform[known] * self.totals[at]).astype(np.int64)
        drawn = self.keys[np.searchsorted(self.cumulative, rank, side="right")]
        return known, as_words(drawn)[:, -1] & ((1 << self.bits) - 1)
