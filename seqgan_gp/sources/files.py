"""Files of lines, plain or packed by gzip. A file that no other format claims is read so."""

import math
import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path

from gan_core.storage.inputs import naming
from seqgan_gp.sources.base import CHUNK, PIECE, REMEDY, Chunk, Source, digest_of
from seqgan_gp.sources.content import File, is_packed, unpacked
from seqgan_gp.sources.registry import Files, Format, Options

LM1B_TRAINING = "training-monolingual.tokenized.shuffled"  # the folder of training shards in an lm1b archive
LM1B_SHARD = re.compile(r"news\.en(-|\.heldout-)")
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
    """The lines of one or several files, plain or gzip."""

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
            if round((last - first) / CHUNK) > 1 and not is_packed(name, path):
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
                yield number, name, self.followed(first, name, path, within)

    def followed(self, first: int, name: str, path: Path, within: Chunk) -> Iterator[bytes]:
        """Yield the content of a file whose first byte has position `first`, and update `self.position`."""
        for position, piece in unpacked(name, path, within, PIECE):
            self.position = first + position
            yield piece

    def fingerprint(self, progress: bool = False) -> str:
        return digest_of(self.files, self.size, progress)


def line_ends(name: str, path: Path, size: int) -> Iterator[int]:
    """Yield positions in a plain file at about every CHUNK bytes, each directly after a newline."""
    step, last = math.ceil(size / round(size / CHUNK)), 0
    with naming(name, REMEDY), path.open("rb") as file:
        for nominal in range(step, size, step):
            if nominal > last:
                file.seek(nominal - 1)
                while (rest := file.readline(PIECE)) and not rest.endswith(b"\n"):
                    pass
                last = file.tell()
                if last < size:
                    yield last
