"""`Source`: lines of text that can be read repeatedly, as a whole or in chunks."""

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

MOST_UNPACKED = 50  # limit of the unpacked size of a gzip file, as a multiple of its size; text reaches about 10
PIECE = 1 << 22  # bytes per read
CHUNK = 1 << 26  # approximate bytes of a chunk; a kill loses at most one unfinished chunk per process
HASHING = 4  # files hashed concurrently
BOM = b"\xef\xbb\xbf"
Chunk = tuple[int, int]  # start and end of a contiguous range of a source, in the source's units


def give_lines() -> str:
    """The remedy for data that names no lines."""
    return f"give a file of lines, a folder, a glob pattern, hf:ID, or the built-in {named('data', 'wordnet')}"


def give_a_file() -> str:
    """The remedy for a pipe or a device in place of a regular file."""
    return f"save it to one, or pipe it into {named('data', '-')}"


class Source(ABC):
    """Lines of text that can be read repeatedly.

    Attributes:
        description: a name of the data for users.
        size: length of the source in `unit`s: "B" (bytes on disk), " rows" or " shards".
        position: how far the latest `blocks()` has read, in the same units.
        counts: what the latest `blocks()` has met so far: "lines" read, lines "cut_at_limit" (longer than
            LINE_LIMIT) and lines of "bad_utf8" (replaced or skipped).
        labelled: whether every line has the form label<TAB>sentence because the source builds its lines so.
        classes: the class names, if the labels in the lines are the numbers 0, 1, ...; else ().
        paths: the files that determine the fingerprint; () if the fingerprint does not depend on files.
        reading: what determines the lines besides the content of the files, such as the name of a column.
    """

    unit = "B"
    labelled = False
    classes: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    reading = ""

    def __init__(self, description: str, size: int, bad_utf8: str):
        self.description = description
        self.size = size
        self.bad_utf8 = bad_utf8
        self.position = 0
        self.counts: Counter[str] = Counter()

    def blocks(self, chunk: Chunk | None = None) -> Iterator[bytes]:
        """Yield all lines in order, in blocks of whole lines of up to about 5 MB. Each block ends with a newline.

        chunk: read only the lines of this chunk, one of `chunks()`; it may hold none. If the chunk begins within a
            file, messages count lines from the beginning of the chunk.

        Raises:
            DataError: the data is not text, damaged, unreadable or empty.
        """
        for _, block in self.numbered_blocks(chunk):
            yield block

    def numbered_blocks(self, chunk: Chunk | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield the blocks of `blocks()`, each with the index (from 0) of the file that it was read from."""
        start, end = chunk or (0, self.size)
        self.position = start
        self.counts = Counter()
        for number, name, pieces in self.pieces(start, end):
            for block in clean_blocks(pieces, name, self.bad_utf8, self.counts):
                yield number, block
        if chunk is None:
            self.check_not_empty(self.counts["lines"])

    def check_not_empty(self, lines: int) -> None:
        """Raise DataError if `lines` is 0."""
        if not lines:
            raise DataError(f"{self.description} is empty: {give_lines()}")

    @abstractmethod
    def chunks(self) -> list[Chunk]:
        """Divide the source into consecutive chunks of whole lines. Every call returns the same list."""

    @abstractmethod
    def whole_files(self, chunk: Chunk) -> Chunk:
        """Return the smallest range of whole files that contains a chunk."""

    @abstractmethod
    def pieces(self, start: int, end: int) -> Iterator[tuple[int, str, Iterable[bytes]]]:
        """Yield (index, name for messages, raw bytes in pieces of any size) for each file between two positions.

        The bytes do not include a byte order mark at the beginning of a file.
        """

    @abstractmethod
    def fingerprint(self, progress: bool = False) -> str:
        """Return the SHA-256 of the content in hexadecimal. It does not depend on the machine or on file names."""


def digest_of(files: list[tuple[str, Path]], size: int, progress: bool) -> str:
    """Return the SHA-256 of the concatenated SHA-256 of each file, with a progress bar after one second.

    size: total size of the files in bytes, for the progress bar.
    """
    ended = Event()
    with Progress("check", size, shown=progress, delay=1) as bar, ThreadPoolExecutor(HASHING) as threads:
        try:
            digests = list(threads.map(lambda file: sha256(*file, bar.advance, ended), files))
        finally:
            ended.set()  # Ctrl-C does not reach the threads
    return hashlib.sha256(b"".join(digests)).hexdigest()


def sha256(name: str, path: Path, advance: Callable[[int], None], ended: Event) -> bytes:
    """Hash a file. Stop early once `ended` is set. `advance` receives the number of bytes of each read."""
    digest = hashlib.sha256()
    with naming(name, give_lines()), path.open("rb") as file:
        while not ended.is_set() and (piece := file.read(PIECE)):
            digest.update(piece)
            advance(len(piece))
    return digest.digest()
