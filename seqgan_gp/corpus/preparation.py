"""The long part of preparing a corpus, in parts that several processes do and that outlive a kill.

A source is read twice: the vocabulary is counted, and then every line is encoded. Both are done part by part (see
`Source.parts`), and what a part gave is kept in a sealed folder, whole or not at all, until the corpus is in the cache:

    .NAME.parts/             beside the corpus NAME, which the content of the source is hashed into
      vocabulary-0000000000/   part.json: how often each code point occurs in the part that begins there
      tokenizer/
      rows-0000000000/         rows.bin, labels.bin and part.json: the names of the labels, and counts

Who prepares the same corpus again does only what is missing. The parts put together are what a single reading from
the beginning to the end gives: lines do not depend on one another, counts add up, and labels are numbered anew.
"""

import fcntl
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.errors import DataError, UsageError, named
from gan_core.runtime.pool import Advance, do_all
from gan_core.runtime.progress import Progress
from gan_core.storage.sealed import DamagedError, sealed_folder, verify
from seqgan_gp import tokenizers
from seqgan_gp.lines import END, drop_blank, in_parts
from seqgan_gp.sources.base import Part, Source
from seqgan_gp.sources.labelled import LabelledSource
from seqgan_gp.tokenizers.base import PAD, Tokenizer, checked_vocab_size
from seqgan_gp.tokenizers.characters import ByteTokenizer, CharTokenizer, count_code_points, most_frequent

CELLS = 1 << 20  # symbols of rows in memory at a time
PART_FILE, ROWS_FILE, LABELS_FILE = "part.json", "rows.bin", "labels.bin"
OLD = 7 * 24 * 3600  # seconds after which nobody is expected to come back for parts


@dataclass(frozen=True)
class Encoded:
    """A source, encoded.

    Attributes:
        tokenizer: what encoded it.
        seq_len: symbols of a row.
        folders: of the parts, in order; each has the rows that follow those of the one before.
        numbers: of each part, the class (labels + 1,) int16 of each label in its file, the last of UNKNOWN; () where
            nothing is labelled.
        classes: their names.
        counts: of all parts together, see `encode`.
    """

    tokenizer: Tokenizer
    seq_len: int
    folders: list[Path]
    numbers: list[np.ndarray]
    classes: tuple[str, ...]
    counts: Counter[str]

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yield the rows (n, seq_len) in order, and their labels (n,), in chunks that fit into memory."""
        step = max(1, CELLS // self.seq_len)
        for number, folder in enumerate(self.folders):
            with (folder / ROWS_FILE).open("rb") as rows, (folder / LABELS_FILE).open("rb") as labels:
                while (read := np.fromfile(rows, self.tokenizer.dtype, step * self.seq_len)).size:
                    chunk = read.reshape(-1, self.seq_len)
                    if self.numbers:
                        yield chunk, self.numbers[number][np.fromfile(labels, np.int16, len(chunk))]
                    else:
                        yield chunk, None


@dataclass(frozen=True)
class Reading:
    """How the parts of a source are read, and where what they give is put; it travels to other processes.

    form: of the labels, see `LabelledSource`. seq_len: symbols of a row. folder: for what the parts give.
    """

    source: Source
    form: str
    seq_len: int
    parts: list[Part]
    folder: Path

    def count(self, part: Part, advance: Advance) -> None:
        """Count the code points of a part: "rows" and "lines" are counted too."""
        frequency, rows = np.zeros(END, np.int64), 0
        with self.naming_lines(part), self.keeping(self.place("vocabulary", part)) as folder:
            for block, _ in read_lines(self.labelled(), self.seq_len, advance, part):
                rows += block.count(b"\n")
                count_code_points(block, self.seq_len, frequency)
            present = np.flatnonzero(frequency)
            found = {"code_points": present.tolist(), "frequency": frequency[present].tolist()}
            write_part(folder, part, {"lines": self.source.counts["lines"], "rows": rows}, **found)

    def encode(self, part: Part, advance: Advance) -> None:
        """Write the rows of a part, and their labels if they have any.

        Counts the "lines" read, those "blank" (dropped), "bad_utf8", "cut_at_limit" (of a line) and "cut_at_length"
        (of a row), the "rows", their "symbols", and the "unknown" ones among these.
        """
        labelled, tokenizer, length = self.labelled(), tokenizers.load(self.folder / "tokenizer"), self.seq_len
        counts: Counter[str] = Counter()
        with self.naming_lines(part), self.keeping(self.place("rows", part)) as folder:
            with (folder / ROWS_FILE).open("wb") as rows_file, (folder / LABELS_FILE).open("wb") as label_file:
                for block, numbers in read_lines(labelled, length, advance, part):
                    rows = tokenizer.encode_block(block, length + 1)  # one more symbol tells whether the line goes on
                    counts["cut_at_length"] += int(np.count_nonzero(rows[:, length] != PAD))
                    rows = np.ascontiguousarray(rows[:, :length])
                    counts["rows"] += len(rows)
                    counts["symbols"] += int(np.count_nonzero(rows != PAD))
                    if tokenizer.unk is not None:
                        counts["unknown"] += int(np.count_nonzero(rows == tokenizer.unk))
                    rows_file.write(rows)
                    if numbers is not None:
                        label_file.write(numbers)
            write_part(folder, part, counts + self.source.counts, names=labelled.names)

    def labelled(self) -> LabelledSource:
        """The source and its labels, none of which was met yet."""
        return LabelledSource(self.source, self.form)

    def place(self, what: str, part: Part) -> Path:
        """The folder of what a part gave."""
        return self.folder / f"{what}-{part[0]:010}"

    @contextmanager
    def keeping(self, folder: Path) -> Iterator[Path]:
        """Yield a folder to fill, which becomes `folder` whole or not at all; a single part outlives nothing."""
        if len(self.parts) > 1:
            with sealed_folder(folder) as temporary:
                yield temporary
        else:
            folder.mkdir()
            yield folder

    def missing(self, what: str) -> list[Part]:
        """The parts that have not given something yet, or whose files are damaged."""
        return [part for part in self.parts if not is_finished(self.place(what, part), part)]

    def given(self, what: str) -> list[dict[str, Any]]:
        """What `write_part` wrote of all parts."""
        return [json.loads((self.place(what, part) / PART_FILE).read_text()) for part in self.parts]

    @contextmanager
    def naming_lines(self, part: Part) -> Iterator[None]:
        """Read the files of a part from their beginning if it is found unusable, so that lines have their numbers."""
        try:
            yield
        except DataError:
            whole = self.source.whole_files(part)
            if whole != part:
                for _ in self.labelled().blocks(whole):
                    pass
            raise


def encode(
    reading: Reading, labelled: LabelledSource, train: str | Tokenizer, vocab_size: int | None, progress: bool
) -> Encoded:
    """Encode all lines of a source that are not blank; the parts that are finished already are not read again.

    Args:
        reading: of the source.
        labelled: the source and its labels, which are met in this.
        train: the kind of tokenizer to make, see `tokenizer.train`, or the tokenizer to use.
        vocab_size: see `tokenizer.train`.
        progress: whether to show how far it is.

    Raises:
        DataError: the source is unusable or holds only blank lines.
    """
    for left_over in reading.folder.glob(".*"):  # by a process that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    if not is_whole(reading.folder / "tokenizer"):
        tokenizer = make_tokenizer(reading, train, vocab_size, progress)
        with reading.keeping(reading.folder / "tokenizer") as temporary:
            tokenizer.save(temporary)
    parts, counts = do_missing(reading, "rows", "encode", reading.encode, progress)
    given = list(range(len(labelled.given)))
    met = [[labelled.number(name.encode()) for name in about["names"][len(given) :]] for about in parts]
    classes, places = labelled.in_order()
    return Encoded(
        tokenizers.load(reading.folder / "tokenizer"),
        reading.seq_len,
        [reading.place("rows", part) for part in reading.parts],
        [places[[*given, *numbers, -1]] for numbers in met] if classes else [],
        classes,
        counts,
    )


def make_tokenizer(reading: Reading, train: str | Tokenizer, vocab_size: int | None, progress: bool) -> Tokenizer:
    """The tokenizer of the lines of a source, or the one that is given."""
    if isinstance(train, Tokenizer):
        return train
    source, length = reading.source, reading.seq_len
    if train == "char":
        parts, _ = do_missing(reading, "vocabulary", "vocabulary", reading.count, progress)
        frequency = np.zeros(END, np.int64)
        for about in parts:
            frequency[about["code_points"]] += np.array(about["frequency"], np.int64)
        return CharTokenizer(most_frequent(frequency, checked_vocab_size(train, vocab_size) - 2))
    if train == "byte":
        return ByteTokenizer()
    with Progress("vocabulary", source.size, source.unit, progress) as bar:  # one sample of all lines: one process
        lines = read_lines(reading.labelled(), length, bar.advance)
        return tokenizers.train(train, (block for block, _ in lines), vocab_size, length)


def do_missing(
    reading: Reading, what: str, task: str, work: Callable[[Part, Advance], None], progress: bool
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Do the parts that have not given something yet; what all gave, and the sum of their counts."""
    source, missing = reading.source, reading.missing(what)
    finished = len(reading.parts) - len(missing)
    if progress and finished:
        told = f"{task}: goes on where it was interrupted, {finished} of {len(reading.parts)} parts are finished"
        print(told, file=sys.stderr)
    done = source.size - sum(end - start for start, end in missing)
    with Progress(task, source.size, source.unit, progress, done) as bar:
        do_all(work, missing, bar.advance)
    parts = reading.given(what)
    counts: Counter[str] = Counter()
    for about in parts:
        counts.update(about["counts"])
    check_not_blank(source, counts["lines"], counts["rows"])
    return parts, counts


def read_lines(
    labelled: LabelledSource, length: int, advance: Advance, part: Part | None = None, keep_blank: bool = False
) -> Iterator[tuple[bytes, np.ndarray | None]]:
    """Yield what `LabelledSource.blocks` does, in blocks whose rows of `length` symbols fit into memory.

    Blank lines are dropped and counted in `labelled.source.counts["blank"]`. `advance` is told how much more of the
    source was read.

    Raises:
        DataError: the source is unusable, or it is to be read whole and holds no line but blank ones.
    """
    source, used, most = labelled.source, False, max(1, CELLS // length)
    position = part[0] if part else 0
    for block, labels in labelled.blocks(part):
        advance(source.position - position)
        position = source.position
        if not keep_blank:
            block, kept = drop_blank(block)
            if kept is not None:
                source.counts["blank"] += int(np.count_nonzero(~kept))
                labels = None if labels is None else labels[kept]
        used = used or bool(block)
        for number, lines in enumerate(in_parts(block, most)):
            yield lines, None if labels is None else labels[number * most : (number + 1) * most]
    advance(source.position - position)  # at the end there may be lines that are all skipped
    if part is None:
        check_not_blank(source, source.counts["lines"], used)


def check_not_blank(source: Source, lines: int, rows: int) -> None:
    """Refuse a source of so many lines and rows if it has none."""
    source.check_not_empty(lines)
    if not rows:
        raise DataError(f"{source.description} holds only blank or skipped lines: give another {named('data')}")


def write_part(folder: Path, part: Part, counts: Counter[str] | dict[str, int], **more: Any) -> None:
    """Write what a part gave, besides its rows."""
    (folder / PART_FILE).write_text(json.dumps({"part": part, "counts": dict(counts), **more}))


def is_finished(folder: Path, part: Part) -> bool:
    """Whether a folder is there, as it was written, and of this part."""
    return is_whole(folder) and json.loads((folder / PART_FILE).read_text())["part"] == list(part)


def is_whole(folder: Path) -> bool:
    """Whether a sealed folder is there, and as it was written."""
    try:
        verify(folder)
    except (DamagedError, OSError):
        return False
    return True


@contextmanager
def folder_of_parts(name: str, corpus: Path, parts: int) -> Iterator[Path]:
    """Yield the folder for so many parts of the corpus `name`, which is being written to the folder `corpus`.

    Where there is only one, its folder disappears in the end: there is nothing to go on with.
    """
    if parts == 1:
        with tempfile.TemporaryDirectory(dir=corpus) as temporary:
            yield Path(temporary)
        return
    folder = corpus.parent / f".{name}.parts"
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    except (DataError, UsageError):  # it would end so again
        shutil.rmtree(folder, ignore_errors=True)
        raise


def sweep(root: Path) -> None:
    """Remove the parts of corpora that are finished, and those that nobody came back for."""
    for folder in root.glob(".*.parts"):
        name = folder.name.removeprefix(".").removesuffix(".parts")
        try:
            if not (root / name).exists() and time.time() - folder.stat().st_mtime < OLD:
                continue
            with (root / f".{name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where someone is at work on them
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
