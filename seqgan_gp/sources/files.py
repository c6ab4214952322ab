"""Files of lines, plain or packed by gzip."""

import math
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path

from gan_core.storage.inputs import Unpacking, check_file, naming
from seqgan_gp.sources.base import BOM, MOST_UNPACKED, PART, PIECE, Part, Source, digest_of, give_a_file, give_lines

HEAD = 1 << 16  # bytes of each file that are looked at to find out whether its lines are labelled
GZIP_MAGIC = b"\x1f\x8b"


class FileSource(Source):
    """Lines of one or several files, plain or gzip.

    files: pairs of a name for messages and a path.
    is_folder: whether they are the data files of one folder.
    """

    def __init__(self, files: list[tuple[str, Path]], description: str, bad_utf8: str, is_folder: bool = False):
        self.files = files
        self.is_folder = is_folder
        sizes = [check_file(name, path, give_lines(), give_a_file()) for name, path in files]
        self.paths = tuple(path for _, path in files)
        self.bounds = list(accumulate(sizes, initial=0))  # file i is from bounds[i] to bounds[i + 1]
        super().__init__(description, self.bounds[-1], bad_utf8)
        self.check_not_empty(self.size)

    def parts(self) -> list[Part]:
        """Parts of about PART bytes; a file that is packed with gzip is not divided."""
        ends = [0]
        for (name, path), (first, last) in zip(self.files, pairwise(self.bounds), strict=True):
            if round((last - first) / PART) > 1 and not is_packed(name, path):
                ends += (first + end for end in line_ends(name, path, last - first))
            if last - ends[-1] >= PART or last == self.size:
                ends.append(last)
        return list(pairwise(sorted(set(ends))))

    def whole_files(self, part: Part) -> Part:
        start, end = part
        return max(b for b in self.bounds if b <= start), min(b for b in self.bounds if b >= end)

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, str, Iterable[bytes]]]:
        """Yield the number, the name and the unpacked content of each file between two positions."""
        for number, (name, path) in enumerate(self.files):
            first, last = self.bounds[number : number + 2]
            if first < end and last > start:
                within = (max(start, first) - first, min(end, last) - first)
                yield number, name, self.followed(first, name, path, within)

    def followed(self, first: int, name: str, path: Path, within: Part) -> Iterator[bytes]:
        """Yield the content of a file that begins at position `first`, and keep `position`."""
        for position, piece in unpacked(name, path, within, PIECE):
            self.position = first + position
            yield piece

    def heads(self) -> Iterator[tuple[str, bytes]]:
        """Yield the name of each file and how it begins: whole lines of up to HEAD bytes, or a part of a longer one."""
        for name, path in self.files:
            _, head = next(unpacked(name, path, (0, HEAD), HEAD), (0, b""))
            if len(head) >= HEAD - len(BOM):  # the file may go on
                head = head[: head.rfind(b"\n") + 1] or head
            yield name, head

    def fingerprint(self, progress: bool = False) -> str:
        """SHA-256 of the SHA-256 of each file, in order."""
        return digest_of(self.files, self.size, progress)


def is_packed(name: str, path: Path) -> bool:
    """Whether a file counts as gzip: it is called so or begins so."""
    with naming(name, give_lines()), path.open("rb") as raw:
        return path.suffix == ".gz" or raw.read(2) == GZIP_MAGIC


def unpacked(name: str, path: Path, within: Part, piece_size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the content of a file without its byte order mark, and how far it was read on the disk, piece by piece.

    within: where to begin and to end, in bytes; of what is packed, all is read.
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


def line_ends(name: str, path: Path, size: int) -> Iterator[int]:
    """Yield positions in a plain file about PART bytes apart, each behind a newline."""
    step, last = math.ceil(size / round(size / PART)), 0
    with naming(name, give_lines()), path.open("rb") as file:
        for nominal in range(step, size, step):
            if nominal > last:
                file.seek(nominal - 1)
                while (rest := file.readline(PIECE)) and not rest.endswith(b"\n"):
                    pass
                last = file.tell()
                if last < size:
                    yield last
