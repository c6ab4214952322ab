"""The content of files that a user names: plain or gzip, without its byte order mark."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gan_core.storage.inputs import Unpacking, check_file, naming
from seqgan_gp.sources.base import BOM, MOST_UNPACKED, Chunk, give_a_file, give_lines

HEAD = 1 << 16  # bytes at the beginning of a file that formats and labels are recognised by
GZIP_MAGIC = b"\x1f\x8b"


class File(NamedTuple):
    """A file that a user names.

    name: the printable name for messages.
    """

    name: str
    path: Path

    @property
    def ending(self) -> str:
        """The ending of the file's name in lower case, such as ".txt"."""
        return self.path.suffix.lower()

    def size(self) -> int:
        """Return the size in bytes.

        Raises:
            DataError: the file does not exist, cannot be read, or is not a regular file.
        """
        return check_file(self.name, self.path, give_lines(), give_a_file())

    def head(self) -> bytes:
        """Return the first whole lines within HEAD bytes of the unpacked content, or HEAD bytes of a longer line.

        Raises:
            DataError: the file does not exist, cannot be read, or is not a regular file.
        """
        self.size()  # opening a pipe would block
        _, head = next(unpacked(self.name, self.path, (0, HEAD), HEAD), (0, b""))
        if len(head) >= HEAD - len(BOM):  # the file may continue
            head = head[: head.rfind(b"\n") + 1] or head
        return head


def is_packed(name: str, path: Path) -> bool:
    """Whether a file is read as gzip: its name ends with .gz, or its content begins with gzip's magic number."""
    with naming(name, give_lines()), path.open("rb") as raw:
        return path.suffix == ".gz" or raw.read(2) == GZIP_MAGIC


def unpacked(name: str, path: Path, within: Chunk, piece_size: int) -> Iterator[tuple[int, bytes]]:
    """Yield (position reached on disk, bytes) for each piece of a file's content, without its byte order mark.

    within: start and end in bytes. A gzip file is always read completely.
    """
    start, end = within
    packed = is_packed(name, path)
    with naming(name, give_lines()), path.open("rb") as raw:
        raw.seek(0 if packed else start)
        stream = Unpacking(raw, name, MOST_UNPACKED) if packed else raw
        at_start = packed or start == 0
        while piece := stream.read(piece_size if packed else min(piece_size, end - raw.tell())):
            yield raw.tell(), piece.removeprefix(BOM) if at_start else piece
            at_start = False
