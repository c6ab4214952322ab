"""Several corpora as one. The rows stay in the files of their corpora; `JoinedRows` addresses them by index."""

import glob
import hashlib
import json
import os
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from gan_core.errors import DataError, named
from gan_core.labels import UNKNOWN
from gan_core.text import printable
from seqgan_gp.sources.base import give_lines
from seqgan_gp.sources.labelled import sorted_names

MOST_UNKNOWN = 0.02  # largest share of a corpus's symbols that may be missing in the vocabulary of the first corpus


class JoinedRows(NDArrayOperatorsMixin):
    """A read-only concatenation of arrays (N1, L), (N2, L), ... without a copy: (N1 + N2 + ..., L).

    Indexing by a slice, by indices or by booleans copies the selected rows only. Operations on the whole, such as
    `rows == 0` or `np.asarray(rows)`, copy all rows.
    """

    def __init__(self, arrays: Sequence[np.ndarray]):
        self.arrays = list(arrays)
        self.starts = np.array(list(accumulate(map(len, arrays), initial=0)))
        self.dtype = arrays[0].dtype
        self.shape = (int(self.starts[-1]), *arrays[0].shape[1:])
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return rows by index, slice or mask, as numpy does; `rows[key, columns]` selects columns of them."""
        if isinstance(key, tuple):
            return self[key[0]][(slice(None), *key[1:]) if np.ndim(key[0]) or isinstance(key[0], slice) else key[1:]]
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self.between(start, stop)
            key = np.arange(start, stop, step)
        key = np.asarray(key)
        if key.dtype == bool:
            key = np.flatnonzero(key)
        indices = np.where(key < 0, key + len(self), key).ravel()
        if indices.size and not (indices.min() >= 0 and indices.max() < len(self)):
            raise IndexError(f"rows {key} of {len(self)}")
        rows = np.empty((len(indices), *self.shape[1:]), self.dtype)
        places = np.searchsorted(self.starts, indices, side="right") - 1
        for place in np.unique(places).tolist():
            here = places == place
            rows[here] = self.arrays[place][indices[here] - self.starts[place]]
        return rows.reshape(*key.shape, *self.shape[1:])

    def between(self, start: int, stop: int) -> np.ndarray:
        """Return the rows start, ..., stop - 1; a view if they lie in one array."""
        cuts = [
            array[max(start - first, 0) : max(stop - first, 0)]
            for first, array in zip(self.starts.tolist(), self.arrays, strict=False)
            if start < first + len(array) and stop > first
        ]
        return cuts[0] if len(cuts) == 1 else np.concatenate([self.arrays[0][:0], *cuts])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate(self.arrays).astype(dtype or self.dtype, copy=False)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **how: Any) -> Any:
        whole = [np.asarray(value) if isinstance(value, JoinedRows) else value for value in inputs]
        return getattr(ufunc, method)(*whole, **how)

    def astype(self, dtype: Any) -> np.ndarray:
        """Return a copy of all rows in another dtype."""
        rows = np.empty(self.shape, dtype)
        for start, array in zip(self.starts, self.arrays, strict=False):
            rows[start : start + len(array)] = array
        return rows

    def tolist(self) -> list:
        """Return all rows as nested lists."""
        return [row for array in self.arrays for row in array.tolist()]


def several(spec: str) -> list[str]:
    """Split the option `data` at its commas, unless a file has that whole name or it is a pattern that matches.

    Raises:
        DataError: there is nothing between two commas.
    """
    specs = spec.split(",")
    if len(specs) == 1:
        return specs
    if "\0" not in spec:
        path = os.path.expanduser(spec)  # noqa: PTH111 (Path.expanduser raises for an unknown ~user)
        try:
            if os.path.lexists(path) or (glob.has_magic(path) and glob.glob(path, recursive=True)):  # noqa: PTH207
                return [spec]
        except OSError:  # the name is too long for a file
            pass
    if not all(specs):
        raise DataError(f"{named('data', printable(spec))} names nothing between two commas: {give_lines()}")
    return specs


def classes_of_all(classes: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the class names of all corpora: sorted, or in their own order if all corpora have the same."""
    if all(names == classes[0] for names in classes):
        return classes[0]
    return tuple(sorted_names({name for names in classes for name in names}))


def labels_of_all(labels: list[np.ndarray], classes: list[tuple[str, ...]], names: tuple[str, ...]) -> np.ndarray:
    """Return the labels of all corpora, (N,) int16, as indices into `names`.

    labels: the labels of each corpus, as indices into its own `classes`.
    """
    if not names:
        return np.broadcast_to(np.int16(UNKNOWN), (sum(map(len, labels)),))
    places = {name: place for place, name in enumerate(names)}
    tables = [np.array([*(places[name] for name in own), UNKNOWN], np.int16) for own in classes]
    return np.concatenate([table[own] for table, own in zip(tables, labels, strict=True)])


def counts_of_all(counts: list[dict[str, float]]) -> dict[str, float]:
    """Return the sums of the counts of all corpora, and the mean of "unknown_share" weighted by rows."""
    rows = [count["train"] + count["heldout"] for count in counts]
    total = {key: sum(count[key] for count in counts) for key in counts[0]}
    share = sum(count["unknown_share"] * own for count, own in zip(counts, rows, strict=True)) / sum(rows)
    return total | {"unknown_share": share}


def fingerprint_of_all(fingerprints: list[str]) -> str:
    """Return the fingerprint of corpora joined in this order."""
    return hashlib.sha256(json.dumps({"joined": fingerprints}).encode()).hexdigest()
