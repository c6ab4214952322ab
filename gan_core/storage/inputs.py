"""Reading files that a user names; every error becomes one sentence that names the file."""

import gzip
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gan_core.errors import DataError, named
from gan_core.text import printable

MOST_UNPACKED = 200  # highest accepted ratio of unpacked to packed bytes; drawings on white reach 120
UNPACKED_FIRST = 1 << 24  # bytes; packed files up to this size are unpacked once at opening to check the ratio
SURELY_UNPACKED = 5 << 24  # bytes; unpacked sizes up to this are accepted at any ratio


@contextmanager
def naming(name: str, remedy: str) -> Iterator[None]:
    """Turn the errors of reading a file into a DataError of one sentence that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{name} does not exist: {remedy}") from error
    except PermissionError as error:
        raise DataError(
            f"{name} may not be read: ask for permission to read it, or give other {named('data')}"
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name} is damaged: its gzip data is cut short or corrupt, fetch it again") from error
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error.strerror}): {remedy}") from error


def path_of(spec: str, remedy: str) -> Path:
    """The path that the option `data` names, with ~ resolved.

    Raises:
        DataError: no file can have that name, or no file has it and it looks like an ID of the hub.
    """
    if not spec or "\0" in spec:
        raise DataError(f"{named('data', printable(spec) or '(empty)')} names no file: {remedy}")
    path = Path(os.path.expanduser(spec))  # noqa: PTH111 (Path.expanduser raises for an unknown ~user)
    with naming(printable(spec), remedy):
        if re.fullmatch(r"[\w.-]+/[\w.-]+", spec) and not path.exists():
            raise DataError(
                f"{spec} does not exist: for the hub's data set of that name write {named('data', f'hf:{spec}')}"
            )
    return path


def check_file(name: str, path: Path, remedy: str, instead: str = "save it to one") -> int:
    """The size in bytes of a regular, readable file.

    instead: the remedy in the message about a pipe, device or folder.

    Raises:
        DataError: the file does not exist, may not be read, or is not a regular file.
    """
    with naming(name, remedy):
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"{name} is not a regular file: {instead}")
        path.open("rb").close()
    return about.st_size


def most_unpacked(packed: int, times: int = MOST_UNPACKED) -> int:
    """The largest accepted unpacked size of a file of `packed` bytes; both sizes are in bytes.

    Deflate reaches a ratio of 1032, so a file of a few megabytes could fill the memory or the disk with zeros.
    """
    return max(SURELY_UNPACKED, times * packed)


class Unpacking(gzip.GzipFile):
    """A gzip file, open for reading, that refuses to unpack to more than `most_unpacked` bytes.

    A small file is unpacked once at opening, so that a bad one is refused before minutes are spent on its content.

    Raises:
        DataError: the file unpacks to more, detected at opening or on reading; the message names the file.
    """

    def __init__(self, raw: BinaryIO, name: str, times: int = MOST_UNPACKED) -> None:
        super().__init__(fileobj=raw, mode="rb")
        self.called, self.times = name, times
        packed = os.fstat(raw.fileno()).st_size
        self.most = most_unpacked(packed, times)
        if packed <= UNPACKED_FIRST:
            while self.read(1 << 22):
                pass
            self.rewind()

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes; all of the rest if `size` is negative or None."""
        left = self.most + 1 - self.tell()
        content = super().read(left if size is None or not 0 <= size <= left else size)
        if self.tell() > self.most:
            raise DataError(
                f"{self.called} unpacks to more than {self.most:,} bytes, over {self.times} times its size: unpack it "
                "yourself if it can be trusted"
            )
        return content


def read_limited(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes.

    Raises:
        ValueError: the file is larger, or not a regular file (a pipe or a device may never end).
        OSError: the file cannot be read.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it is larger than {limit} bytes")
    return content


def built_in_folder(package: Path, name: str) -> Path:
    """The folder of a built-in data set: in the installed package, else in the checkout."""
    installed = package / "data" / name
    return installed if installed.is_dir() else package.parent / "data" / name
