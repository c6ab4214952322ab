"""A corpus as training sees it: every line encoded once, split into two sides, kept in a cache.

The source is read twice, for the vocabulary and to encode, and streamed both times: rows go to files, which are
then mapped into memory, so that ten million lines cost no more memory than a few blocks of them.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gan_core.cache import cache_root, kept, writing_to
from gan_core.errors import CheckpointError, DataError, UsageError
from gan_core.files import DamagedError, verify
from gan_core.labels import UNKNOWN
from seqgan_gp import tokenizer as tokenizers
from seqgan_gp.labelled import LabelledSource, open_labelled
from seqgan_gp.lines import code_rows, drop_blank, in_parts
from seqgan_gp.tokenizer import PAD, Tokenizer, check_length, checked_vocab_size

FORMAT = 1  # part of the fingerprint: raise it with any change to rows, split or training, so that old caches are left
ABOUT_FILE = "corpus.json"
SIDES = ("train", "heldout")
CELLS = 1 << 20  # symbols of rows in memory at a time


@dataclass(frozen=True)
class Corpus:
    """The encoded lines of a source.

    Attributes:
        train: the rows to learn from, (N, L) uint8 or uint16, mapped from a file and read-only.
        heldout: rows that no training batch holds: no row of one side equals a row of the other.
        tokenizer: what encoded them.
        fingerprint: hexadecimal; equal where the rows and the tokenizer are equal, on any machine.
        description: of the source, for people.
        counts: "lines" read, lines "blank" (dropped), "cut_at_length" (of the rows), "cut_at_limit" (of a line),
            of "bad_utf8"; "unknown_share" of the symbols; rows of "train" and "heldout".
        train_labels: of the rows of `train`, (N,) int16, UNKNOWN (-1) where there is none; read-only.
        heldout_labels: of the rows of `heldout`.
        classes: the names of the labels 0, 1, ...; () where nothing is labelled.
    """

    train: np.ndarray
    heldout: np.ndarray
    tokenizer: Tokenizer
    fingerprint: str
    description: str
    counts: dict[str, float]
    train_labels: np.ndarray
    heldout_labels: np.ndarray
    classes: tuple[str, ...]


def prepare(
    spec: str,
    *,
    tokenizer: str = "char",
    vocab_size: int | None = None,
    seq_len: int = 32,
    bad_utf8: str = "error",
    labels: str = "auto",
    heldout: float = 0.05,
    cache: str | Path | None = None,
    progress: bool = True,
    fixed_tokenizer: Tokenizer | None = None,
) -> Corpus:
    """The corpus of a source, from the cache if it is there.

    Args:
        spec: see `open_source`.
        tokenizer: the kind to train, one of `tokenizer.KINDS`.
        vocab_size: see `tokenizer.train`.
        seq_len: symbols of a row; longer lines are cut there.
        bad_utf8: see `open_source`.
        labels: the form of the labels, see `open_labelled`.
        heldout: the share of the different lines that training must not see, between 0 and 1.
        cache: the folder of all cached corpora; None for $SEQGAN_GP_CACHE or the user's cache folder.
        progress: whether to show a bar, if standard error is a terminal.
        fixed_tokenizer: used as it is, in place of `tokenizer` and `vocab_size`.

    Raises:
        DataError: the source is unusable, or holds fewer than two different lines.
        UsageError: an option is out of range or does not fit the data.
        GanError: no space is left on the disk.
    """
    check_length(seq_len)
    if not 0 < heldout < 1:
        raise UsageError(f"the held-out share {heldout} must be between 0 and 1")
    if fixed_tokenizer is None:
        how = {"tokenizer": tokenizer, "vocab_size": checked_vocab_size(tokenizer, vocab_size)}
    else:
        how = {"fixed_tokenizer": fixed_tokenizer.fingerprint()}
    labelled = open_labelled(spec, bad_utf8, labels)
    source = labelled.source
    how |= {"seq_len": seq_len, "bad_utf8": bad_utf8, "heldout": heldout, "source": source.fingerprint()}
    how |= labelled.about()
    fingerprint = hashlib.sha256(json.dumps({"format": FORMAT, **how}, sort_keys=True).encode()).hexdigest()

    def fill(folder: Path) -> None:
        used = fixed_tokenizer
        if used is None:
            lines = read_lines(labelled, seq_len, "vocabulary", progress)
            used = tokenizers.train(tokenizer, (block for block, _ in lines), vocab_size, seq_len)
        used.save(folder)
        counts = encode_and_split(labelled, used, seq_len, heldout, folder, progress)
        about = {"fingerprint": fingerprint, "seq_len": seq_len, "counts": counts}
        if classes := labelled.in_order()[0]:
            about["classes"] = classes
        (folder / ABOUT_FILE).write_text(json.dumps(about, indent=1) + "\n")

    def read(folder: Path) -> Corpus | None:
        return read_cached(folder, fingerprint, source.description)

    return kept(cache_root(cache), fingerprint[:32], read, fill, kind="seqgan-gp corpus")


def open_rows(
    spec: str,
    tokenizer: Tokenizer,
    seq_len: int,
    *,
    bad_utf8: str = "error",
    labels: str = "auto",
    progress: bool = True,
) -> np.ndarray:
    """All lines of a source that are not blank, encoded, unsplit: (N, seq_len), mapped from a temporary file.

    Labels are left out; `labels` is their form, see `open_labelled`.

    Raises:
        DataError: the source is unusable or holds only blank lines.
    """
    check_length(seq_len)
    source = open_labelled(spec, bad_utf8, labels)
    with writing_to(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        for block, _ in read_lines(source, seq_len, "encode", progress):
            file.write(tokenizer.encode_block(block, seq_len))
        return mapped(file, tokenizer.dtype, seq_len)


def plain_rows(
    spec: str, seq_len: int, *, bad_utf8: str = "error", labels: str = "none", progress: bool = True
) -> np.ndarray:
    """Every line of a source, blank ones too, as code points: (N, seq_len) uint32, filled up with END.

    Labels are left out; `labels` is their form, see `open_labelled`.

    Raises:
        DataError: the source is unusable.
    """
    check_length(seq_len)
    source = open_labelled(spec, bad_utf8, labels)
    with writing_to(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        for block, _ in read_lines(source, seq_len, "read", progress, keep_blank=True):
            file.write(code_rows(block, seq_len))
        return mapped(file, np.uint32, seq_len)


def read_lines(
    labelled: LabelledSource, length: int, task: str, progress: bool, keep_blank: bool = False
) -> Iterator[tuple[bytes, np.ndarray | None]]:
    """Yield what `LabelledSource.blocks` does, in blocks whose rows of `length` symbols fit into memory.

    Blank lines are dropped and counted in `labelled.source.counts["blank"]`. `task` stands before the bar.
    """
    from tqdm import tqdm

    source, used, most = labelled.source, False, max(1, CELLS // length)
    hidden = not (progress and sys.stderr.isatty())
    with tqdm(desc=task, total=source.total_bytes, unit="B", unit_scale=True, disable=hidden) as bar:
        for block, labels in labelled.blocks():
            bar.update(source.position - bar.n)
            if not keep_blank:
                block, kept = drop_blank(block)
                if kept is not None:
                    source.counts["blank"] += int(np.count_nonzero(~kept))
                    labels = None if labels is None else labels[kept]
            used = used or bool(block)
            for number, part in enumerate(in_parts(block, most)):
                yield part, None if labels is None else labels[number * most : (number + 1) * most]
    if not used:
        raise DataError(f"{source.description} holds only blank or skipped lines: give another --data")


def encode_and_split(
    labelled: LabelledSource, tokenizer: Tokenizer, seq_len: int, heldout: float, folder: Path, progress: bool
) -> dict[str, float]:
    """Write the rows of a source, and their labels if it has any, into `folder` and return the counts of `Corpus`.

    The hash of a row says on which side it is, so equal rows are on one side, here and in every other run.
    """
    source = labelled.source
    symbols = unknown = cut = 0
    lowest, highest = 1 << 64, -1
    with tempfile.TemporaryFile(dir=folder) as file, tempfile.TemporaryFile(dir=folder) as label_file:
        for block, numbers in read_lines(labelled, seq_len, "encode", progress):
            rows = tokenizer.encode_block(block, seq_len + 1)  # one more symbol tells whether the line goes on
            cut += np.count_nonzero(rows[:, seq_len] != PAD)
            rows = np.ascontiguousarray(rows[:, :seq_len])
            symbols += np.count_nonzero(rows != PAD)
            if tokenizer.unk is not None:
                unknown += np.count_nonzero(rows == tokenizer.unk)
            hashes = row_hashes(rows)
            lowest, highest = min(lowest, int(hashes.min())), max(highest, int(hashes.max()))
            file.write(rows)
            if numbers is not None:
                label_file.write(numbers)
        rows = mapped(file, tokenizer.dtype, seq_len)
        labels = mapped(label_file, np.int16, 1) if labelled.names else None
    if lowest == highest:
        raise DataError(f"{source.description} holds one line over and over: at least two different are needed")

    # The clip keeps at least the row of the lowest hash held out, and at least that of the highest to train on.
    limit = np.uint64(min(max(int(heldout * 2**64), lowest + 1), highest))
    held = np.concatenate([row_hashes(chunk) < limit for chunk in chunks(rows)])
    write_sides(folder, "", chunks(rows), held)
    if labels is not None:
        places = labelled.in_order()[1]
        write_sides(folder, "-labels", (places[chunk] for chunk in chunks(labels)), held)
    held_out = int(np.count_nonzero(held))
    return {
        "lines": source.counts["lines"],
        "blank": source.counts["blank"],
        "bad_utf8": source.counts["bad_utf8"],
        "cut_at_limit": source.counts["cut_at_limit"],
        "cut_at_length": int(cut),
        "unknown_share": float(unknown / symbols),
        "train": len(rows) - held_out,
        "heldout": held_out,
    }


def chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield rows that are mapped from a file in parts that fit into memory."""
    step = max(1, CELLS // rows.shape[1])
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def write_sides(folder: Path, ending: str, parts: Iterable[np.ndarray], held: np.ndarray) -> None:
    """Write arrays, one after the other, to train{ending}.bin, and what is `held` (N,) out to heldout{ending}.bin."""
    start = 0
    with (folder / f"train{ending}.bin").open("wb") as train, (folder / f"heldout{ending}.bin").open("wb") as heldout:
        for part in parts:
            out = held[start : start + len(part)]
            train.write(part[~out])
            heldout.write(part[out])
            start += len(part)


def row_hashes(rows: np.ndarray) -> np.ndarray:
    """A 64-bit hash of the content of each row (N, L): (N,) uint64. PAD counts for nothing."""
    column = np.arange(1, rows.shape[1] + 1, dtype=np.uint64)
    return mixed(rows.astype(np.uint64) @ (mixed(column) | np.uint64(1)))


def mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele et al. 2014): each bit of uint64 values influences every bit of the result."""
    values = values * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def mapped(file: BinaryIO, dtype: type, seq_len: int) -> np.ndarray:
    """The rows of a file that was just written, (N, seq_len); they stay when the file is closed or deleted."""
    file.flush()
    count = file.tell() // (seq_len * np.dtype(dtype).itemsize)
    return np.memmap(file, dtype, "r", shape=(count, seq_len))


def read_cached(folder: Path, fingerprint: str, description: str) -> Corpus | None:
    """The corpus in a cache folder, or None where it is missing, incomplete, damaged or another one."""
    try:
        verify(folder)
        about = json.loads((folder / ABOUT_FILE).read_text())
        if about["fingerprint"] != fingerprint:
            return None
        tokenizer = tokenizers.load(folder)
        counts = about["counts"]
        classes = tuple(about.get("classes", ()))
        train, heldout = (
            np.memmap(folder / f"{side}.bin", tokenizer.dtype, "r", shape=(counts[side], about["seq_len"]))
            for side in SIDES
        )
        if classes:
            labels = [np.memmap(folder / f"{s}-labels.bin", np.int16, "r", shape=(counts[s],)) for s in SIDES]
        else:
            labels = [np.broadcast_to(np.int16(UNKNOWN), (counts[s],)) for s in SIDES]  # takes no memory
    except (DamagedError, CheckpointError, OSError, ValueError, KeyError, TypeError):
        return None
    return Corpus(train, heldout, tokenizer, fingerprint, description, counts, *labels, classes)
