"""What a source of lines is."""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from gan_core.errors import DataError, named
from gan_core.runtime.progress import Progress
from gan_core.storage.inputs import naming
from seqgan_gp.sources.cleaning import clean_blocks

MOST_UNPACKED = 50  # times its size that a gzip file may hold; text comes to 10
PIECE = 1 << 22  # bytes read at a time
PART = 1 << 26  # bytes of a part, about: what a kill costs at most, for each process
HASHING = 4  # files at a time
BOM = b"\xef\xbb\xbf"
Part = tuple[int, int]  # where a part of a source begins and where it ends, in the source's units


def give_lines() -> str:
    """The remedy for data that names no lines."""
    return f"give a file of lines, a folder, a glob pattern, hf:ID, or the built-in {named('data', 'wordnet')}"


def give_a_file() -> str:
    """The remedy for a pipe or a device in place of a regular file."""
    return f"save it to one, or pipe it into {named('data', '-')}"


class Source(ABC):
    """Lines of text that can be read as often as needed.

    Attributes:
        description: for people.
        size: how long the source is, in `unit`s: "B", bytes on the disk, or " rows", or " shards".
        position: how far the latest `blocks()` has read.
        counts: what the latest `blocks()` met so far: "lines" read, lines "cut_at_limit" (longer than
            LINE_LIMIT) and lines of "bad_utf8" (replaced or skipped).
        labelled: whether every line is label<TAB>sentence, because that is how the lines were made.
        classes: the names of the labels, where those are numbers 0, 1, ... in the lines; else ().
        paths: of the files that settle the fingerprint; () where others do.
    """

    unit = "B"
    labelled = False
    classes: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()

    def __init__(self, description: str, size: int, bad_utf8: str):
        self.description = description
        self.size = size
        self.bad_utf8 = bad_utf8
        self.position = 0
        self.counts: Counter[str] = Counter()

    def blocks(self, part: Part | None = None) -> Iterator[bytes]:
        """Yield all lines in order, as blocks of whole lines of up to about 5 MB, each ending with a newline.

        part: see `parts`; only its lines are read, and there may be none. Where it begins within a file, lines are
            counted from there in messages.

        Raises:
            DataError: the data is not text, damaged, unreadable or empty.
        """
        for _, block in self.numbered_blocks(part):
            yield block

    def numbered_blocks(self, part: Part | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield the same blocks, each with the number of the file that it is from, counted from 0."""
        start, end = part or (0, self.size)
        self.position = start
        self.counts = Counter()
        for number, name, pieces in self.pieces(start, end):
            for block in clean_blocks(pieces, name, self.bad_utf8, self.counts):
                yield number, block
        if part is None:
            self.check_not_empty(self.counts["lines"])

    def check_not_empty(self, lines: int) -> None:
        """Refuse a source of no lines."""
        if not lines:
            raise DataError(f"{self.description} is empty: {give_lines()}")

    @abstractmethod
    def parts(self) -> list[Part]:
        """What the source can be divided into, in order, each of whole lines; the same every time."""

    @abstractmethod
    def whole_files(self, part: Part) -> Part:
        """The smallest part of whole files that holds a part."""

    @abstractmethod
    def pieces(self, start: int, end: int) -> Iterator[tuple[int, str, Iterable[bytes]]]:
        """Yield the number, a name for messages, and the raw bytes in pieces of any size of each file of a part.

        A byte order mark at the beginning of a file is left out.
        """

    @abstractmethod
    def fingerprint(self, progress: bool = False) -> str:
        """SHA-256 of the content in hexadecimal: the same on every machine, whatever the files are called."""


def digest_of(files: list[tuple[str, Path]], size: int, progress: bool) -> str:
    """SHA-256 of the SHA-256 of each file, in order; shows how far it is if that takes more than a second.

    size: of the files together, bytes.
    """
    ended = Event()
    with Progress("check", size, shown=progress, delay=1) as bar, ThreadPoolExecutor(HASHING) as threads:
        try:
            digests = list(threads.map(lambda file: sha256(*file, bar.advance, ended), files))
        finally:
            ended.set()  # Ctrl-C does not reach the threads
    return hashlib.sha256(b"".join(digests)).hexdigest()


def sha256(name: str, path: Path, advance: Callable[[int], None], ended: Event) -> bytes:
    """The SHA-256 of a file, of what was read of it until `ended`; `advance` is told how many more bytes were read."""
    digest = hashlib.sha256()
    with naming(name, give_lines()), path.open("rb") as file:
        while not ended.is_set() and (piece := file.read(PIECE)):
            digest.update(piece)
            advance(len(piece))
    return digest.digest()
