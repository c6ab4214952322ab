"""Folders and zips of image files: splits and classes are sub-folders."""

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
from image_gan.sources.base import SPLITS, Picture, PictureSource, counted, give_images
from image_gan.sources.decode import SUFFIXES, BadImageError, check_bytes


class FolderSource(PictureSource):
    """A folder of image files: see `laid_out`."""

    def __init__(self, folder: Path, max_pixels: int, bad_images: str):
        self.folder = folder
        name = printable(folder)
        with naming(name, give_images()):
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
        """The content of a member; what its size says is checked first, and no more than that is unpacked."""
        size = archive.getinfo(member).file_size
        check_bytes(size, f"{self.name}: {printable(member)}", self.max_pixels)
        with archive.open(member) as file:
            return file.read(size)  # no more is unpacked, whatever there is; zipfile compares checksums at the end

    def fingerprint(self, progress: bool = False) -> str:
        with naming(self.name, give_images()):
            return sha256(self.path)


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
