"""Where images come from: built-in data, arrays in files, folders and zips of image files, the hub.

`open_source` turns what `--data` was given into a `Source`, whose `blocks` are arrays (N, H, W, C) of uint8 with N
labels. Data that is published as arrays comes in large blocks, image files one by one; nothing holds more than a block.
"""

import hashlib
import os
import stat
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from gan_core.errors import DataError, UsageError
from gan_core.labels import MAX_CLASSES, UNKNOWN
from gan_core.runtime.progress import Progress
from gan_core.storage.inputs import built_in_folder, check_file, naming, path_of, printable
from gan_core.storage.sealed import sha256
from image_gan.sources.decode import SUFFIXES, BadImageError, check_bytes, decode, reading

BUILT_IN = {"fashion-mnist": "the first 12,000 images of Fashion-MNIST"}
BUILT_IN_CLASSES = {
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
}
SPLITS = ("train", "test")
BAD_IMAGES = ("error", "skip")
REMEDY = (
    "give a folder or a zip of images, MNIST's or CIFAR-10's official files, a .npz file, hf:ID, "
    "or the built-in --data fashion-mnist"
)

Block = tuple[np.ndarray, np.ndarray]  # images (N, H, W, C) uint8, C = 1 or 3; labels (N,) int16
Picture = tuple[str, int, Callable[[], bytes]]  # name for messages, label, what reads the image file


class Source(ABC):
    """Images that can be read as often as needed.

    Attributes:
        description: for people.
        classes: the names of the labels 0, 1, ...; () where nothing is labelled.
        sizes: how many images there are of "train", and of "test" where the data has a test set of its own.
        counts: of what was met so far: images "skipped" because they cannot be decoded.
        paths: of the files that settle the fingerprint; () where others do.
    """

    paths: Sequence[str | Path] = ()

    def __init__(self, description: str, classes: tuple[str, ...], sizes: dict[str, int]):
        self.description = description
        self.classes = classes
        self.sizes = {split: sizes[split] for split in SPLITS if sizes.get(split)}
        self.counts: Counter[str] = Counter()
        if "train" not in self.sizes:
            raise DataError(f"{description} holds no images: {REMEDY}")
        if len(classes) > MAX_CLASSES:
            raise DataError(f"{description} has {len(classes)} classes, more than {MAX_CLASSES:,}: put them into fewer")

    @abstractmethod
    def blocks(self, split: str) -> Iterator[Block]:
        """Yield the images of a split of `sizes`, in order, in blocks of one size each.

        Raises:
            DataError: the data is damaged or unreadable.
        """

    @abstractmethod
    def fingerprint(self, progress: bool = False) -> str:
        """SHA-256 of the content, labels and class names in hexadecimal: the same on every machine.

        progress: whether to show how far it is, where that takes long.
        """


class PictureSource(Source):
    """Image files, decoded one by one."""

    def __init__(
        self, description: str, classes: tuple[str, ...], sizes: dict[str, int], max_pixels: int, bad_images: str
    ):
        super().__init__(description, classes, sizes)
        self.max_pixels = max_pixels
        self.bad_images = bad_images

    @abstractmethod
    def pictures(self, split: str, start: int = 0, stop: int | None = None) -> Iterator[Picture]:
        """Yield each image file of a split, from the one with number `start` to before `stop`."""

    def blocks(self, split: str, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        for name, label, read in self.pictures(split, start, stop):
            try:
                with reading(name):
                    image = decode(read(), name, self.max_pixels)
            except BadImageError:
                if self.bad_images == "error":
                    raise
                self.counts["skipped"] += 1
            else:
                yield image[None], np.array([label], np.int16)


class FolderSource(PictureSource):
    """A folder of image files: see `laid_out`."""

    def __init__(self, folder: Path, max_pixels: int, bad_images: str):
        self.folder = folder
        name = printable(folder)
        with naming(name, REMEDY):
            classes, self.splits = laid_out(files_below(folder))
        sizes = {split: len(paths) for split, (paths, _) in self.splits.items()}
        super().__init__(f"{name} ({counted(sizes)})", classes, sizes, max_pixels, bad_images)

    @property
    def paths(self) -> list[str]:
        """All image files; made when they are asked for, since there may be millions."""
        return [f"{self.folder}/{path}" for paths, _ in self.splits.values() for path in paths]

    def pictures(self, split: str, start: int = 0, stop: int | None = None) -> Iterator[Picture]:
        paths, labels = self.splits[split]
        for path, label in zip(paths[start:stop], labels[start:stop], strict=True):
            file = self.folder / path
            yield printable(file), int(label), partial(self.read, file)

    def read(self, file: Path) -> bytes:
        """The content of an image file."""
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):
            raise BadImageError(f"{printable(file)} is not a regular file: remove it, or give --bad-images skip")
        check_bytes(about.st_size, printable(file), self.max_pixels)
        return file.read_bytes()

    def fingerprint(self, progress: bool = False) -> str:
        digest = hashlib.sha256(repr(self.classes).encode())
        total = sum(self.sizes.values())
        with Progress("check", total, " images", progress, delay=1) as bar:
            for split, (paths, labels) in self.splits.items():
                for path, label in zip(paths, labels, strict=True):
                    digest.update(f"{split} {label} {content_of(self.folder / path)}\n".encode())
                    bar.advance(1)
        return digest.hexdigest()


def content_of(file: Path) -> str:
    """The SHA-256 of a file, "" where it cannot be read: what reads it will say so, or skip it."""
    try:
        return sha256(file) if file.is_file() else ""
    except OSError:
        return ""


class ZipSource(PictureSource):
    """A zip of image files, read member by member and never unpacked to the disk: see `laid_out`."""

    def __init__(self, path: Path, max_pixels: int, bad_images: str):
        self.path = path
        self.name = printable(path)
        with self.opened() as archive:
            members = [info.filename for info in archive.infolist() if not info.is_dir()]
        for member in members:
            parts = PurePosixPath(member.replace("\\", "/"))
            if parts.is_absolute() or ".." in parts.parts or member[1:2] == ":":
                raise DataError(
                    f"{self.name} holds a file with the unsafe name {printable(member)}: pack the images again, "
                    "with names inside one folder"
                )
        classes, self.splits = laid_out(sorted(members))
        sizes = {split: len(paths) for split, (paths, _) in self.splits.items()}
        super().__init__(f"{self.name} ({counted(sizes)})", classes, sizes, max_pixels, bad_images)
        self.paths = (path,)

    def opened(self) -> zipfile.ZipFile:
        """The archive, open for reading."""
        with naming(self.name, REMEDY):
            try:
                return zipfile.ZipFile(self.path)
            except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
                raise DataError(f"{self.name} is damaged or no zip archive: fetch or pack it again") from error

    def pictures(self, split: str, start: int = 0, stop: int | None = None) -> Iterator[Picture]:
        members, labels = self.splits[split]
        with self.opened() as archive:
            for member, label in zip(members[start:stop], labels[start:stop], strict=True):
                yield f"{self.name}: {printable(member)}", int(label), partial(self.read, archive, member)

    def read(self, archive: zipfile.ZipFile, member: str) -> bytes:
        """The content of a member; what its size says is checked first, and no more than that is unpacked."""
        size = archive.getinfo(member).file_size
        check_bytes(size, f"{self.name}: {printable(member)}", self.max_pixels)
        with archive.open(member) as file:
            return file.read(size)  # no more is unpacked, whatever there is; zipfile compares checksums at the end

    def fingerprint(self, progress: bool = False) -> str:
        with naming(self.name, REMEDY):
            return sha256(self.path)


def open_source(spec: str, *, max_pixels: int = 50_000_000, bad_images: str = "error") -> Source:
    """The source that `--data` names.

    Args:
        spec: a name of BUILT_IN; a folder or a file in the idx format of MNIST, packed or not; a folder or a file of
            CIFAR-10's binary version; a folder or a zip of image files (see `laid_out`); a .npz file with `images`
            (N, H, W) or (N, H, W, C) of uint8 and perhaps `labels` (N,), or with `x_train`, `y_train`, `x_test`,
            `y_test`; or "hf:ID[@REVISION][:SPLIT]" for a data set of the Hugging Face hub.
        max_pixels: larger images are refused before they are decoded.
        bad_images: what to do with an image file that cannot be decoded: "error", or "skip" it.

    Raises:
        DataError: nothing usable is there.
        UsageError: an option is out of range.
    """
    if bad_images not in BAD_IMAGES:
        raise UsageError(f"--bad-images {printable(bad_images)} is unknown: choose one of {', '.join(BAD_IMAGES)}")
    if max_pixels < 1:
        raise UsageError(f"--max-pixels {max_pixels} must be at least 1")
    if spec.startswith("hf:"):
        from image_gan.sources.hub import open_hub_source

        return open_hub_source(spec, max_pixels, bad_images)
    from image_gan.sources.arrays import open_arrays

    if spec in BUILT_IN:
        folder = built_in_folder(Path(__file__).parents[1], spec)
        source = open_arrays(folder, max_pixels, f"{spec} ({BUILT_IN[spec]})", BUILT_IN_CLASSES[spec])
        if source is None:
            raise DataError(f"{printable(folder)} lacks the files of {spec}: install the package again")
        return source
    path = path_of(spec, REMEDY)
    source = open_arrays(path, max_pixels)
    if source is not None:
        return source
    name = printable(path)
    with naming(name, REMEDY):
        if path.is_dir():
            return FolderSource(path, max_pixels, bad_images)
    check_file(name, path, REMEDY)
    if path.suffix.lower() in SUFFIXES:
        raise DataError(f"{name} is one image: give a folder of images")
    if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        return ZipSource(path, max_pixels, bad_images)
    raise DataError(f"{name} is of no known kind: {REMEDY}")


def files_below(folder: Path) -> list[str]:
    """The files in a folder and its sub-folders, sorted: their paths from it, with "/" between the parts."""

    def fail(error: OSError) -> None:
        raise error  # a folder that may not be read is not an empty one

    found = []
    for base, _, names in os.walk(folder, onerror=fail):
        below = Path(base).relative_to(folder).as_posix()
        found += names if below == "." else [f"{below}/{name}" for name in names]
    return sorted(found)


def laid_out(paths: list[str]) -> tuple[tuple[str, ...], dict[str, tuple[list[str], np.ndarray]]]:
    """Find the classes and splits of image files from where they stand.

    Folders that all images share are passed over. If then the top folders are exactly `train` and `test`, they are the
    splits. In each, a sub-folder is a class, named after it, with the images at any depth below it; an image beside
    the sub-folders is not labelled. Other files and hidden ones are left out.

    Args:
        paths: of all files, "/" between the parts.

    Returns:
        The names of the classes, sorted, and for each split the paths of its images and their labels (N,) int16.
    """
    images = [path for path in paths if is_image(path)]
    if not images:
        return (), {}
    folders = {folder: folder.split("/") if folder else [] for folder in map(folder_of, images)}
    first, last = min(folders.values()), max(folders.values())
    depth = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    top = {folder: parts[depth] if len(parts) > depth else "" for folder, parts in folders.items()}
    if set(top.values()) == set(SPLITS):
        split_of = top
        depth += 1
    else:
        split_of = dict.fromkeys(folders, "train")
    class_of = {folder: parts[depth] for folder, parts in folders.items() if len(parts) > depth}
    classes = sorted(set(class_of.values()))
    index = {name: label for label, name in enumerate(classes)}
    laid = {}
    for split in sorted(set(split_of.values())):
        members = [path for path in images if split_of[folder_of(path)] == split]
        labels = [index.get(class_of.get(folder_of(path)), UNKNOWN) for path in members]
        laid[split] = (members, np.array(labels))
    return tuple(classes), laid


def folder_of(path: str) -> str:
    """The folder in which a file stands; "" at the top."""
    return path.rpartition("/")[0]


def is_image(path: str) -> bool:
    """Whether a file is an image, by its name, and neither hidden nor one of the shadows that macOS packs."""
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))
    return path.lower().endswith(SUFFIXES) and not hidden


def counted(sizes: dict[str, int]) -> str:
    """How many images, in words."""
    return ", ".join(f"{sizes[split]:,} {split}" for split in SPLITS if split in sizes) + " images"
