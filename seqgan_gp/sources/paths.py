"""Lines from files, folders and glob patterns. Each file belongs to the first format that claims it."""

import glob
import os
from pathlib import Path

from gan_core.errors import DataError
from gan_core.storage.inputs import naming, path_of
from gan_core.text import printable
from seqgan_gp.sources.base import Source, give_lines
from seqgan_gp.sources.content import File
from seqgan_gp.sources.files import LM1B_TRAINING, Lines
from seqgan_gp.sources.registry import Files, Format, Options, Origin, formats


class Paths(Origin, name="path", order=1000):
    """A file, a folder or a glob pattern: whatever no other origin claims."""

    def claims(self, spec: str) -> bool:
        return True

    def open(self, spec: str, how: Options) -> Source:
        name = printable(spec)
        path = path_of(spec, give_lines())
        with naming(name, give_lines()):
            if path.is_dir():
                return folder_source(path, how)
            if not os.path.lexists(path) and glob.has_magic(spec):
                matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
                files = [File(printable(match), Path(match)) for match in sorted(matches) if not Path(match).is_dir()]
                if not files:
                    raise DataError(f"no file matches {name}: {give_lines()}")
                return files_source(files, f"{name} ({counted(files)})", how)
        return files_source([File(name, path)], name, how)


def files_source(files: list[File], description: str, how: Options) -> Source:
    """Return the source of files that all have one format.

    Raises:
        DataError: their formats differ, or a file cannot be used.
    """
    kinds = [format_of(file) for file in files]
    if len({kind.name for kind in kinds}) > 1:
        special = next(kind.name for kind in kinds if not isinstance(kind, Lines))
        raise DataError(f"{description} mixes {special} files with others: give a pattern that only one kind matches")
    return kinds[0].open(Files(files, description), how)


def format_of(file: File) -> Format:
    """Return the first format that claims a file. A file that no format claims holds lines."""
    return next((kind for kind in formats() if kind.claims(file)), Lines())


def folder_source(folder: Path, how: Options, description: str | None = None) -> Source:
    """Return the source of the data files of a folder, in the order of their names.

    If files of several formats are there, the format of the lowest order is read. If the folder is an unpacked lm1b
    archive, its training shards are read.

    Raises:
        DataError: the folder holds no data file, or a file cannot be used.
    """
    name = printable(folder)
    with naming(name, give_lines()):
        if (folder / LM1B_TRAINING).is_dir():
            folder = folder / LM1B_TRAINING
        listed = [File(printable(path), path) for path in sorted(folder.iterdir()) if not path.is_dir()]
    for kind in formats():
        if files := kind.in_folder(listed):
            return kind.open(Files(files, description or f"{name} ({counted(files)})", is_folder=True), how)
    endings = ", ".join(dict.fromkeys(f"*{ending}" for kind in formats() for ending in kind.endings))
    raise DataError(f"{name} holds no {endings} or lm1b file: {give_lines()}")


def counted(files: list[File]) -> str:
    """Return the number of files as text, such as "2 files"."""
    return f"{len(files)} file" + "s" * (len(files) != 1)
