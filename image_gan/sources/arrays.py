"""What the formats of image arrays share: MNIST's idx files, CIFAR-10's binary version, .npz files.

Arrays are read in blocks, never as a whole. Headers are checked before memory is allocated for what they promise.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gan_core.errors import DataError
from gan_core.labels import UNKNOWN
from gan_core.storage.inputs import Unpacking, check_file, most_unpacked, naming
from gan_core.storage.sealed import sha256
from gan_core.text import printable
from image_gan.sources.base import give_images

BLOCK = 1 << 24  # bytes of images in memory at a time
CUT_SHORT = "{} is cut short: its header promises more than it holds, fetch it again"
GZIP_MAGIC = b"\x1f\x8b"


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """A file open for reading; if it starts with gzip's magic number, it is decompressed."""
    name = printable(path)
    check_file(name, path, give_images())
    with naming(name, give_images()), path.open("rb") as raw:
        yield Unpacking(raw, name) if raw.peek(2)[:2] == GZIP_MAGIC else raw


def take(stream: BinaryIO, count: int, name: str) -> bytes:
    """Exactly `count` bytes of a stream.

    Raises:
        DataError: the stream ends before.
    """
    pieces = []
    for start in range(0, count, BLOCK):
        pieces.append(stream.read(min(BLOCK, count - start)))
        if len(pieces[-1]) < min(BLOCK, count - start):
            raise DataError(CUT_SHORT.format(name))
    return b"".join(pieces)


def check_promise(promised: int, path: Path, packed: bool, name: str) -> None:
    """Refuse a header that promises more bytes than its file can hold.

    Raises:
        DataError: the file is too small.
    """
    size = path.stat().st_size
    if promised > (most_unpacked(size) if packed else size):
        raise DataError(CUT_SHORT.format(name))


def check_end(stream: BinaryIO, name: str) -> None:
    """Refuse a stream with bytes beyond those that its header promises.

    Raises:
        DataError: there are such bytes.
    """
    if stream.read(1):
        raise DataError(f"{name} is longer than its header says: fetch it again")


def numbered(labels: list[np.ndarray]) -> tuple[str, ...]:
    """The numbers from 0 to the largest label as names of classes; () if no image is labelled."""
    return tuple(map(str, range(max(int(some.max(initial=UNKNOWN)) for some in labels) + 1)))


def labels_at(labels: np.ndarray | None, start: int, count: int) -> np.ndarray:
    """`count` of the labels (N,), beginning with number `start`; all UNKNOWN if `labels` is None."""
    return np.full(count, UNKNOWN, np.int16) if labels is None else labels[start : start + count]


def check_labels(labels: np.ndarray, classes: int, name: str) -> np.ndarray:
    """The labels (N,) as int16.

    Raises:
        DataError: a label is neither UNKNOWN nor in [0, classes).
    """
    if labels.size and not (labels.min() >= UNKNOWN and labels.max() < classes):
        raise DataError(
            f"{name} has labels from {labels.min()} to {labels.max()}, out of range for {classes} classes: mend the "
            "labels, or fetch the file again"
        )
    return labels.astype(np.int16)


def check_splits(labels: dict[str, np.ndarray], sizes: dict[str, int], name: str) -> None:
    """Refuse labels for some of the splits that hold images, but not for all of them.

    Raises:
        DataError: a split that holds images has no labels, and another one has.
    """
    for split in (split for split, size in sizes.items() if size and labels and split not in labels):
        raise DataError(
            f"{name} has labels for its {next(iter(labels))} images, but none for its {split} images: add those, or "
            "leave out all labels"
        )


def digest_of(files: dict[str, list[Path]], classes: tuple[str, ...]) -> str:
    """The SHA-256 of the class names and of the SHA-256 of each split's files."""
    digest = hashlib.sha256(repr(classes).encode())
    for split, paths in files.items():
        for path in paths:
            with naming(printable(path), give_images()):
                digest.update(f"{split} {sha256(path)}\n".encode())
    return digest.hexdigest()
