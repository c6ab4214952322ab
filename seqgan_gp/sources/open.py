"""Where lines of text come from: built-in data, files, folders, glob patterns, parquet, standard input, the hub.

`open_source` turns what `--data` was given into a `Source`, whose `blocks()` are clean lines: valid UTF-8,
each ended by one "\\n", of bounded length. Only "\\n" or "\\r\\n" ends a line; "\\r" alone, U+2028 and the like
are characters. Nothing here holds more than a few blocks, whatever the size of the data or of a line.

A source can be read in parts, see `Source.parts`: what is read is the same, wherever it is divided.
"""

import errno
import glob
import hashlib
import math
import os
import re
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from threading import Event

from gan_core.errors import DataError, GanError, UsageError
from gan_core.runtime.progress import Progress
from gan_core.storage.inputs import Unpacking, built_in_folder, check_file, naming, path_of, printable
from seqgan_gp.sources.cleaning import clean_blocks

BUILT_IN = {"wordnet": "the definitions and example sentences of WordNet 3.0"}
BAD_UTF8 = ("error", "replace", "skip")
MOST_UNPACKED = 50  # times its size that a gzip file may hold; text comes to 10
PIECE = 1 << 22  # bytes read at a time
PART = 1 << 26  # bytes of a part, about: what a kill costs at most, for each process
HASHING = 4  # files at a time
HEAD = 1 << 16  # bytes of each file that are looked at to find out whether its lines are labelled

GZIP_MAGIC = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"
LM1B_TRAINING = "training-monolingual.tokenized.shuffled"
LM1B_SHARD = re.compile(r"news\.en(-|\.heldout-)")
PARQUET = ".parquet"
PARQUET_TRAINING = re.compile(r"train-\d+-of-\d+")  # how the hub calls the shards of a split
NOT_DATA = re.compile(r"\.|readme|licen[cs]e|.*\.json", re.IGNORECASE)
REMEDY = "give a file of lines, a folder, a glob pattern, hf:ID, or the built-in --data wordnet"
NO_PIPE = "save it to one, or pipe it into --data -"


Part = tuple[int, int]  # where a part of a source begins and where it ends, in the source's units


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
            raise DataError(f"{self.description} is empty: {REMEDY}")

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


class FileSource(Source):
    """Lines of one or several files, plain or gzip.

    files: pairs of a name for messages and a path.
    is_folder: whether they are the data files of one folder.
    """

    def __init__(self, files: list[tuple[str, Path]], description: str, bad_utf8: str, is_folder: bool = False):
        self.files = files
        self.is_folder = is_folder
        sizes = [check_file(name, path, REMEDY, NO_PIPE) for name, path in files]
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
    with naming(name, REMEDY), path.open("rb") as raw:
        return path.suffix == ".gz" or raw.read(2) == GZIP_MAGIC


def unpacked(name: str, path: Path, within: Part, piece_size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the content of a file without its byte order mark, and how far it was read on the disk, piece by piece.

    within: where to begin and to end, in bytes; of what is packed, all is read.
    """
    start, end = within
    packed = is_packed(name, path)
    with naming(name, REMEDY), path.open("rb") as raw:
        raw.seek(0 if packed else start)
        stream = Unpacking(raw, name, MOST_UNPACKED) if packed else raw
        at_start = packed or start == 0
        while piece := stream.read(piece_size if packed else min(piece_size, end - raw.tell())):
            yield raw.tell(), piece.removeprefix(BOM) if at_start else piece
            at_start = False


def line_ends(name: str, path: Path, size: int) -> Iterator[int]:
    """Yield positions in a plain file about PART bytes apart, each behind a newline."""
    step, last = math.ceil(size / round(size / PART)), 0
    with naming(name, REMEDY), path.open("rb") as file:
        for nominal in range(step, size, step):
            if nominal > last:
                file.seek(nominal - 1)
                while (rest := file.readline(PIECE)) and not rest.endswith(b"\n"):
                    pass
                last = file.tell()
                if last < size:
                    yield last


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
    with naming(name, REMEDY), path.open("rb") as file:
        while not ended.is_set() and (piece := file.read(PIECE)):
            digest.update(piece)
            advance(len(piece))
    return digest.digest()


def open_source(spec: str, bad_utf8: str = "error", with_labels: bool = False) -> Source:
    """The source that `--data` names.

    Args:
        spec: a name of BUILT_IN; a file; a folder of *.txt and *.gz files, of lm1b shards or of *.parquet files; a
            glob pattern; "-" for standard input; or "hf:ID[@REVISION][:SPLIT]" for a data set of the Hugging Face hub,
            "hf-stream:..." for one that is read from there without being kept.
        bad_utf8: what to do with a line that is not UTF-8: "error", "replace" its wrong bytes by U+FFFD, or
            "skip" it.
        with_labels: whether the lines shall be label<TAB>sentence where a data set of the hub has a column of labels.

    Raises:
        DataError: nothing usable is there.
        UsageError: `bad_utf8` is none of the three.
    """
    if bad_utf8 not in BAD_UTF8:
        raise UsageError(f"--bad-utf8 {printable(bad_utf8)} is unknown: choose one of {', '.join(BAD_UTF8)}")
    if spec in BUILT_IN:
        return folder_source(built_in_folder(Path(__file__).parents[1], spec), bad_utf8, f"{spec} ({BUILT_IN[spec]})")
    if spec == "-":
        return FileSource([("standard input", Path(spooled_stdin().name))], "standard input", bad_utf8)
    if spec.startswith(("hf:", "hf-stream:")):
        from seqgan_gp.sources.hub import open_hub_source

        return open_hub_source(spec, bad_utf8, with_labels)
    return path_source(spec, bad_utf8, with_labels)


def path_source(spec: str, bad_utf8: str, with_labels: bool = False) -> Source:
    """The source of a file, a folder or a glob pattern."""
    name = printable(spec)
    path = path_of(spec, REMEDY)
    with naming(name, REMEDY):
        if path.is_dir():
            return folder_source(path, bad_utf8, with_labels=with_labels)
        if not os.path.lexists(path) and glob.has_magic(spec):
            matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
            files = [(printable(match), Path(match)) for match in sorted(matches) if not Path(match).is_dir()]
            if not files:
                raise DataError(f"no file matches {name}: {REMEDY}")
            return files_source(files, f"{name} ({counted(files)})", bad_utf8, with_labels)
    return files_source([(name, path)], name, bad_utf8, with_labels)


def files_source(files: list[tuple[str, Path]], description: str, bad_utf8: str, with_labels: bool) -> Source:
    """The source of files of lines, or of parquet files."""
    tables = [path.suffix.lower() == PARQUET for _, path in files]
    if not any(tables):
        return FileSource(files, description, bad_utf8)
    if not all(tables):
        raise DataError(f"{description} mixes parquet files with others: give a pattern that only one kind matches")
    from seqgan_gp.sources.parquet import ParquetSource

    return ParquetSource(files, description, bad_utf8, with_labels)


def folder_source(folder: Path, bad_utf8: str, description: str | None = None, with_labels: bool = False) -> Source:
    """The source of the data files of a folder, by name; of an unpacked lm1b archive the training shards.

    Parquet files count where there are no others, and of a data set in the hub's form only the training shards.
    """
    name = printable(folder)
    with naming(name, REMEDY):
        if (folder / LM1B_TRAINING).is_dir():
            folder = folder / LM1B_TRAINING
        listed = sorted(path for path in folder.iterdir() if not path.is_dir())
    paths = [path for path in listed if is_data(path)]
    tables = [path for path in listed if path.suffix.lower() == PARQUET and not NOT_DATA.match(path.name)]
    if not paths and tables:
        training = [path for path in tables if PARQUET_TRAINING.match(path.name)] or tables
        files = [(printable(path), path) for path in training]
        return files_source(files, f"{name} ({counted(files)})", bad_utf8, with_labels)
    if not paths:
        raise DataError(f"{name} holds no *.txt, *.gz, *.parquet or lm1b file: {REMEDY}")
    files = [(printable(path), path) for path in paths]
    return FileSource(files, description or f"{name} ({counted(files)})", bad_utf8, is_folder=True)


def is_data(path: Path) -> bool:
    """Whether a file of a folder is data, by its name."""
    if NOT_DATA.match(path.name):
        return False
    return path.suffix.lower() in (".txt", ".gz") or LM1B_SHARD.match(path.name) is not None


@cache
def spooled_stdin():
    """Standard input as a temporary file, since it is read several times; deleted when the program ends."""
    if sys.stdin is None:
        raise DataError(f"standard input is closed: {REMEDY}")
    file = tempfile.NamedTemporaryFile(prefix="seqgan-gp-stdin-")  # noqa: SIM115 (it outlives this function)
    try:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
    except OSError as error:
        file.close()
        if error.errno == errno.ENOSPC:
            folder = tempfile.gettempdir()
            raise GanError(f"no space is left for standard input: free some in {folder} or set TMPDIR") from error
        raise DataError(f"standard input cannot be read ({error.strerror}): {REMEDY}") from error
    return file


def counted(files: list) -> str:
    """How many files, in words."""
    return f"{len(files)} file" + "s" * (len(files) != 1)
