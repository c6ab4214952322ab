"""The n-gram Jensen-Shannon score of generated text.

Lines are rows of integer symbols, shape (N, L), cut and padded to L; padding counts like any other symbol. An n-gram is
a window of n symbols within one row. Its key packs the symbols into one 64-bit word, first symbol highest, or into two
words if one is too short. Keys sort as their n-grams do, and sorted keys stay sorted when their last symbol is cut off,
so one pass over the text serves every n.

The score is defined by Gulrajani et al. 2017, "Improved Training of Wasserstein GANs" (arXiv 1704.00028), section 5.4.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAX_SYMBOLS = 1 << 21  # covers all Unicode code points; six such symbols fit into two words
BLOCK = 1 << 23  # windows counted at a time, which bounds the working memory to about 0.5 GB
SLOTS = 1 << 19  # size of the hash table that removes frequent n-grams before sorting
FORMAT = 1  # version of the files of saved references

Tally = tuple[np.ndarray, np.ndarray]  # sorted distinct keys (D,), and the count of each (D,) int64
Form = Callable[[np.ndarray], np.ndarray]  # rows as they are stored -> rows of the symbols that are counted


@dataclass(frozen=True, eq=False)
class Counts:
    """The frequencies of the n-grams in a set of lines.

    Attributes:
        n: length of the n-grams in symbols.
        symbols: size of the alphabet that keys are packed for. Only counts of equal alphabets can be compared.
        keys: (D,) the distinct n-grams in ascending order, uint64, or 16 big-endian bytes if two words are needed.
        counts: (D,) int64, the count of each.
        total: number of windows, the sum of `counts`.
    """

    n: int
    symbols: int
    keys: np.ndarray
    counts: np.ndarray
    total: int

    def __len__(self) -> int:
        return len(self.keys)


def count(rows: np.ndarray, n: int, symbols: int = MAX_SYMBOLS, form: Form | None = None) -> Counts:
    """Count the n-grams of lines in blocks.

    Args:
        rows: (N, L) integer symbols in [0, symbols), N > 0; they may be mapped from a file, which is read in slices.
        n: window length, 1 <= n <= L.
        symbols: size of the alphabet; a smaller alphabet has shorter keys, which count faster.
        form: turns stored rows into rows of symbols; L is then the length of its results.

    Raises:
        ValueError: the rows are not such an array, or the window does not fit the rows or the key.
    """
    total, found = 0, RunningTally()
    for block in _blocks(rows, n, symbols, form):
        keys = _keys(block, n, symbol_bits(symbols))
        found.add(_tally(keys, n * symbol_bits(symbols)))
        total += len(keys)
    return Counts(n, symbols, *found.sum(), total)


def add_up(a: Counts, b: Counts) -> Counts:
    """Return the counts of the union of two sets of lines with equal n and alphabet."""
    return Counts(a.n, a.symbols, *_merge((a.keys, a.counts), (b.keys, b.counts)), a.total + b.total)


def jensen_shannon(reference: Counts, sample: Counts) -> float:
    """Return the Jensen-Shannon divergence of two n-gram distributions in bits: 0 if equal, 1 if disjoint.

    With p and q the relative frequencies, unsmoothed, and m = (p + q) / 2, it is
    (Lin 1991, "Divergence measures based on the Shannon entropy", section IV, with equal weights)

        JS = 1/2 [sum p log2(p/m) + sum q log2(q/m)]

    For an n-gram of one side only, m is half its frequency, so all such n-grams together add their total frequency.
    The sums run over the shared n-grams only, which are found by looking up the smaller side in the larger.

    Raises:
        ValueError: the two were counted for different n or different alphabets.
    """
    if (reference.n, reference.symbols) != (sample.n, sample.symbols):
        raise ValueError(
            f"{reference.n}-grams of {reference.symbols} symbols do not compare with "
            f"{sample.n}-grams of {sample.symbols}: count both alike"
        )
    small, large = sorted((reference, sample), key=len)
    at, shared = find_sorted(large.keys, small.keys)
    in_small, in_large = small.counts[shared], large.counts[at[shared]]
    p, q = in_small / small.total, in_large / large.total
    m = (p + q) / 2
    # The unshared masses are differences of integers: equal sets score exactly 0, disjoint sets exactly 1.
    alone = (small.total - in_small.sum()) / small.total + (large.total - in_large.sum()) / large.total
    bits = np.sum(p * np.log2(p / m) + q * np.log2(q / m)) + alone
    return float(np.clip(bits / 2, 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class Reference:
    """The n-gram counts of a corpus for n = 1..max_n, to compare many samples with.

    Attributes:
        num_lines: number of lines counted.
        length: L, symbols per line, padding included.
        symbols: size of the alphabet.
        counts: the counts by n.
    """

    num_lines: int
    length: int
    symbols: int
    counts: dict[int, Counts]

    @classmethod
    def count(cls, rows: np.ndarray, max_n: int = 6, symbols: int = MAX_SYMBOLS, form: Form | None = None) -> Reference:
        """Count rows (N, L) for n = 1..max_n in one pass. Arguments and errors are those of `count`."""
        bits, length = symbol_bits(symbols), 0
        longest, ends = RunningTally(), {n: RunningTally() for n in range(1, max_n)}
        for block in _blocks(rows, max_n, symbols, form):
            longest.add(_tally(_keys(block, max_n, bits), max_n * bits))
            for n, found in ends.items():
                found.add(_tally(_keys(block[:, -n:], n, bits), n * bits))
            length = block.shape[1]
        tally = longest.sum()
        counts = {max_n: Counts(max_n, symbols, *tally, len(rows) * (length - max_n + 1))}
        for n in range(max_n - 1, 0, -1):
            # The n-grams are the beginnings of all (n+1)-grams, and the last window of each line.
            beginnings = sum_runs(without_last(tally[0], n + 1, bits), tally[1])
            tally = _merge(beginnings, ends[n].sum())
            counts[n] = Counts(n, symbols, *tally, len(rows) * (length - n + 1))
        return cls(len(rows), length, symbols, dict(sorted(counts.items())))

    def without(self, some: Reference) -> Reference:
        """Return the counts of all lines but those counted in `some`, which must be lines of this corpus."""
        counts = {}
        for n, whole in self.counts.items():
            left = whole.counts.copy()
            left[find_sorted(whole.keys, some.counts[n].keys)[0]] -= some.counts[n].counts
            there = left > 0
            counts[n] = Counts(n, self.symbols, whole.keys[there], left[there], whole.total - some.counts[n].total)
        return Reference(self.num_lines - some.num_lines, self.length, self.symbols, counts)

    def scores(self, rows: np.ndarray) -> dict[int, float]:
        """Return the Jensen-Shannon scores of samples (N, L) against this corpus, JS_n in [0, 1] by n.

        Raises:
            ValueError: the rows differ from the corpus in length, or hold symbols outside its alphabet.
        """
        rows = np.asarray(rows)
        if rows.ndim == 2 and rows.shape[1] != self.length:
            raise ValueError(f"the sample's lines hold {rows.shape[1]} symbols but the reference's {self.length}")
        sample = Reference.count(rows, max(self.counts), self.symbols)
        return {n: jensen_shannon(counts, sample.counts[n]) for n, counts in self.counts.items()}

    def save(self, path: str | Path) -> None:
        """Write the counts to an uncompressed .npz file, in the smallest integer types that hold them."""
        arrays = {"about": np.array([FORMAT, self.num_lines, self.length, self.symbols, max(self.counts)])}
        for n, counts in self.counts.items():
            arrays[f"keys_{n}"] = _narrow(counts.keys)
            arrays[f"counts_{n}"] = _narrow(counts.counts)
        with Path(path).open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Read a file that `save` wrote. Nothing in it is executed, so it need not be trusted.

        Raises:
            ValueError: the file is damaged or is not a saved reference.
        """
        with Path(path).open("rb") as file:
            try:
                return cls._parse(np.load(file, allow_pickle=False))
            except Exception as error:  # on damaged bytes zipfile, ast and numpy raise a dozen kinds of error
                raise ValueError(f"{path} is damaged or is not a saved n-gram reference: {error}") from error

    @classmethod
    def _parse(cls, archive: np.lib.npyio.NpzFile) -> Reference:
        _require(isinstance(archive, np.lib.npyio.NpzFile), "it is no .npz file")
        # Uncompressed members cannot be larger than the file. testzip checks the CRC-32 of each.
        members = archive.zip.infolist()
        _require(all(m.compress_type == zipfile.ZIP_STORED for m in members), "it is compressed")
        _require(archive.zip.testzip() is None, "a checksum does not match")
        about = archive["about"]
        _require(about.shape == (5,) and about.dtype.kind == "i" and about[0] == FORMAT, "its format is unknown")
        num_lines, length, symbols, max_n = (int(value) for value in about[1:])
        sensible = num_lines >= 1 and 1 <= symbols <= MAX_SYMBOLS
        _require(sensible and 1 <= max_n <= min(length, 2 * (64 // symbol_bits(symbols))), "its sizes make no sense")
        names = {"about"} | {f"{kind}_{n}" for kind in ("keys", "counts") for n in range(1, max_n + 1)}
        _require(len(members) == len(names) and set(archive.files) == names, "its members are not those expected")
        counts = {}
        for n in range(1, max_n + 1):
            total = num_lines * (length - n + 1)
            counts[n] = _restore(n, symbols, archive[f"keys_{n}"], archive[f"counts_{n}"], total)
        return cls(num_lines, length, symbols, counts)


def _blocks(rows: np.ndarray, n: int, symbols: int, form: Form | None) -> Iterator[np.ndarray]:
    """Yield checked rows of symbols (M, L) with at most about BLOCK windows."""
    if rows.ndim != 2 or rows.dtype.kind not in "iu" or rows.size == 0:
        raise ValueError(f"expected a non-empty (N, L) array of integers, not {rows.dtype} of shape {rows.shape}")
    if not 1 <= symbols <= MAX_SYMBOLS:
        raise ValueError(f"an alphabet of {symbols} symbols is not between 1 and {MAX_SYMBOLS}")
    length = rows.shape[1] if form is None else form(rows[:1]).shape[1]
    if not 1 <= n <= length:
        raise ValueError(f"{n}-grams do not fit lines of {length} symbols")
    if n > 2 * (64 // symbol_bits(symbols)):
        raise ValueError(f"{n}-grams of {symbols} symbols need more than the 128 bits of a key")
    many = BLOCK // (length - n + 1) + 1
    for first in range(0, len(rows), many):
        block = rows[first : first + many]
        block = block if form is None else form(block)
        low, high = int(block.min()), int(block.max())
        if low < 0 or high >= symbols:
            raise ValueError(f"symbol {low if low < 0 else high} is outside the alphabet of {symbols} symbols")
        yield block


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise ValueError(complaint)


def symbol_bits(symbols: int) -> int:
    """Return the number of bits per symbol of an alphabet."""
    return max(1, (symbols - 1).bit_length())


def pack(block: np.ndarray, n: int, bits: int) -> np.ndarray:
    """Return the keys of all windows: (M, L) uint64 -> (M, L - n + 1)."""
    fit = 64 // bits
    windows = block.shape[1] - n + 1
    if n <= fit:
        return _pack_word(block, n, bits)
    high, low = _pack_word(block, fit, bits), _pack_word(block, n - fit, bits)
    return _two_words(np.stack([high[:, :windows], low[:, -windows:]], axis=-1))[..., 0]


def _pack_word(block: np.ndarray, n: int, bits: int) -> np.ndarray:
    if n < 2:
        return block if n else np.zeros((len(block), block.shape[1] + 1), np.uint64)
    left = _pack_word(block, n - n // 2, bits)
    right = _pack_word(block, n // 2, bits) if n % 2 else left
    windows = block.shape[1] - n + 1
    return left[:, :windows] << (n // 2 * bits) | right[:, -windows:]


def _two_words(words: np.ndarray) -> np.ndarray:
    """View (..., 2) uint64 as (..., 1) byte strings, which numpy sorts, searches and compares like numbers."""
    return words.astype(">u8").view("S16")


def as_words(keys: np.ndarray) -> np.ndarray:
    """Return keys (D,) as words (D, 1 or 2) uint64."""
    return keys.view(">u8").astype(np.uint64).reshape(-1, 2) if keys.dtype.kind == "S" else keys[:, None]


def without_last(keys: np.ndarray, n: int, bits: int) -> np.ndarray:
    """Cut the last symbol off the keys of n-grams. Sorted keys stay sorted, but may repeat."""
    words = as_words(keys)
    fit = 64 // bits
    if n == fit + 1:
        return words[:, 0]
    words = np.concatenate([words[:, :-1], words[:, -1:] >> bits], axis=1)
    return words[:, 0] if n <= fit else _two_words(words)[:, 0]


def _keys(block: np.ndarray, n: int, bits: int) -> np.ndarray:
    """Return the keys of all windows of rows (M, L): (M * (L - n + 1),)."""
    windows, few = block.shape[1] - n + 1, (1 << 17) // block.shape[1] + 1  # so few rows fit into the processor's cache
    keys = np.empty((len(block), windows), np.uint64 if n <= 64 // bits else "S16")
    for i in range(0, len(block), few):
        keys[i : i + few] = pack(block[i : i + few].astype(np.uint64), n, bits)
    return keys.ravel()


class RunningTally:
    """A running sum of tallies. It merges tallies of similar size only, so the total work is O(D log D)."""

    def __init__(self) -> None:
        self.tallies: list[Tally] = []

    def add(self, tally: Tally) -> None:
        """Add a tally."""
        self.tallies.append(tally)
        while len(self.tallies) > 1 and 2 * len(self.tallies[-1][0]) > len(self.tallies[-2][0]):
            self.tallies.append(_merge(self.tallies.pop(), self.tallies.pop()))

    def sum(self) -> Tally:
        """Return the sum of all tallies."""
        return _merge(*self.tallies) if len(self.tallies) > 1 else self.tallies[0]


def _tally(keys: np.ndarray, key_bits: int) -> Tally:
    """Count keys (W,) in any order. Their values have at most `key_bits` bits."""
    if len(keys) >> key_bits:  # a table of all possible keys is smaller than the keys themselves
        counts = np.bincount(keys.view(np.int64))
        seen = np.flatnonzero(counts)
        return seen.astype(np.uint64), counts[seen]
    if len(keys) < SLOTS:
        return sum_runs(np.sort(keys), np.ones(len(keys), np.int64))
    # Few distinct n-grams make up most windows of text. The key that is written last owns its slot of a hash table;
    # count the windows per slot, and sort only the owners and the keys that own none. Twice as fast as sorting all.
    slots = _slots(keys)
    owners = np.empty(SLOTS, keys.dtype)
    owners[slots] = keys
    other = np.flatnonzero(owners.take(slots, mode="clip") != keys)  # "clip" avoids a check of the indices
    counts = np.bincount(slots, minlength=SLOTS) - np.bincount(slots[other], minlength=SLOTS)
    frequent = np.sort(owners[counts > 0])
    rest = sum_runs(np.sort(keys[other]), np.ones(len(other), np.int64))
    return _merge((frequent, counts[_slots(frequent)]), rest)


def _slots(keys: np.ndarray) -> np.ndarray:
    """Hash each key to a slot (Fibonacci hashing: Knuth, The Art of Computer Programming 3, section 6.4)."""
    words = keys.view(np.uint64).reshape(len(keys), keys.itemsize // 8)
    mixed = words[:, 0] * 0x9E3779B97F4A7C15
    for word in words.T[1:]:
        mixed = (mixed + word) * 0x9E3779B97F4A7C15
    mixed >>= 64 - (SLOTS - 1).bit_length()
    return mixed.view(np.int64)


def _merge(*tallies: Tally) -> Tally:
    """Return the sum of tallies."""
    keys = np.concatenate([keys for keys, _ in tallies])
    order = np.argsort(keys, kind="stable")  # fast, as each tally is sorted already
    return sum_runs(keys[order], np.concatenate([counts for _, counts in tallies])[order])


def sum_runs(keys: np.ndarray, counts: np.ndarray) -> Tally:
    """Add the counts of equal neighbouring keys. Sorted keys become distinct."""
    first = np.ones(len(keys), bool)
    first[1:] = keys[1:] != keys[:-1]
    starts = np.flatnonzero(first)
    return keys[starts], np.add.reduceat(counts, starts)


def find_sorted(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each wanted key among sorted keys, and whether the key is there: (W,) and (W,) bool."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


def _narrow(values: np.ndarray) -> np.ndarray:
    return values if values.dtype.kind == "S" else values.astype(np.min_scalar_type(int(values.max())))


def _restore(n: int, symbols: int, keys: np.ndarray, counts: np.ndarray, total: int) -> Counts:
    """Return counts read from a file.

    Raises:
        ValueError: they are inconsistent.
    """
    bits = symbol_bits(symbols)
    fit = 64 // bits
    _require(keys.ndim == 1 and len(keys) > 0 and keys.shape == counts.shape, f"its {n}-grams have a wrong shape")
    kind_fits = keys.dtype.kind == "u" if n <= fit else keys.dtype == "S16"
    _require(kind_fits and counts.dtype.kind == "u", f"its {n}-grams have a wrong type")
    keys = keys.astype(np.uint64) if n <= fit else keys
    _require(bool(np.all(keys[1:] > keys[:-1])), f"its {n}-grams are not in order")
    for word, held in zip(as_words(keys).T, (min(n, fit), n - fit), strict=False):
        _require(int(word.max()) >> (bits * held) == 0, f"its {n}-grams hold unknown symbols")
    # A float64 sum cannot overflow, and is exact if it can equal the total.
    _require(total < 1 << 53 and counts.min() > 0, f"its {n}-grams have impossible counts")
    _require(counts.sum(dtype=np.float64) == total, f"its {n}-gram counts do not add up")
    return Counts(n, symbols, keys, counts.astype(np.int64), total)
