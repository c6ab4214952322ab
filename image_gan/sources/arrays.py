"""Images that are published as arrays: MNIST's idx files, CIFAR-10's binary version, .npz files.

They are read in large blocks and never as a whole. Every header is checked before memory is taken for what it promises.
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
    """A file that is open for reading, through gzip where it begins so."""
    name = printable(path)
    check_file(name, path, give_images())
    with naming(name, give_images()), path.open("rb") as raw:
        yield Unpacking(raw, name) if raw.peek(2)[:2] == GZIP_MAGIC else raw


def take(stream: BinaryIO, count: int, name: str) -> bytes:
    """Exactly `count` bytes of a stream.

    Raises:
        DataError: it ends before.
    """
    parts = []
    for start in range(0, count, BLOCK):
        parts.append(stream.read(min(BLOCK, count - start)))
        if len(parts[-1]) < min(BLOCK, count - start):
            raise DataError(CUT_SHORT.format(name))
    return b"".join(parts)


def check_promise(promised: int, path: Path, packed: bool, name: str) -> None:
    """Refuse a header that promises more bytes than its file can hold.

    Raises:
        DataError: it does.
    """
    size = path.stat().st_size
    if promised > (most_unpacked(size) if packed else size):
        raise DataError(CUT_SHORT.format(name))


def check_end(stream: BinaryIO, name: str) -> None:
    """Refuse a stream that goes on after what its header promises."""
    if stream.read(1):
        raise DataError(f"{name} is longer than its header says: fetch it again")


def numbered(labels: list[np.ndarray]) -> tuple[str, ...]:
    """Names of classes that have none: their numbers, up to the largest label; () where nothing is labelled."""
    return tuple(map(str, range(max(int(part.max(initial=UNKNOWN)) for part in labels) + 1)))


def labels_at(labels: np.ndarray | None, start: int, count: int) -> np.ndarray:
    """The labels of `count` images from `start` on; UNKNOWN where there are none."""
    return np.full(count, UNKNOWN, np.int16) if labels is None else labels[start : start + count]


def check_labels(labels: np.ndarray, classes: int, name: str) -> np.ndarray:
    """The labels (N,) as int16.

    Raises:
        DataError: one is neither UNKNOWN nor in [0, classes).
    """
    if labels.size and not (labels.min() >= UNKNOWN and labels.max() < classes):
        raise DataError(
            f"{name} has labels from {labels.min()} to {labels.max()}, out of range for {classes} classes: mend the "
            "labels, or fetch the file again"
        )
    return labels.astype(np.int16)


def check_splits(labels: dict[str, np.ndarray], sizes: dict[str, int], name: str) -> None:
    """Refuse labels of only some of the splits that hold images."""
    for split in (split for split, size in sizes.items() if size and labels and split not in labels):
        raise DataError(
            f"{name} has labels for its {next(iter(labels))} images, but none for its {split} images: add those, or "
            "leave out all labels"
        )


def digest_of(parts: dict[str, list[Path]], classes: tuple[str, ...]) -> str:
    """SHA-256 of the classes and of the SHA-256 of each file of each split."""
    digest = hashlib.sha256(repr(classes).encode())
    for split, files in parts.items():
        for path in files:
            with naming(printable(path), give_images()):
                digest.update(f"{split} {sha256(path)}\n".encode())
    return digest.hexdigest()
