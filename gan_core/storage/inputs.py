"""Files that a user names: what is wrong with one becomes a sentence that names it."""

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

MOST_UNPACKED = 200  # times its size on the disk that a packed file may hold; drawings on white come to 120
UNPACKED_FIRST = 1 << 24  # bytes of a packed file up to which it is unpacked to find out how much it holds
SURELY_UNPACKED = 5 << 24  # bytes that any packed file may hold


@contextmanager
def naming(name: str, remedy: str) -> Iterator[None]:
    """Turn what goes wrong while a file is read into one sentence that names it."""
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
        DataError: no file can have that name, or none has and it looks like the hub's.
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
    """The size of a file in bytes, which is on the disk and may be read; `instead` is for what is no regular file."""
    with naming(name, remedy):
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"{name} is not a regular file: {instead}")
        path.open("rb").close()
    return about.st_size


def most_unpacked(packed: int, times: int = MOST_UNPACKED) -> int:
    """The bytes that a packed file of so many bytes may hold: one that holds more is a bomb, or nothing to learn from.

    Deflate reaches 1032 to 1, so that a file of a megabyte could fill the memory or the disk with zeros.
    """
    return max(SURELY_UNPACKED, times * packed)


class Unpacking(gzip.GzipFile):
    """A gzip file, open for reading, that may not hold more than `most_unpacked`.

    A small one is unpacked at once to find out, before minutes are spent on what is in it.

    Raises:
        DataError: it holds more, found out at once or on reading beyond that; the message names the file.
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
        """At most so many bytes."""
        left = self.most + 1 - self.tell()
        content = super().read(left if size is None or not 0 <= size <= left else size)
        if self.tell() > self.most:
            raise DataError(
                f"{self.called} unpacks to more than {self.most:,} bytes, over {self.times} times its size: unpack it "
                "yourself if it can be trusted"
            )
        return content


def read_limited(path: Path, limit: int) -> bytes:
    """The content of a file that may not be larger than `limit` bytes.

    Raises:
        ValueError: it is larger, or no regular file, which might never end.
        OSError: it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it is larger than {limit} bytes")
    return content


def built_in_folder(package: Path, name: str) -> Path:
    """The folder of a built-in data set: inside an installed package, or else in the checkout."""
    installed = package / "data" / name
    return installed if installed.is_dir() else package.parent / "data" / name
