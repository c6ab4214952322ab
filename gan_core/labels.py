"""The classes of a data set: their names, the number of training examples in each, and hidden labels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_core.errors import CheckpointError, DataError, UsageError, named
from gan_core.storage.inputs import read_limited
from gan_core.text import printable

UNKNOWN = -1  # the label of an example without one
MAX_CLASSES = (1 << 15) - 1  # labels are int16
LABELS_FILE = "labels.json"
LABELS_LIMIT = 1 << 24  # bytes; a larger labels.json is not one of ours
LONGEST = 1 << 12  # characters; the longest name of a class
SHOWN = 12  # names in a message


@dataclass(frozen=True)
class Labels:
    """The classes of a data set as training sees them.

    names: the names of the labels 0, 1, ...; () if nothing is labelled.
    counts: the number of training examples with each label; a count of 0 is an error only if labels are learnt.
    hidden: the number of training examples without a label.
    """

    names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    hidden: int = 0

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each class among the labelled examples."""
        return tuple(count / sum(self.counts) for count in self.counts)

    def told(self) -> str:
        """The number of classes and of hidden labels, as text."""
        hidden = f" ({self.hidden:,} labels hidden or missing)" if self.hidden else ""
        return f"{len(self)} classes{hidden}" if self.names else "no labels"

    def index(self, name: str) -> int:
        """The label of a class, given its name, or its number if no class has that name.

        Raises:
            UsageError: there is no such class.
        """
        if name in self.names:
            return self.names.index(name)
        if name in map(str, range(len(self))):
            return int(name)
        if not self.names:
            raise UsageError(
                f"{named('label', printable(name))} is for a run with labels, and this one has none: leave it out"
            )
        listed = ", ".join(map(printable, self.names[:SHOWN])) + (", ..." if len(self) > SHOWN else "")
        raise UsageError(f"{named('label', printable(name))} is no class of this run: choose from {listed}")

    def save(self, folder: Path) -> None:
        """Write the classes into a checkpoint."""
        about = {"names": list(self.names), "counts": list(self.counts), "hidden": self.hidden}
        (folder / LABELS_FILE).write_text(json.dumps(about) + "\n")


def load(folder: Path) -> Labels:
    """Read the classes from a checkpoint.

    Raises:
        CheckpointError: labels.json is missing or invalid.
    """
    path = folder / LABELS_FILE
    try:
        about = json.loads(read_limited(path, LABELS_LIMIT))
        names, counts = tuple(map(str, about["names"])), tuple(map(int, about["counts"]))
        hidden = int(about["hidden"])
        bounded = all(0 <= count < 1 << 63 for count in (*counts, hidden)) and len(names) <= MAX_CLASSES
        if len(names) != len(counts) or not bounded or any(len(name) > LONGEST for name in names):
            raise ValueError("its counts do not fit")
        return Labels(names, counts, hidden)
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path} is not readable: take an older checkpoint, or another run") from error


def settle_labels(
    labels: np.ndarray, names: Sequence[str], what: str, *, classes: int = 0, per_class: int = 0, seed: int = 0
) -> tuple[np.ndarray, Labels]:
    """Check the training labels (N,) and hide some of them; return the labels that training sees, int16, and Labels.

    Args:
        labels: UNKNOWN for an example without a label.
        names: the names of the classes; () for unlabelled data.
        what: the name of the data, for messages.
        classes: the required number of classes, or 0 for any.
        per_class: the number of labels to keep in each class, chosen by the seed, or 0 for all.

    Raises:
        DataError: a label is out of range, or the number of classes is not the required one.
        UsageError: a class has fewer labels than are to be kept, or the data has no labels.
    """
    if not len(names):
        if classes or per_class:
            option = named("classes", classes) if classes else named("labels_per_class", per_class)
            raise UsageError(f"{option} is for labelled data, and {what} has no labels: leave it out")
        return labels.astype(np.int16, copy=False), Labels()
    if len(labels) and (labels.min() < UNKNOWN or labels.max() >= len(names)):
        wrong = labels[(labels < UNKNOWN) | (labels >= len(names))][0]
        raise DataError(
            f"{what} has label {wrong}, out of range for its {len(names)} classes: mend the labels (from 0 to "
            f"{len(names) - 1}, {UNKNOWN} for none)"
        )
    counts = np.bincount(labels[labels >= 0], minlength=len(names))
    if classes and len(names) > classes:
        raise DataError(
            f"{what} has {len(names)} classes, more than {named('classes', classes)}: raise it, or leave it out"
        )
    if classes > len(names):
        raise DataError(
            f"{what} has {len(names)} classes, fewer than {named('classes', classes)}: lower it, or leave it out"
        )
    labels = labels.astype(np.int16, copy=False)
    if per_class:
        short = int(counts.argmin())
        if counts[short] < per_class:
            raise UsageError(
                f"{named('labels_per_class', per_class)} is too many: {what} has only {counts[short]} training "
                f"examples of class {names[short]!r}, so lower it"
            )
        labels = hidden(labels, len(names), per_class, seed)
        counts = np.bincount(labels[labels >= 0], minlength=len(names))
    return labels, Labels(tuple(names), tuple(map(int, counts)), int(np.count_nonzero(labels < 0)))


def hidden(labels: np.ndarray, classes: int, per_class: int, seed: int) -> np.ndarray:
    """Labels (N,) with all but `per_class` of each class replaced by UNKNOWN; the seed chooses the kept ones."""
    from gan_core.runtime.randomness import derive  # imports torch, which takes seconds: only when needed

    rng = np.random.default_rng(derive(seed, "labels that are kept"))
    kept = [rng.choice(np.flatnonzero(labels == label), per_class, replace=False) for label in range(classes)]
    shown = np.full_like(labels, UNKNOWN)
    for label, places in enumerate(kept):
        shown[places] = label
    return shown


def some_labelled(labels: np.ndarray) -> np.ndarray:
    """The indices of the known labels; empty if all or none are known."""
    known = np.flatnonzero(labels >= 0)
    return known if len(known) < len(labels) else known[:0]
