"""Images that are published as arrays: MNIST's idx files, CIFAR-10's binary version, .npz files.

They are read in large blocks and never as a whole. Every header is checked before memory is taken for what it promises.
"""

import hashlib
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gan_core.errors import DataError
from gan_core.labels import MAX_CLASSES, UNKNOWN
from gan_core.storage.inputs import Unpacking, check_file, most_unpacked, naming, printable
from gan_core.storage.sealed import sha256
from image_gan.sources.open import REMEDY, Block, Source, counted

BLOCK = 1 << 24  # bytes of images in memory at a time
CUT_SHORT = "{} is cut short: its header promises more than it holds, fetch it again"
GZIP_MAGIC = b"\x1f\x8b"
IDX_IMAGES, IDX_LABELS = 0x803, 0x801  # magic numbers: bytes, on three axes and on one
IDX_NAME = re.compile(r"(train|t10k)-images[-.]idx3-ubyte(\.gz)?")
IDX_SPLITS = {"train": "train", "t10k": "test"}
CIFAR_FOLDER = "cifar-10-batches-bin"
CIFAR_SHAPE = (3, 32, 32)  # channels first, after a byte with the label
CIFAR_RECORD = 1 + math.prod(CIFAR_SHAPE)
CLASSES_LIMIT = 1 << 16  # bytes of the list of their names
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NPZ_ARRAYS = {"train": (("images", "labels"), ("x_train", "y_train")), "test": (("x_test", "y_test"),)}


def open_arrays(
    path: Path, max_pixels: int, description: str | None = None, classes: tuple[str, ...] = ()
) -> Source | None:
    """The source of a file or folder of arrays, or None where it is neither; `classes` are known for built-in data.

    Raises:
        DataError: the files are damaged, or not what their names say.
    """
    name = printable(path)
    with naming(name, REMEDY):
        if path.is_dir():
            folder = path / CIFAR_FOLDER if (path / CIFAR_FOLDER).is_dir() else path
            idx = idx_files(sorted(folder.iterdir()))
            if idx:
                return IdxSource(idx, description or name, max_pixels, classes)
            files = {"train": sorted(folder.glob("data_batch_*.bin")), "test": sorted(folder.glob("test_batch.bin"))}
            return CifarSource(files, name, folder) if files["train"] else None
        if path.suffix.lower() == ".npz":
            return NpzSource(path, max_pixels)
        if path.suffix.lower() == ".bin":
            return CifarSource({"train": [path], "test": []}, name, path.parent)
        if "idx3" in path.name:
            return IdxSource({"train": path}, name, max_pixels, classes)
    return None


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """A file that is open for reading, through gzip where it begins so."""
    name = printable(path)
    check_file(name, path, REMEDY)
    with naming(name, REMEDY), path.open("rb") as raw:
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
            with naming(printable(path), REMEDY):
                digest.update(f"{split} {sha256(path)}\n".encode())
    return digest.hexdigest()


def idx_files(paths: list[Path]) -> dict[str, Path]:
    """The files of images in the idx format by split, as MNIST's are called; one alone is "train"."""
    found = {}
    for path in paths:
        match = IDX_NAME.fullmatch(path.name)
        if match:
            found.setdefault(IDX_SPLITS[match[1]], path)  # sorted: what is unpacked comes before its .gz
    return found if "train" in found else dict(zip(["train"], found.values(), strict=False))


class IdxSource(Source):
    """Files of images in the idx format, each with its labels in a file beside it if there is one.

    The format: big-endian 32-bit numbers, a magic one and the size of each axis, then a byte a pixel.
    """

    def __init__(self, images: dict[str, Path], description: str, max_pixels: int, classes: tuple[str, ...]):
        self.images = images
        self.shapes = {split: self.shape(path, max_pixels) for split, path in images.items()}
        beside = {split: labels_beside(path) for split, path in images.items()}
        self.label_files = {split: path for split, path in beside.items() if path}
        labels = {split: self.read_labels(path, self.shapes[split][0]) for split, path in self.label_files.items()}
        if labels and not classes:
            classes = numbered(list(labels.values()))
        self.labels = {
            split: check_labels(part, len(classes), printable(self.label_files[split]))
            for split, part in labels.items()
        }
        sizes = {split: shape[0] for split, shape in self.shapes.items()}
        check_splits(labels, sizes, description)
        super().__init__(f"{description} ({counted(sizes)})", classes if labels else (), sizes)

    def shape(self, path: Path, max_pixels: int) -> tuple[int, int, int]:
        """The number of images, their height and width, from the header."""
        name = printable(path)
        with unpacked(path) as stream:
            magic, count, height, width = struct.unpack(">4I", take(stream, 16, name))
            packed = isinstance(stream, Unpacking)
        if magic != IDX_IMAGES:
            raise DataError(f"{name} is no idx file of images: its magic number is {magic:#x}, not {IDX_IMAGES:#x}")
        if not 0 < height * width <= max_pixels:
            raise DataError(f"{name} says its images have {height} x {width} pixels: give --max-pixels if that is true")
        check_promise(16 + count * height * width, path, packed, name)
        return count, height, width

    def read_labels(self, path: Path, count: int) -> np.ndarray:
        """The labels of `count` images."""
        name = printable(path)
        with unpacked(path) as stream:
            magic, length = struct.unpack(">2I", take(stream, 8, name))
            if magic != IDX_LABELS:
                raise DataError(f"{name} is no idx file of labels: its magic number is {magic:#x}, not {IDX_LABELS:#x}")
            if length != count:
                raise DataError(f"{name} has {length} labels for {count} images: give the files that belong together")
            check_promise(8 + count, path, isinstance(stream, Unpacking), name)
            labels = np.frombuffer(take(stream, count, name), np.uint8)
            check_end(stream, name)
        return labels.astype(np.int16)

    def blocks(self, split: str) -> Iterator[Block]:
        path = self.images[split]
        name = printable(path)
        count, height, width = self.shapes[split]
        step = max(1, BLOCK // (height * width))
        with unpacked(path) as stream:
            take(stream, 16, name)
            for start in range(0, count, step):
                part = min(step, count - start)
                pixels = take(stream, part * height * width, name)
                images = np.frombuffer(pixels, np.uint8).reshape(-1, height, width, 1)
                yield images, labels_at(self.labels.get(split), start, part)
            check_end(stream, name)

    def fingerprint(self, progress: bool = False) -> str:
        files = {split: [path] for split, path in self.images.items()}
        for split, path in self.label_files.items():
            files[split].append(path)
        return digest_of(files, self.classes)


def labels_beside(images: Path) -> Path | None:
    """The file of labels that belongs to a file of images, packed or not; None where there is none."""
    if "images" not in images.name:
        return None
    called = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    for name in (called, f"{called}.gz"):
        if images.with_name(name).exists():
            return images.with_name(name)
    return None


class CifarSource(Source):
    """CIFAR-10's binary version (Krizhevsky 2009): records of a label and 32 x 32 RGB, a plane a channel."""

    def __init__(self, files: dict[str, list[Path]], description: str, folder: Path):
        self.files = {split: paths for split, paths in files.items() if paths}
        sizes = {split: sum(map(self.records, paths)) for split, paths in self.files.items()}
        super().__init__(f"{description} ({counted(sizes)})", cifar_classes(folder / "batches.meta.txt"), sizes)

    def records(self, path: Path) -> int:
        """How many images a file holds."""
        size = check_file(printable(path), path, REMEDY)
        if size % CIFAR_RECORD:
            raise DataError(
                f"{printable(path)} is cut short or no batch of CIFAR-10's binary version: its {size:,} bytes are no "
                f"multiple of {CIFAR_RECORD}, fetch it again"
            )
        return size // CIFAR_RECORD

    def blocks(self, split: str) -> Iterator[Block]:
        for path in self.files[split]:
            name = printable(path)
            with naming(name, REMEDY), path.open("rb") as stream:
                while content := stream.read(BLOCK // CIFAR_RECORD * CIFAR_RECORD):
                    rows = np.frombuffer(content, np.uint8).reshape(-1, CIFAR_RECORD)
                    images = rows[:, 1:].reshape(-1, *CIFAR_SHAPE).transpose(0, 2, 3, 1)
                    yield images, check_labels(rows[:, 0].astype(np.int64), len(self.classes), name)

    def fingerprint(self, progress: bool = False) -> str:
        return digest_of(self.files, self.classes)


def cifar_classes(path: Path) -> tuple[str, ...]:
    """The names of the classes, from CIFAR-10's own list where it lies beside the batches."""
    if not path.is_file():
        return CIFAR_CLASSES
    with naming(printable(path), REMEDY), path.open("rb") as file:
        names = tuple(file.read(CLASSES_LIMIT).decode(errors="replace").split())
    if len(names) != len(CIFAR_CLASSES):
        raise DataError(f"{printable(path)} has {len(names)} names, not {len(CIFAR_CLASSES)}: fetch or remove it")
    return names


class NpzSource(Source):
    """The arrays of a .npz file, which are read as zip members and never through pickle."""

    def __init__(self, path: Path, max_pixels: int):
        self.path, self.paths = path, (path,)
        self.name = printable(path)
        check_file(self.name, path, REMEDY)
        self.members: dict[str, str] = {}
        labels: dict[str, np.ndarray] = {}
        sizes: dict[str, int] = {}
        with self.opened() as archive:
            present = set(archive.namelist())
            for split, candidates in NPZ_ARRAYS.items():
                for images, called in candidates:
                    if f"{images}.npy" not in present or split in sizes:
                        continue
                    self.members[split] = images
                    sizes[split] = self.check_images(*self.header(archive, images), images, max_pixels)
                    if f"{called}.npy" in present:
                        labels[split] = self.read_labels(archive, called, sizes[split])
            if not sizes.get("train"):
                listed = ", ".join(sorted(printable(member.removesuffix(".npy")) for member in present)) or "nothing"
                raise DataError(f"{self.name} holds {listed}: save uint8 images (N, H, W, C) under the name `images`")
        check_splits(labels, sizes, self.name)
        classes = numbered(list(labels.values())) if labels else ()
        self.labels = {split: check_labels(part, MAX_CLASSES, self.name) for split, part in labels.items()}
        super().__init__(f"{self.name} ({counted(sizes)})", classes, sizes)

    @contextmanager
    def opened(self) -> Iterator[zipfile.ZipFile]:
        """The archive, open for reading."""
        with naming(self.name, REMEDY):
            try:
                with zipfile.ZipFile(self.path) as archive:
                    yield archive
            except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
                raise DataError(f"{self.name} is cut short, damaged or no .npz file: save or fetch it again") from error

    def header(self, archive: zipfile.ZipFile, array: str) -> tuple[tuple[int, ...], np.dtype]:
        """The shape and type of an array."""
        with archive.open(f"{array}.npy") as stream:
            shape, fortran, dtype = npy_header(stream)
            begun = stream.tell()
        if dtype.hasobject:
            raise DataError(f"{self.name}: {array} holds Python objects, which are not read: save an array of numbers")
        if fortran and len(shape) > 1:
            raise DataError(f"{self.name}: {array} is in Fortran's order: save np.ascontiguousarray({array})")
        if any(type(size) is not int or size < 0 for size in shape):
            raise DataError(f"{self.name}: {array} has shape {shape}, which no array has: save it again")
        there, promised = archive.getinfo(f"{array}.npy").file_size, begun + math.prod(shape) * dtype.itemsize
        check_promise(max(there, promised), self.path, True, f"{self.name}: {array}")
        return shape, dtype

    def check_images(self, shape: tuple[int, ...], dtype: np.dtype, array: str, max_pixels: int) -> int:
        """The number of images of an array, whose axes are sure to be (N, H, W) or (N, H, W, C).

        Raises:
            DataError: they are not, or the values are not bytes.
        """
        if dtype != np.uint8:
            what = f"({array} * 255).round()" if dtype.kind == "f" else array
            raise DataError(
                f"{self.name}: {array} is of {dtype}: save values from 0 to 255 as uint8, perhaps by "
                f"{what}.astype(np.uint8)"
            )
        if len(shape) == 4 and shape[1] in (1, 3):
            raise DataError(f"{self.name}: {array} {shape} looks channels-first: save {array}.transpose(0, 2, 3, 1)")
        if len(shape) not in (3, 4) or (shape[-1] in (1, 3)) != (len(shape) == 4):
            raise DataError(
                f"{self.name}: {array} has shape {shape}: save it as (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
            )
        if not 0 < shape[1] * shape[2] <= max_pixels:
            raise DataError(f"{self.name}: {array} {shape} has images of too many pixels or none: give --max-pixels")
        return shape[0]

    def read_labels(self, archive: zipfile.ZipFile, array: str, count: int) -> np.ndarray:
        """The labels of `count` images, (N,) or (N, 1) of integers."""
        shape, dtype = self.header(archive, array)
        if shape not in ((count,), (count, 1)) or dtype.kind not in "iu":
            raise DataError(f"{self.name}: {array} is {dtype} {shape}: save one integer for each of the {count} images")
        with archive.open(f"{array}.npy") as stream:
            npy_header(stream)
            content = take(stream, count * dtype.itemsize, f"{self.name}: {array}")
        labels = np.frombuffer(content, dtype)
        if count and not (labels.min() >= UNKNOWN and labels.max() < MAX_CLASSES):
            raise DataError(
                f"{self.name}: {array} must be from 0 to {MAX_CLASSES - 1}, or -1 where unknown: number them so"
            )
        return labels.astype(np.int16)

    def blocks(self, split: str) -> Iterator[Block]:
        array = self.members[split]
        with self.opened() as archive, archive.open(f"{array}.npy") as stream:
            (count, height, width, *channels), *_ = npy_header(stream)
            shape = (height, width, *(channels or [1]))
            step = max(1, BLOCK // math.prod(shape))
            for start in range(0, count, step):
                part = min(step, count - start)
                pixels = take(stream, part * math.prod(shape), f"{self.name}: {array}")
                images = np.frombuffer(pixels, np.uint8).reshape(-1, *shape)
                yield images, labels_at(self.labels.get(split), start, part)
            check_end(stream, f"{self.name}: {array}")

    def fingerprint(self, progress: bool = False) -> str:
        return digest_of({"npz": [self.path]}, self.classes)


def npy_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """The shape, whether in Fortran's order, and type of the array in a .npy stream.

    Raises:
        ValueError: it is none.
    """
    version = np.lib.format.read_magic(stream)
    try:
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(stream)
        return np.lib.format.read_array_header_2_0(stream)
    except Exception as error:  # it parses Python, and raises what Python's parsers do
        raise ValueError("no header of an array") from error
