"""The long phase of preparing a corpus: in chunks, by several processes, resumable after a kill.

A source is read twice: once to count the vocabulary, once to encode every line. Both passes go chunk by chunk (see
`Source.chunks`). The result of a chunk stays in a sealed folder, complete or absent, until the corpus is in the cache:

    .NAME.chunks/              beside the corpus NAME; NAME is a hash of the source's content and the options
      vocabulary-0000000000/   chunk.json: frequencies of the code points in the chunk that begins at this position
      tokenizer/
      rows-0000000000/         rows.bin, labels.bin and chunk.json: the names of the labels, and counts

A process that prepares the same corpus again computes the missing results only. The combined chunks equal one pass
over the whole source: lines do not depend on one another, counts add up, and labels are renumbered.
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
from seqgan_gp.lines import END, drop_blank, in_blocks
from seqgan_gp.sources.base import Chunk, Source
from seqgan_gp.sources.labelled import LabelledSource
from seqgan_gp.tokenizers.base import PAD, Tokenizer, checked_vocab_size
from seqgan_gp.tokenizers.characters import ByteTokenizer, CharTokenizer, count_code_points, most_frequent

CELLS = 1 << 20  # symbols of rows in memory at a time
CHUNK_FILE, ROWS_FILE, LABELS_FILE = "chunk.json", "rows.bin", "labels.bin"
OLD = 7 * 24 * 3600  # seconds after which the chunks of an unfinished corpus are removed


@dataclass(frozen=True)
class Encoded:
    """The encoded lines of a source.

    Attributes:
        tokenizer: the tokenizer that encoded them.
        seq_len: symbols per row.
        folders: the folders of the chunks, in order.
        numbers: for each chunk an int16 array (labels + 1,) that maps a label in its file to a class, and -1 to
            UNKNOWN; [] if nothing is labelled.
        classes: the names of the classes.
        counts: the counts of all chunks together, see `Reading.encode`.
    """

    tokenizer: Tokenizer
    seq_len: int
    folders: list[Path]
    numbers: list[np.ndarray]
    classes: tuple[str, ...]
    counts: Counter[str]

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yield (rows (n, seq_len), labels (n,) or None) in order, in batches that fit into memory."""
        step = max(1, CELLS // self.seq_len)
        for number, folder in enumerate(self.folders):
            with (folder / ROWS_FILE).open("rb") as rows, (folder / LABELS_FILE).open("rb") as labels:
                while (read := np.fromfile(rows, self.tokenizer.dtype, step * self.seq_len)).size:
                    batch = read.reshape(-1, self.seq_len)
                    if self.numbers:
                        yield batch, self.numbers[number][np.fromfile(labels, np.int16, len(batch))]
                    else:
                        yield batch, None


@dataclass(frozen=True)
class Reading:
    """How the chunks of a source are read, and where their results go. It is sent to other processes.

    Attributes:
        source: the source.
        form: the form of the labels, see `LabelledSource`.
        seq_len: symbols per row.
        chunks: all chunks of the source.
        folder: the folder of the results.
    """

    source: Source
    form: str
    seq_len: int
    chunks: list[Chunk]
    folder: Path

    def count(self, chunk: Chunk, advance: Advance) -> None:
        """Count the code points of a chunk, its "rows" and its "lines"."""
        frequency, rows = np.zeros(END, np.int64), 0
        with self.naming_lines(chunk), self.keeping(self.place("vocabulary", chunk)) as folder:
            for block, _ in read_lines(self.labelled(), self.seq_len, advance, chunk):
                rows += block.count(b"\n")
                count_code_points(block, self.seq_len, frequency)
            present = np.flatnonzero(frequency)
            found = {"code_points": present.tolist(), "frequency": frequency[present].tolist()}
            write_chunk(folder, chunk, {"lines": self.source.counts["lines"], "rows": rows}, **found)

    def encode(self, chunk: Chunk, advance: Advance) -> None:
        """Write the rows of a chunk, and their labels if there are any.

        The counts are: "lines" read, lines that are "blank" (dropped), of "bad_utf8", "cut_at_limit" (LINE_LIMIT) and
        "cut_at_length" (`seq_len`); "rows", their "symbols", and how many of the symbols are "unknown".
        """
        labelled, tokenizer, length = self.labelled(), tokenizers.load(self.folder / "tokenizer"), self.seq_len
        counts: Counter[str] = Counter()
        with self.naming_lines(chunk), self.keeping(self.place("rows", chunk)) as folder:
            with (folder / ROWS_FILE).open("wb") as rows_file, (folder / LABELS_FILE).open("wb") as label_file:
                for block, numbers in read_lines(labelled, length, advance, chunk):
                    rows = tokenizer.encode_block(block, length + 1)  # one more symbol shows whether the line was cut
                    counts["cut_at_length"] += int(np.count_nonzero(rows[:, length] != PAD))
                    rows = np.ascontiguousarray(rows[:, :length])
                    counts["rows"] += len(rows)
                    counts["symbols"] += int(np.count_nonzero(rows != PAD))
                    if tokenizer.unk is not None:
                        counts["unknown"] += int(np.count_nonzero(rows == tokenizer.unk))
                    rows_file.write(rows)
                    if numbers is not None:
                        label_file.write(numbers)
            write_chunk(folder, chunk, counts + self.source.counts, names=labelled.names)

    def labelled(self) -> LabelledSource:
        """Return the source with its labels, before any label is met."""
        return LabelledSource(self.source, self.form)

    def place(self, what: str, chunk: Chunk) -> Path:
        """Return the folder of a result of a chunk; `what` is "vocabulary" or "rows"."""
        return self.folder / f"{what}-{chunk[0]:010}"

    @contextmanager
    def keeping(self, folder: Path) -> Iterator[Path]:
        """Yield a folder to fill. If there are several chunks, it becomes `folder` completely or not at all."""
        if len(self.chunks) > 1:
            with sealed_folder(folder) as temporary:
                yield temporary
        else:
            folder.mkdir()
            yield folder

    def missing(self, what: str) -> list[Chunk]:
        """Return the chunks whose result `what` is missing or damaged."""
        return [chunk for chunk in self.chunks if not is_finished(self.place(what, chunk), chunk)]

    def given(self, what: str) -> list[dict[str, Any]]:
        """Return what `write_chunk` wrote for the result `what` of each chunk."""
        return [json.loads((self.place(what, chunk) / CHUNK_FILE).read_text()) for chunk in self.chunks]

    @contextmanager
    def naming_lines(self, chunk: Chunk) -> Iterator[None]:
        """On a DataError within a chunk, read its files from their beginning, to get the true line number."""
        try:
            yield
        except DataError:
            whole = self.source.whole_files(chunk)
            if whole != chunk:
                for _ in self.labelled().blocks(whole):
                    pass
            raise


def encode(
    reading: Reading, labelled: LabelledSource, train: str | Tokenizer, vocab_size: int | None, progress: bool
) -> Encoded:
    """Encode all lines of a source that are not blank. Finished chunks are not read again.

    Args:
        reading: how the chunks of the source are read.
        labelled: the source and its labels; its class numbers are filled in.
        train: the kind of tokenizer to train, see `tokenizers.train`, or the tokenizer to use.
        vocab_size: see `tokenizers.train`.
        progress: whether to show progress.

    Raises:
        DataError: the source is unusable or holds only blank lines.
    """
    for left_over in reading.folder.glob(".*"):  # unfinished results of a killed process
        shutil.rmtree(left_over, ignore_errors=True)
    if not is_whole(reading.folder / "tokenizer"):
        tokenizer = make_tokenizer(reading, train, vocab_size, progress)
        with reading.keeping(reading.folder / "tokenizer") as temporary:
            tokenizer.save(temporary)
    chunks, counts = do_missing(reading, "rows", "encode", reading.encode, progress)
    given = list(range(len(labelled.given)))
    met = [[labelled.number(name.encode()) for name in about["names"][len(given) :]] for about in chunks]
    classes, places = labelled.in_order()
    return Encoded(
        tokenizers.load(reading.folder / "tokenizer"),
        reading.seq_len,
        [reading.place("rows", chunk) for chunk in reading.chunks],
        [places[[*given, *numbers, -1]] for numbers in met] if classes else [],
        classes,
        counts,
    )


def make_tokenizer(reading: Reading, train: str | Tokenizer, vocab_size: int | None, progress: bool) -> Tokenizer:
    """Return the given tokenizer, or train one of the given kind on the lines of the source."""
    if isinstance(train, Tokenizer):
        return train
    source, length = reading.source, reading.seq_len
    if train == "char":
        chunks, _ = do_missing(reading, "vocabulary", "vocabulary", reading.count, progress)
        frequency = np.zeros(END, np.int64)
        for about in chunks:
            frequency[about["code_points"]] += np.array(about["frequency"], np.int64)
        return CharTokenizer(most_frequent(frequency, checked_vocab_size(train, vocab_size) - 2))
    if train == "byte":
        return ByteTokenizer()
    with Progress(
        "vocabulary", source.size, source.unit, progress
    ) as bar:  # one process, because the training sample is drawn from all lines
        lines = read_lines(reading.labelled(), length, bar.advance)
        return tokenizers.train(train, (block for block, _ in lines), vocab_size, length)


def do_missing(
    reading: Reading, what: str, task: str, work: Callable[[Chunk, Advance], None], progress: bool
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Compute the missing results `what` by `work`, and return the results of all chunks and the sum of their counts.

    task: the name of the work for the progress bar.
    """
    source, missing = reading.source, reading.missing(what)
    finished = len(reading.chunks) - len(missing)
    if progress and finished:
        told = f"{task}: goes on where it was interrupted, {finished} of {len(reading.chunks)} chunks are finished"
        print(told, file=sys.stderr)
    done = source.size - sum(end - start for start, end in missing)
    with Progress(task, source.size, source.unit, progress, done) as bar:
        do_all(work, missing, bar.advance)
    chunks = reading.given(what)
    counts: Counter[str] = Counter()
    for about in chunks:
        counts.update(about["counts"])
    check_not_blank(source, counts["lines"], counts["rows"])
    return chunks, counts


def read_lines(
    labelled: LabelledSource, length: int, advance: Advance, chunk: Chunk | None = None, keep_blank: bool = False
) -> Iterator[tuple[bytes, np.ndarray | None]]:
    """Yield the blocks of `LabelledSource.blocks`, divided so that their rows of `length` symbols fit into memory.

    Args:
        labelled: the source.
        length: symbols per row.
        advance: receives by how much the position in the source has grown.
        chunk: the chunk to read, None for the whole source.
        keep_blank: whether to keep blank lines; else they are dropped and counted in `labelled.source.counts`.

    Raises:
        DataError: the source is unusable, or is read as a whole and holds only blank lines.
    """
    source, used, most = labelled.source, False, max(1, CELLS // length)
    position = chunk[0] if chunk else 0
    for block, labels in labelled.blocks(chunk):
        advance(source.position - position)
        position = source.position
        if not keep_blank:
            block, kept = drop_blank(block)
            if kept is not None:
                source.counts["blank"] += int(np.count_nonzero(~kept))
                labels = None if labels is None else labels[kept]
        used = used or bool(block)
        for number, lines in enumerate(in_blocks(block, most)):
            yield lines, None if labels is None else labels[number * most : (number + 1) * most]
    advance(source.position - position)  # the last lines may all be skipped
    if chunk is None:
        check_not_blank(source, source.counts["lines"], used)


def check_not_blank(source: Source, lines: int, rows: int) -> None:
    """Raise DataError if there are no lines or no rows."""
    source.check_not_empty(lines)
    if not rows:
        raise DataError(f"{source.description} holds only blank or skipped lines: give another {named('data')}")


def write_chunk(folder: Path, chunk: Chunk, counts: Counter[str] | dict[str, int], **more: Any) -> None:
    """Write the counts of a chunk's result, and more values, into the result's folder."""
    (folder / CHUNK_FILE).write_text(json.dumps({"chunk": chunk, "counts": dict(counts), **more}))


def is_finished(folder: Path, chunk: Chunk) -> bool:
    """Whether a folder holds an undamaged result of this chunk."""
    return is_whole(folder) and json.loads((folder / CHUNK_FILE).read_text())["chunk"] == list(chunk)


def is_whole(folder: Path) -> bool:
    """Whether a sealed folder exists and is undamaged."""
    try:
        verify(folder)
    except (DamagedError, OSError):
        return False
    return True


@contextmanager
def folder_of_chunks(name: str, corpus: Path, chunks: int) -> Iterator[Path]:
    """Yield the folder for the results of `chunks` chunks of the corpus `name`.

    A single chunk gets a temporary folder, as there is nothing to resume.

    corpus: the folder that the corpus is being written to.
    """
    if chunks == 1:
        with tempfile.TemporaryDirectory(dir=corpus) as temporary:
            yield Path(temporary)
        return
    folder = corpus.parent / f".{name}.chunks"
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    except (DataError, UsageError):  # a second attempt would fail in the same way
        shutil.rmtree(folder, ignore_errors=True)
        raise


def sweep(root: Path) -> None:
    """Remove the chunks of corpora that are finished, and those that are older than OLD."""
    for folder in root.glob(".*.chunks"):
        name = folder.name.removeprefix(".").removesuffix(".chunks")
        try:
            if not (root / name).exists() and time.time() - folder.stat().st_mtime < OLD:
                continue
            with (root / f".{name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails if a process is working on them
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
