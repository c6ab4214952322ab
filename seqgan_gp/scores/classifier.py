"""A classifier of lines by class: logistic regression over n-grams, trained in seconds on training lines.

Naive Bayes over the same n-grams would be less code, but it treats overlapping n-grams as independent evidence, and
makes many more errors on the built-in sentences.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_core.errors import DataError
from gan_core.evaluation.label_scores import agreement
from seqgan_gp.corpus.corpus import mixed
from seqgan_gp.scores.ngrams import pack
from seqgan_gp.tokenizers.base import PAD

MAX_N = 4  # longest n-gram: four symbols of 16 bits fill one word
SLOTS = 1 << 16  # largest size of the hash table of n-grams
WEIGHTS = 1 << 22  # largest number of weights, which limits the slots if there are many classes
STEPS, BATCH, RATE = 600, 512, 0.1
CELLS = 1 << 16  # symbols per batch


@dataclass(frozen=True, eq=False)
class NgramClassifier:
    """p(class | line) is the softmax of the summed weights of the line's n-grams, n = 1..4, hashed to slots.

    A line ends at its first PAD, and no n-gram reaches beyond it. The beginning of a line counts as a symbol.

    Attributes:
        weights: (slots, K) float32. No n-gram has slot 0.
        offset: (K,) logarithm of each class's share of the training lines. It is subtracted from the logits, so that
            all classes are equally likely a priori and rare ones are not mistaken for frequent ones (Menon et al. 2021,
            arXiv 2007.07314, section 4.1). Infinite for a class without training lines, which is never predicted.
    """

    weights: np.ndarray
    offset: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray, labels: np.ndarray, num_classes: int, seed: int = 0) -> "NgramClassifier":
        """Fit a classifier to rows (N, L) of ids and labels (N,), negative if unknown, in a fixed number of steps.

        The optimiser is Adagrad (Duchi et al. 2011) with a rate that falls to 0. Equal seeds give equal classifiers.

        Raises:
            DataError: the labels show fewer than two classes.
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
        """Return the most probable class of each row (N, L) of ids: (N,) int64."""
        step = max(1, CELLS // rows.shape[1])
        found = [
            (gram_counts(rows[start : start + step], len(self.weights)) @ self.weights - self.offset).argmax(1)
            for start in range(0, len(rows), step)
        ]
        return np.concatenate([np.empty(0, np.int64), *found])

    def accuracy(self, rows: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
        """Return the "accuracy" on labelled rows, and the mean of the accuracies of all classes, "balanced"."""
        scores = agreement(labels, self.predict(rows), [str(label) for label in range(len(self.offset))])
        return {name: scores[name] for name in ("accuracy", "balanced")}


def num_slots(num_classes: int) -> int:
    """Return the number of slots for so many classes, a power of two."""
    return min(SLOTS, 1 << ((WEIGHTS // num_classes).bit_length() - 1))


def gram_counts(rows: np.ndarray, slots: int) -> Any:
    """Count the n-grams of each slot in rows (N, L) of ids: a sparse (N, slots) float32 array."""
    from scipy.sparse import csr_array

    places = gram_slots(rows, slots)
    starts = np.arange(0, places.size + 1, places.shape[1])
    return csr_array(((places > 0).ravel().astype(np.float32), places.ravel(), starts), (len(rows), slots))


def gram_slots(rows: np.ndarray, slots: int) -> np.ndarray:
    """Return the slots of all n-grams of rows (N, L) of ids: (N, W), 0 for windows that reach beyond the text.

    A PAD before each row stands for its beginning. The hash includes n, so that n-grams with PAD differ from shorter
    ones.
    """
    live = np.logical_and.accumulate(rows != PAD, axis=1)
    live = np.concatenate([np.ones((len(rows), 1), bool), live], axis=1)
    text = np.concatenate([np.full((len(rows), 1), PAD, np.uint64), rows.astype(np.uint64)], axis=1)
    shift = np.uint64(64 - (slots - 1).bit_length())
    places = []
    for n in range(1, min(MAX_N, text.shape[1]) + 1):
        place = mixed(pack(text, n, 16) + mixed(np.array([n], np.uint64))) >> shift
        # Slot 0 is reserved for windows beyond the text: an n-gram hashed to it moves to slot 1.
        places.append(np.where(live[:, n - 1 :], np.maximum(place, np.uint64(1)), 0).astype(np.int64))
    return np.concatenate(places, axis=1)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of each row (N, K)."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
