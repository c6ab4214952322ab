"""Markov chains over symbols: the baselines that n-gram scores are read against."""

from __future__ import annotations

import copy

import numpy as np

from seqgan_gp.ngrams import (
    BLOCK,
    MAX_SYMBOLS,
    Counts,
    as_words,
    count,
    find_sorted,
    pack,
    sum_runs,
    symbol_bits,
    without_last,
)


class MarkovChain:
    """A Markov chain over symbols: P(next | previous `order` symbols) as frequent as in its training rows.

    These are the approximations to English of Shannon 1948, "A Mathematical Theory of Communication", section 3.
    The beginning of a line is a context of its own: each row is taken to follow `order` START symbols. A context
    that was never continued in training, because it only ended rows, backs off to the next shorter one, down to
    order 0.

    Args:
        rows: (N, L) integer symbols in [0, symbols), padding included as ordinary symbols.
        order: length of the context, >= 0.
        symbols: size of the alphabet.

    Raises:
        ValueError: the rows are not such an array, or the order is negative or needs more than 128 bits a context.
    """

    def __init__(self, rows: np.ndarray, order: int, symbols: int = MAX_SYMBOLS):
        if order < 0:
            raise ValueError(f"a Markov chain of order {order} does not exist")
        rows = np.asarray(rows)
        self.order = order
        # Only symbols that occur are numbered, which keeps the keys short; START comes after the last.
        self._alphabet = count(rows, 1, symbols).keys.astype(rows.dtype)
        self._start = len(self._alphabet)
        number = np.zeros(int(self._alphabet[-1]) + 1, np.min_scalar_type(self._start))
        number[self._alphabet] = np.arange(self._start)
        padded = np.full((len(rows), order + rows.shape[1]), self._start, number.dtype)
        step = BLOCK // rows.shape[1] + 1
        for i in range(0, len(rows), step):
            padded[i : i + step, order:] = number[rows[i : i + step]]
        self._levels = [_Transitions(count(padded[:, order - k :], k + 1, self._start + 1)) for k in range(order + 1)]

    def sample(self, num: int, length: int, seed: int) -> np.ndarray:
        """Draw `num` lines of `length` symbols: (num, length) of the training rows' dtype, a function of the seed."""
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
    """Chains of order 1..max_order over the same rows; each equals `MarkovChain(rows, order, symbols)`.

    The longest one holds the tables of the shorter ones to back off to, so they cost nothing more.
    """
    longest = MarkovChain(rows, max_order, symbols)
    chains = {order: copy.copy(longest) for order in range(1, max_order + 1)}
    for order, chain in chains.items():
        chain.order = order
    return chains


class _Transitions:
    """What followed each context of k symbols, from the counts of the (k+1)-grams."""

    def __init__(self, grams: Counts):
        self.order = grams.n - 1
        self.bits = symbol_bits(grams.symbols)
        self.contexts, self.totals = sum_runs(without_last(grams.keys, grams.n, self.bits), grams.counts)
        self.before = np.cumsum(self.totals) - self.totals
        self.cumulative = np.cumsum(grams.counts)
        self.symbols = as_words(grams.keys)[:, -1] & ((1 << self.bits) - 1)

    def draw(self, context: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of the contexts (M, k) are known, (M,) bool, and a next symbol for each of those."""
        at, known = find_sorted(self.contexts, pack(context, self.order, self.bits)[:, 0])
        at = at[known]
        rank = self.before[at] + (uniform[known] * self.totals[at]).astype(np.int64)
        return known, self.symbols[np.searchsorted(self.cumulative, rank, side="right")]
