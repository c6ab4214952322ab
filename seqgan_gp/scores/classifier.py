"""A held-out judge of what class a line is of: logistic regression over its n-grams, trained in seconds.

Naive Bayes over the same n-grams would be less code, but n-grams overlap, and it counts each overlap as new evidence:
on the built-in sentences it makes many more errors.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_core.errors import DataError
from gan_core.evaluation.label_scores import agreement
from seqgan_gp.corpus.corpus import mixed
from seqgan_gp.scores.ngrams import pack
from seqgan_gp.tokenizers.base import PAD

MAX_N = 4  # the longest n-gram: four symbols of 16 bits fill one word
SLOTS = 1 << 16  # of the hash table of n-grams, at most
WEIGHTS = 1 << 22  # at most: many classes have fewer slots
STEPS, BATCH, RATE = 600, 512, 0.1
CELLS = 1 << 16  # symbols of a batch


@dataclass(frozen=True, eq=False)
class NgramClassifier:
    """p(class | line) is the softmax of the sum of the weights of the line's n-grams, n = 1..4, by their hash.

    A line ends at its first PAD, and n-grams do not reach beyond; its beginning counts as a symbol.

    weights: (slots, K) float32; slot 0 is that of no n-gram.
    offset: (K,) the logarithm of each class's share of the training lines, which is taken away again: every class is
        as likely as any other, so that a rare one is not taken for a frequent one (Menon et al. 2021, arXiv
        2007.07314, section 4.1). Infinite where a class had none: it is never found.
    """

    weights: np.ndarray
    offset: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray, labels: np.ndarray, num_classes: int, seed: int = 0) -> "NgramClassifier":
        """Learn from rows (N, L) of ids and their labels (N,), negative where unknown, in a fixed number of steps.

        Adagrad (Duchi et al. 2011) with a rate that falls to 0. The same seed gives the same classifier.

        Raises:
            DataError: fewer than two classes are there to be told apart.
        """
        known = np.flatnonzero(labels >= 0)
        counts = np.bincount(labels[known], minlength=num_classes)
        if np.count_nonzero(counts) < 2:
            raise DataError("the training lines show fewer than two classes to tell apart: label more of them")
        weights = np.zeros((num_slots(num_classes), num_classes), np.float32)
        squares = np.full_like(weights, 1e-6)
        rng = np.random.default_rng(seed)
        size = min(BATCH, max(1, CELLS // rows.shape[1]), len(known))
        order = known[:0]
        for step in range(STEPS):
            if len(order) < size:
                order = np.concatenate([order, rng.permutation(known)])
            chosen, order = order[:size], order[size:]
            grams = gram_counts(rows[chosen], len(weights))
            error = softmax(grams @ weights)
            error[np.arange(size), labels[chosen]] -= 1
            gradient = grams.T @ (error / size)
            squares += gradient * gradient
            weights -= RATE * (1 - step / STEPS) * gradient / np.sqrt(squares)
        with np.errstate(divide="ignore"):
            shares = np.log(counts / counts.sum())
        return cls(weights, np.where(counts > 0, shares, np.inf).astype(np.float32))

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The likeliest class of each row (N, L) of ids: (N,) int64."""
        step = max(1, CELLS // rows.shape[1])
        found = [
            (gram_counts(rows[start : start + step], len(self.weights)) @ self.weights - self.offset).argmax(1)
            for start in range(0, len(rows), step)
        ]
        return np.concatenate([np.empty(0, np.int64), *found])

    def accuracy(self, rows: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
        """The share of labelled rows it is right about, "accuracy", and the mean of that of each class, "balanced"."""
        scores = agreement(labels, self.predict(rows), [str(label) for label in range(len(self.offset))])
        return {name: scores[name] for name in ("accuracy", "balanced")}


def num_slots(num_classes: int) -> int:
    """How many slots there are for so many classes: a power of two."""
    return min(SLOTS, 1 << ((WEIGHTS // num_classes).bit_length() - 1))


def gram_counts(rows: np.ndarray, slots: int) -> Any:
    """How often the n-grams of each slot occur in rows (N, L) of ids: a sparse (N, slots) float32 array."""
    from scipy.sparse import csr_array

    places = gram_slots(rows, slots)
    starts = np.arange(0, places.size + 1, places.shape[1])
    return csr_array(((places > 0).ravel().astype(np.float32), places.ravel(), starts), (len(rows), slots))


def gram_slots(rows: np.ndarray, slots: int) -> np.ndarray:
    """The slots of all n-grams of rows (N, L) of ids, one a window: (N, W), 0 where a window reaches beyond the text.

    PAD before each row stands for its beginning. The length goes into the hash: a beginning has the key of no n-gram.
    """
    live = np.logical_and.accumulate(rows != PAD, axis=1)
    live = np.concatenate([np.ones((len(rows), 1), bool), live], axis=1)
    text = np.concatenate([np.full((len(rows), 1), PAD, np.uint64), rows.astype(np.uint64)], axis=1)
    shift = np.uint64(64 - (slots - 1).bit_length())
    places = []
    for n in range(1, min(MAX_N, text.shape[1]) + 1):
        place = mixed(pack(text, n, 16) + mixed(np.array([n], np.uint64))) >> shift
        # Slot 0 is for what lies beyond the text alone: an n-gram that is hashed to it goes to the next.
        places.append(np.where(live[:, n - 1 :], np.maximum(place, np.uint64(1)), 0).astype(np.int64))
    return np.concatenate(places, axis=1)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Of each row (N, K)."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
