"""Folders and zips of image files, where sub-folders are splits and classes."""

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from gan_core.errors import DataError, named
from gan_core.labels import UNKNOWN
from gan_core.runtime.progress import Progress
from gan_core.storage.inputs import naming
from gan_core.storage.sealed import sha256
from gan_core.text import printable
from image_gan.sources.base import SPLITS, Asked, Picture, PictureSource, Source, counted, give_images, opener
from image_gan.sources.decode import SUFFIXES, BadImageError, check_bytes


class FolderSource(PictureSource):
    """A folder of image files, with splits and classes as in `laid_out`."""

    def __init__(self, folder: Path, max_pixels: int, bad_images: str):
        self.folder = folder
        name = printable(folder)
        with naming(name, give_images()):
            classes, self.splits = laid_out(files_below(folder))
        sizes = {split: len(paths) for split, (paths, _) in self.splits.items()}
        super().__init__(f"{name} ({counted(sizes)})", classes, sizes, max_pixels, bad_images)

    @property
    def paths(self) -> list[str]:
        """All image files. The list is made on every call and not kept, since there may be millions."""
        return [f"{self.folder}/{path}" for paths, _ in self.splits.values() for path in paths]

    def pictures(self, split: str, start: int = 0, stop: int | None = None) -> Iterator[Picture]:
        paths, labels = self.splits[split]
        for path, label in zip(paths[start:stop], labels[start:stop], strict=True):
            file = self.folder / path
            yield printable(file), int(label), partial(self.read, file)

    def read(self, file: Path) -> bytes:
        """The content of an image file.

        Raises:
            BadImageError: it is not a regular file, or too large for `max_pixels`.
        """
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):
            raise BadImageError(
                f"{printable(file)} is not a regular file: remove it, or give {named('bad_images', 'skip')}"
            )
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
    """The SHA-256 of a file; "" if it cannot be read, which decoding will report or skip."""
    try:
        return sha256(file) if file.is_file() else ""
    except OSError:
        return ""


class ZipSource(PictureSource):
    """A zip of image files, with splits and classes as in `laid_out`. It is never unpacked to the disk."""

    def __init__(self, path: Path, max_pixels: int, bad_images: str):
        self.path = path
        self.name = printable(path)
        with self.opened() as archive:
            members = [info.filename for info in archive.infolist() if not info.is_dir()]
        for member in members:
            inside = PurePosixPath(member.replace("\\", "/"))
            if inside.is_absolute() or ".." in inside.parts or member[1:2] == ":":
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
        with naming(self.name, give_images()):
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
        """The content of a member. Its stated size is checked first, and no more bytes are unpacked than it says."""
        size = archive.getinfo(member).file_size
        check_bytes(size, f"{self.name}: {printable(member)}", self.max_pixels)
        with archive.open(member) as file:
            return file.read(size)  # zipfile compares the checksum at the end

    def fingerprint(self, progress: bool = False) -> str:
        with naming(self.name, give_images()):
            return sha256(self.path)


@opener("folder", order=70)
def open_folder(asked: Asked) -> Source | None:
    """Any other folder."""
    return FolderSource(asked.path, asked.max_pixels, asked.bad_images) if asked.path.is_dir() else None


@opener("one image", order=80)
def refuse_image(asked: Asked) -> Source | None:
    """One image file, which is no data set."""
    if asked.is_file(*SUFFIXES):
        raise DataError(f"{printable(asked.path)} is one image: give a folder of images")
    return None


@opener("zip", order=90)
def open_zip(asked: Asked) -> Source | None:
    """A zip archive of any name."""
    if asked.is_file(".zip") or zipfile.is_zipfile(asked.path):
        return ZipSource(asked.path, asked.max_pixels, asked.bad_images)
    return None


def files_below(folder: Path) -> list[str]:
    """The files in a folder and its sub-folders, sorted, as paths relative to the folder with "/" as separator."""

    def fail(error: OSError) -> None:
        raise error  # os.walk would take an unreadable folder for an empty one

    found = []
    for base, _, names in os.walk(folder, onerror=fail):
        below = Path(base).relative_to(folder).as_posix()
        found += names if below == "." else [f"{below}/{name}" for name in names]
    return sorted(found)


def laid_out(paths: list[str]) -> tuple[tuple[str, ...], dict[str, tuple[list[str], np.ndarray]]]:
    """Find the splits and classes of image files from their folders.

    Folders that contain all images are ignored. If the folders below them are exactly `train` and `test`, these are the
    splits; otherwise all images are "train". Each sub-folder of a split is a class of that name and holds the images at
    any depth below it. An image directly in a split is not labelled. Hidden files and files that are no images are left
    out.

    Args:
        paths: all files, with "/" as separator.

    Returns:
        The names of the classes, sorted, and for each split the paths of its images and their labels (N,) int16.
    """
    images = [path for path in paths if is_image(path)]
    if not images:
        return (), {}
    folders = {folder: folder.split("/") if folder else [] for folder in map(folder_of, images)}
    first, last = min(folders.values()), max(folders.values())
    depth = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    top = {folder: names[depth] if len(names) > depth else "" for folder, names in folders.items()}
    if set(top.values()) == set(SPLITS):
        split_of = top
        depth += 1
    else:
        split_of = dict.fromkeys(folders, "train")
    class_of = {folder: names[depth] for folder, names in folders.items() if len(names) > depth}
    classes = sorted(set(class_of.values()))
    index = {name: label for label, name in enumerate(classes)}
    laid = {}
    for split in sorted(set(split_of.values())):
        members = [path for path in images if split_of[folder_of(path)] == split]
        labels = [index.get(class_of.get(folder_of(path)), UNKNOWN) for path in members]
        laid[split] = (members, np.array(labels))
    return tuple(classes), laid


def folder_of(path: str) -> str:
    """The folder of a file; "" at the top."""
    return path.rpartition("/")[0]


def is_image(path: str) -> bool:
    """Whether the name of a file is that of an image, and it is neither hidden nor one of macOS's resource forks."""
    hidden = any(name.startswith(".") or name == "__MACOSX" for name in path.split("/"))
    return path.lower().endswith(SUFFIXES) and not hidden
