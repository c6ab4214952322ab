"""Files of lines, plain or packed by gzip, the format of all files that no other format claims.

A format whose records can be turned into lines one after the other derives its source from `FileSource`.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path

from gan_core.errors import DataError
from gan_core.storage.inputs import naming
from seqgan_gp.sources.base import CHUNK, PIECE, Chunk, Source, digest_of, give_lines
from seqgan_gp.sources.content import File, is_packed, unpacked
from seqgan_gp.sources.registry import Files, Format, Options

LM1B_TRAINING = "training-monolingual.tokenized.shuffled"  # the folder of training shards in an lm1b archive
LM1B_SHARD = re.compile(r"news\.en(-|\.heldout-)")
LONGEST_RECORD = 1 << 26  # bytes
JSON = re.compile(r".*\.json", re.IGNORECASE)  # data sets are described in such files, packed or not


class Lines(Format, name="lines", order=100):
    """Text files with one example per line."""

    endings = (".txt", ".gz")

    def claims(self, file: File) -> bool:
        return super().claims(file) or LM1B_SHARD.match(file.path.name) is not None

    def in_folder(self, files: list[File]) -> list[File]:
        return [file for file in super().in_folder(files) if not JSON.match(file.path.name)]

    def open(self, files: Files, how: Options) -> Source:
        return FileSource(files, how.bad_utf8)


class FileSource(Source):
    """The lines of one or several files, plain or gzip.

    Attributes:
        files: the files, in order.
        is_folder: whether they are the data files of one folder.
        divisible: whether a chunk may begin after any newline, because no record extends over several lines.
    """

    divisible = True

    def __init__(self, files: Files, bad_utf8: str):
        self.files = files.files
        self.is_folder = files.is_folder
        self.paths = tuple(file.path for file in self.files)
        self.bounds = list(accumulate((file.size() for file in self.files), initial=0))  # file i: bounds[i : i + 2]
        super().__init__(files.description, self.bounds[-1], bad_utf8)
        self.check_not_empty(self.size)

    def chunks(self) -> list[Chunk]:
        """Divide the files into chunks of about CHUNK bytes. A gzip file is never divided."""
        ends = [0]
        for (name, path), (first, last) in zip(self.files, pairwise(self.bounds), strict=True):
            if self.divisible and round((last - first) / CHUNK) > 1 and not is_packed(name, path):
                ends += (first + end for end in line_ends(name, path, last - first))
            if last - ends[-1] >= CHUNK or last == self.size:
                ends.append(last)
        return list(pairwise(sorted(set(ends))))

    def whole_files(self, chunk: Chunk) -> Chunk:
        start, end = chunk
        return max(b for b in self.bounds if b <= start), min(b for b in self.bounds if b >= end)

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, str, Iterable[bytes]]]:
        for number, (name, path) in enumerate(self.files):
            first, last = self.bounds[number : number + 2]
            if first < end and last > start:
                within = (max(start, first) - first, min(end, last) - first)
                yield number, name, self.content(name, self.followed(first, name, path, within))

    def content(self, name: str, pieces: Iterable[bytes]) -> Iterable[bytes]:
        """Turn the content of a file into lines of text, both in pieces of any size. Other formats override this.

        name: a name of the file for messages.

        Raises:
            DataError: the content does not have the format.
        """
        return pieces

    def head(self, file: File) -> bytes:
        """Return the lines at the beginning of a file, see `File.head`."""
        return b"".join(self.content(file.name, [file.head()]))

    def followed(self, first: int, name: str, path: Path, within: Chunk) -> Iterator[bytes]:
        """Yield the content of a file whose first byte has position `first`, and update `self.position`."""
        for position, piece in unpacked(name, path, within, PIECE):
            self.position = first + position
            yield piece

    def fingerprint(self, progress: bool = False) -> str:
        content = digest_of(self.files, self.size, progress)
        return hashlib.sha256(repr((self.reading, content)).encode()).hexdigest() if self.reading else content


def whole_lines(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Regroup the content of a file into blocks of whole lines. The last block may lack a newline.

    Raises:
        DataError: a line is longer than LONGEST_RECORD.
    """
    rest = b""
    for piece in pieces:
        whole, newline, rest = (rest + piece).rpartition(b"\n")
        if newline:
            yield whole + newline
        if len(rest) > LONGEST_RECORD:
            raise DataError(f"{name} has a line of more than {LONGEST_RECORD:,} bytes: check that its format is right")
    if rest:
        yield rest


def line_ends(name: str, path: Path, size: int) -> Iterator[int]:
    """Yield positions in a plain file at about every CHUNK bytes, each directly after a newline."""
    step, last = math.ceil(size / round(size / CHUNK)), 0
    with naming(name, give_lines()), path.open("rb") as file:
        for nominal in range(step, size, step):
            if nominal > last:
                file.seek(nominal - 1)
                while (rest := file.readline(PIECE)) and not rest.endswith(b"\n"):
                    pass
                last = file.tell()
                if last < size:
                    yield last
