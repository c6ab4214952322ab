"""Several corpora as one: their rows stay in the files where each keeps its own, and are found by arithmetic."""

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

MOST_UNKNOWN = 0.02  # of the symbols of a corpus that the vocabulary of the first may lack


class JoinedRows(NDArrayOperatorsMixin):
    """Arrays of rows, (N1, L), (N2, L), ..., that are read as if they were one, (N1 + N2 + ..., L).

    Rows that are asked for, by a slice, an array of indices or of booleans, are copied; nothing else is. What is done
    to the whole, as in `rows == 0` or `np.asarray(rows)`, copies all of it.
    """

    def __init__(self, parts: Sequence[np.ndarray]):
        self.parts = list(parts)
        self.starts = np.array(list(accumulate(map(len, parts), initial=0)))
        self.dtype = parts[0].dtype
        self.shape = (int(self.starts[-1]), *parts[0].shape[1:])
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        """The rows at indices, negative ones from the end; `rows[key, columns]` cuts columns out of them."""
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
            rows[here] = self.parts[place][indices[here] - self.starts[place]]
        return rows.reshape(*key.shape, *self.shape[1:])

    def between(self, start: int, stop: int) -> np.ndarray:
        """The rows from `start` to before `stop`; those of one part are not copied."""
        cuts = [
            part[max(start - first, 0) : max(stop - first, 0)]
            for first, part in zip(self.starts.tolist(), self.parts, strict=False)
            if start < first + len(part) and stop > first
        ]
        return cuts[0] if len(cuts) == 1 else np.concatenate([self.parts[0][:0], *cuts])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate(self.parts).astype(dtype or self.dtype, copy=False)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **how: Any) -> Any:
        whole = [np.asarray(value) if isinstance(value, JoinedRows) else value for value in inputs]
        return getattr(ufunc, method)(*whole, **how)

    def astype(self, dtype: Any) -> np.ndarray:
        """All rows, copied."""
        rows = np.empty(self.shape, dtype)
        for start, part in zip(self.starts, self.parts, strict=False):
            rows[start : start + len(part)] = part
        return rows

    def tolist(self) -> list:
        """All rows."""
        return [row for part in self.parts for row in part.tolist()]


def several(spec: str) -> list[str]:
    """The specs in a list with commas; one alone where a file has that name, or a pattern matches as it stands."""
    specs = spec.split(",")
    if len(specs) == 1:
        return specs
    if "\0" not in spec:
        path = os.path.expanduser(spec)  # noqa: PTH111 (Path.expanduser raises for an unknown ~user)
        try:
            if os.path.lexists(path) or (glob.has_magic(path) and glob.glob(path, recursive=True)):  # noqa: PTH207
                return [spec]
        except OSError:  # a name that is too long
            pass
    if not all(specs):
        raise DataError(f"{named('data', printable(spec))} names nothing between two commas: {give_lines()}")
    return specs


def classes_of_all(classes: list[tuple[str, ...]]) -> tuple[str, ...]:
    """The names of the classes of all; in the order that they have where all have the same."""
    if all(names == classes[0] for names in classes):
        return classes[0]
    return tuple(sorted_names({name for names in classes for name in names}))


def labels_of_all(labels: list[np.ndarray], classes: list[tuple[str, ...]], names: tuple[str, ...]) -> np.ndarray:
    """The labels of all, (N,) int16, each by its place in `names`."""
    if not names:
        return np.broadcast_to(np.int16(UNKNOWN), (sum(map(len, labels)),))
    places = {name: place for place, name in enumerate(names)}
    tables = [np.array([*(places[name] for name in own), UNKNOWN], np.int16) for own in classes]
    return np.concatenate([table[part] for table, part in zip(tables, labels, strict=True)])


def counts_of_all(counts: list[dict[str, float]]) -> dict[str, float]:
    """The sums; of "unknown_share" the mean over all rows."""
    rows = [count["train"] + count["heldout"] for count in counts]
    total = {key: sum(count[key] for count in counts) for key in counts[0]}
    share = sum(count["unknown_share"] * own for count, own in zip(counts, rows, strict=True)) / sum(rows)
    return total | {"unknown_share": share}


def fingerprint_of_all(fingerprints: list[str]) -> str:
    """That of corpora of such fingerprints, in this order."""
    return hashlib.sha256(json.dumps({"joined": fingerprints}).encode()).hexdigest()
