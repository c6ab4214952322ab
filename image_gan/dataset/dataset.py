"""A set of images as training sees it: decoded once to one size, split into two sides, kept in a cache.

The source is streamed: fitted images go to a file, which is then mapped into memory, so that a million images cost
no more memory than a few blocks of them.
"""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_core.errors import DataError, UsageError, named
from gan_core.storage.cache import cache_root, kept, remembered, writing_to
from gan_core.storage.sealed import DamagedError, verify
from image_gan.choices import RESIZES
from image_gan.dataset.spool import Spool, chunks
from image_gan.sources.base import SPLITS, Source
from image_gan.sources.open import open_source

FORMAT = (
    1  # part of the fingerprint: raise it with any change to decoding, fitting or split, so that old caches are left
)
ABOUT_FILE = "images.json"
MAX_SIZE = 4096


@dataclass(frozen=True)
class ImageSet:
    """The images of a source, all of one square size.

    Attributes:
        train: the images to learn from, (N, H, W, C) uint8, H = W, C = 1 or 3, mapped from a file and read-only.
        test: real images that no training batch holds, (M, H, W, C).
        train_labels: (N,) int16, -1 where unknown.
        test_labels: (M,) int16, -1 where unknown.
        classes: the names of the labels; () where nothing is labelled.
        fingerprint: hexadecimal; equal where the source and the options are equal, on any machine.
        description: of the source, for people.
        counts: "images" read, "skipped" (not decoded), "shared" (training images that equal a test image, which can
            be where the source has a test set of its own); images of "train" and "test".
    """

    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
    fingerprint: str
    description: str
    counts: dict[str, int]


def prepare(
    spec: str,
    *,
    size: int = 0,
    channels: int = 0,
    resize: str = "bicubic",
    bad_images: str = "error",
    max_pixels: int = 50_000_000,
    heldout: float = 0.05,
    cache: str | Path | None = None,
    progress: bool = True,
) -> ImageSet:
    """The images of a source, from the cache if they are there.

    Args:
        spec: see `open_source`.
        size: height and width, see `fit_block`; 0 for the data's own, which then must be one square size.
        channels: 1 for grey, 3 for RGB; 0 for the data's own: 1 if all images are grey.
        resize: the filter, of `choices.RESIZES`.
        bad_images: see `open_source`.
        max_pixels: see `open_source`.
        heldout: where the source has no test set, the share of the different images that becomes one, between 0 and 1.
        cache: the folder of all that is kept; None for $SEQGAN_GP_CACHE or the user's cache folder.
        progress: whether to show how far it is: a bar on a terminal, elsewhere a line every ten seconds.

    Raises:
        DataError: the source is unusable, of several sizes while `size` is 0, or holds fewer than two different images.
        UsageError: an option is out of range.
        GanError: no space is left on the disk.
    """
    check_options(size, channels, resize)
    if not 0 < heldout < 1:
        raise UsageError(f"the held-out share {heldout} must be between 0 and 1")
    source = open_source(spec, max_pixels=max_pixels, bad_images=bad_images)
    read_as = f"{FORMAT} {type(source).__name__} {source.classes}"
    content = remembered(cache_root(cache), source.paths, read_as, lambda: source.fingerprint(progress))
    how = {
        "size": size,
        "channels": channels,
        "resize": resize,
        "bad_images": bad_images,
        "max_pixels": max_pixels,
        "heldout": None if "test" in source.sizes else heldout,
        "source": content,
    }
    fingerprint = hashlib.sha256(json.dumps({"format": FORMAT, **how}, sort_keys=True).encode()).hexdigest()

    def fill(folder: Path) -> None:
        with tempfile.TemporaryFile(dir=folder) as file:
            spool = Spool(file, size, channels, resize)
            spool.add_all(source, folder, progress)
            counts = divide(spool, source, heldout, folder)
        about = {"fingerprint": fingerprint, "shape": spool.shape, "counts": counts}
        (folder / ABOUT_FILE).write_text(json.dumps(about, indent=1) + "\n")

    def read(folder: Path) -> ImageSet | None:
        return read_cached(folder, fingerprint, source)

    return kept(cache_root(cache), f"images-{fingerprint[:32]}", read, fill, kind="seqgan-gp images")


def open_images(
    spec: str,
    *,
    size: int = 0,
    channels: int = 0,
    resize: str = "bicubic",
    bad_images: str = "error",
    max_pixels: int = 50_000_000,
    progress: bool = True,
) -> np.ndarray:
    """All images of a source, unsplit and not kept: (N, H, W, C) uint8, mapped from a temporary file.

    For images to be scored. The options are those of `prepare`.

    Raises:
        DataError: the source is unusable, or of several sizes while `size` is 0.
        UsageError: an option is out of range.
    """
    check_options(size, channels, resize)
    source = open_source(spec, max_pixels=max_pixels, bad_images=bad_images)
    with writing_to(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        spool = Spool(file, size, channels, resize)
        spool.add_all(source, Path(tempfile.gettempdir()), progress)
        return spool.mapped()


def check_options(size: int, channels: int, resize: str) -> None:
    """Refuse options of `prepare` that are out of range.

    Raises:
        UsageError: the message names the option.
    """
    if not 0 <= size <= MAX_SIZE:
        raise UsageError(f"{named('size', size)} must be from 1 to {MAX_SIZE}, or 0 for the data's own")
    if channels not in (0, 1, 3):
        raise UsageError(f"{named('channels', channels)} must be 1 for grey, 3 for RGB, or 0 for the data's own")
    if resize not in RESIZES:
        raise UsageError(f"{named('resize', resize)} is unknown: choose one of {', '.join(RESIZES)}")


def divide(spool: Spool, source: Source, heldout: float, folder: Path) -> dict[str, int]:
    """Write train.bin, test.bin and their labels into `folder` and return the counts of `ImageSet`.

    Where the source has no test set, the hash of an image says on which side it is, so equal images are on one side.
    """
    images, labels = spool.mapped(), np.frombuffer(spool.labels, np.int16)
    hashes = np.concatenate([image_hashes(chunk) for _, chunk in chunks(images)])
    own = "test" in source.sizes
    trained = hashes[: spool.starts["test"]] if own else hashes
    if len(trained) == 0 or trained.min() == trained.max():
        what = "no training image" if len(trained) == 0 else "one training image" if own else "one image"
        raise DataError(f"{source.description} holds {what}, perhaps repeated: at least two different are needed")
    if own:
        held = np.arange(len(hashes)) >= len(trained)
        if not held.any():
            raise DataError(f"{source.description} holds no readable test image: mend the test set or remove it")
        shared = np.count_nonzero(np.isin(trained, hashes[held]))
    else:
        # The clip keeps at least the image of the lowest hash held out, and at least that of the highest to train on.
        limit = min(max(int(heldout * 2**64), int(hashes.min()) + 1), int(hashes.max()))
        held = hashes < np.uint64(limit)
        shared = 0
    with (folder / "train.bin").open("wb") as train, (folder / "test.bin").open("wb") as test:
        for part, chunk in chunks(images):
            train.write(chunk[~held[part]])
            test.write(chunk[held[part]])
    labels[~held].tofile(folder / "train-labels.bin")
    labels[held].tofile(folder / "test-labels.bin")
    return {
        "images": len(images) + source.counts["skipped"],
        "skipped": source.counts["skipped"],
        "shared": int(shared),
        "train": int(np.count_nonzero(~held)),
        "test": int(np.count_nonzero(held)),
    }


def image_hashes(images: np.ndarray) -> np.ndarray:
    """A 64-bit hash (BLAKE2b) of the content of each image (N, ...): (N,) uint64."""
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    return np.frombuffer(b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows), "<u8")


def read_cached(folder: Path, fingerprint: str, source: Source) -> ImageSet | None:
    """The images in a cache folder, or None where they are missing, incomplete, damaged or others."""
    try:
        verify(folder)
        about = json.loads((folder / ABOUT_FILE).read_text())
        if about["fingerprint"] != fingerprint:
            return None
        shape, counts = about["shape"], about["counts"]
        train, test = (np.memmap(folder / f"{s}.bin", np.uint8, "r", shape=(counts[s], *shape)) for s in SPLITS)
        labels = [np.memmap(folder / f"{s}-labels.bin", np.int16, "r", shape=(counts[s],)) for s in SPLITS]
    except (DamagedError, OSError, ValueError, KeyError, TypeError):
        return None
    return ImageSet(train, test, *labels, source.classes, fingerprint, source.description, counts)
