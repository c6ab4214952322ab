"""A corpus as training sees it: every line encoded once, split into two sides, kept in a cache.

The source is read as `seqgan_gp.corpus.preparation` describes, and streamed: rows go to files, which are then
mapped into memory, so that ten million lines cost no more memory than a few blocks of them.
"""

import hashlib
import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gan_core.errors import CheckpointError, DataError, UsageError, named
from gan_core.labels import UNKNOWN
from gan_core.runtime.progress import Progress
from gan_core.storage.cache import cache_root, kept, remembered, writing_to
from gan_core.storage.sealed import DamagedError, verify
from seqgan_gp import tokenizers
from seqgan_gp.corpus import joined
from seqgan_gp.corpus.preparation import CELLS, Encoded, Reading, encode, folder_of_parts, read_lines, sweep
from seqgan_gp.lines import code_rows
from seqgan_gp.sources.labelled import open_labelled
from seqgan_gp.tokenizers.base import Tokenizer, check_length, checked_vocab_size

FORMAT = 1  # part of the fingerprint: raise it with any change to rows, split or training, so that old caches are left
ABOUT_FILE = "corpus.json"
SIDES = ("train", "heldout")


@dataclass(frozen=True)
class Corpus:
    """The encoded lines of a source, or of several.

    Attributes:
        train: the rows to learn from, (N, L) uint8 or uint16, mapped from a file and read-only; of several sources
            `JoinedRows`.
        heldout: rows that no training batch holds: no row of one side equals a row of the other.
        tokenizer: what encoded them.
        fingerprint: hexadecimal; equal where the rows and the tokenizer are equal, on any machine. Of several sources
            it is that of their fingerprints, in order.
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
    """The corpus of a source, from the cache if it is there; or of several, see `together`.

    Args:
        spec: see `open_source`; several with commas between them.
        tokenizer: the kind to train, one of `choices.TOKENIZERS`.
        vocab_size: see `tokenizer.train`.
        seq_len: symbols of a row; longer lines are cut there.
        bad_utf8: see `open_source`.
        labels: the form of the labels, see `open_labelled`.
        heldout: the share of the different lines that training must not see, between 0 and 1.
        cache: the folder of all cached corpora; None for $SEQGAN_GP_CACHE or the user's cache folder.
        progress: whether to show how far it is: a bar on a terminal, elsewhere a line every ten seconds.
        fixed_tokenizer: used as it is, in place of `tokenizer` and `vocab_size`.

    Raises:
        DataError: the source is unusable, or holds fewer than two different lines.
        UsageError: an option is out of range or does not fit the data.
        GanError: no space is left on the disk.
    """
    check_length(seq_len)
    if not 0 < heldout < 1:
        raise UsageError(f"the held-out share {heldout} must be between 0 and 1")
    how: dict[str, Any] = dict(seq_len=seq_len, bad_utf8=bad_utf8, labels=labels, heldout=heldout)
    first, *others = joined.several(spec)
    corpus = prepare_one(first, tokenizer, vocab_size, fixed_tokenizer, cache=cache, progress=progress, **how)
    if not others:
        return corpus
    # Bytes are the same symbols everywhere, and a corpus of them the same alone and beside others.
    fixed = fixed_tokenizer or (None if tokenizer == "byte" else corpus.tokenizer)
    more = [prepare_one(other, tokenizer, vocab_size, fixed, cache=cache, progress=progress, **how) for other in others]
    return together([corpus, *more], heldout)


def prepare_one(
    spec: str, tokenizer: str, vocab_size: int | None, fixed_tokenizer: Tokenizer | None,
    *, seq_len: int, bad_utf8: str, labels: str, heldout: float, cache: str | Path | None, progress: bool,
) -> Corpus:  # fmt: skip
    """The corpus of one source; the arguments are those of `prepare`."""
    if fixed_tokenizer is None:
        how = {"tokenizer": tokenizer, "vocab_size": checked_vocab_size(tokenizer, vocab_size)}
    else:
        how = {"fixed_tokenizer": fixed_tokenizer.fingerprint()}
    labelled = open_labelled(spec, bad_utf8, labels)
    source = labelled.source
    read_as = f"{FORMAT} {type(source).__name__} {spec} {labels}"
    content = remembered(cache_root(cache), source.paths, read_as, lambda: source.fingerprint(progress))
    how |= {"seq_len": seq_len, "bad_utf8": bad_utf8, "heldout": heldout, "source": content}
    how |= labelled.about()
    fingerprint = hashlib.sha256(json.dumps({"format": FORMAT, **how}, sort_keys=True).encode()).hexdigest()

    name = fingerprint[:32]

    def fill(folder: Path) -> None:
        parts = source.parts()
        with folder_of_parts(name, folder, len(parts)) as place:
            reading = Reading(source, labelled.form, seq_len, parts, place)
            encoded = encode(reading, labelled, fixed_tokenizer or tokenizer, vocab_size, progress)
            encoded.tokenizer.save(folder)
            sides = split(encoded, heldout, folder, source.description)
        counts = encoded.counts
        about = {
            "fingerprint": fingerprint,
            "seq_len": seq_len,
            "counts": {key: counts[key] for key in ("lines", "blank", "bad_utf8", "cut_at_limit", "cut_at_length")}
            | {"unknown_share": counts["unknown"] / counts["symbols"], **sides},
        }
        if encoded.classes:
            about["classes"] = encoded.classes
        (folder / ABOUT_FILE).write_text(json.dumps(about, indent=1) + "\n")

    def read(folder: Path) -> Corpus | None:
        return read_cached(folder, fingerprint, source.description)

    corpus = kept(cache_root(cache), name, read, fill, kind="seqgan-gp corpus")
    sweep(cache_root(cache))
    return corpus


def together(corpora: list[Corpus], heldout: float) -> Corpus:
    """Corpora as one, without a copy of their rows: one after the other, by the vocabulary of the first.

    Raises:
        DataError: they cannot be one: only some are labelled, one is too small to be divided as the others are, or too
            much of it is not in the vocabulary.
    """
    first, limit = corpora[0], int(heldout * 2**64)
    for corpus in corpora:
        name = corpus.description
        if bool(corpus.classes) != bool(first.classes):
            which, other = (name, first.description) if corpus.classes else (first.description, name)
            raise DataError(f"{which} is labelled and {other} is not: label both, or give {named('labels', 'none')}")
        if corpus is not first and corpus.counts["unknown_share"] > joined.MOST_UNKNOWN:
            raise DataError(
                f"{name} has {corpus.counts['unknown_share']:.0%} symbols that are not in the vocabulary of "
                f"{first.description}: put it first, give {named('tokenizer', 'byte')}, or put all files into one "
                "folder"
            )
        held, trained = (int(row_hashes(side[:1])[0]) < limit for side in (corpus.heldout, corpus.train))
        if trained or not held:  # else a line could be on one side here, and on the other there
            raise DataError(f"{name} has too few lines to be one of several: add them to another file")
    own = [corpus.classes for corpus in corpora]
    classes = joined.classes_of_all(own)
    return Corpus(
        joined.JoinedRows([corpus.train for corpus in corpora]),
        joined.JoinedRows([corpus.heldout for corpus in corpora]),
        first.tokenizer,
        joined.fingerprint_of_all([corpus.fingerprint for corpus in corpora]),
        ", ".join(corpus.description for corpus in corpora),
        joined.counts_of_all([corpus.counts for corpus in corpora]),
        joined.labels_of_all([corpus.train_labels for corpus in corpora], own, classes),
        joined.labels_of_all([corpus.heldout_labels for corpus in corpora], own, classes),
        classes,
    )


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
    with writing_to(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        for source in [open_labelled(one, bad_utf8, labels) for one in joined.several(spec)]:
            with Progress("encode", source.source.size, source.source.unit, progress) as bar:
                for block, _ in read_lines(source, seq_len, bar.advance):
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
    with writing_to(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        for source in [open_labelled(one, bad_utf8, labels) for one in joined.several(spec)]:
            with Progress("read", source.source.size, source.source.unit, progress) as bar:
                for block, _ in read_lines(source, seq_len, bar.advance, keep_blank=True):
                    file.write(code_rows(block, seq_len))
        return mapped(file, np.uint32, seq_len)


def split(encoded: Encoded, heldout: float, folder: Path, description: str) -> dict[str, int]:
    """Write the rows of a source, and their labels if it has any, into `folder`; how many are on each side.

    The hash of a row says on which side it is, so equal rows are on one side, here and in every other run.

    Raises:
        DataError: there are no two different rows.
    """
    limit = int(heldout * 2**64)
    sides, lowest, highest = write_sides(encoded, limit, folder)
    if lowest == highest:
        raise DataError(f"{description} holds one line over and over: at least two different are needed")
    if not lowest < limit <= highest:  # a tiny corpus: a side is empty
        # Then at least the row of the lowest hash is held out, and at least that of the highest is to train on.
        sides, _, _ = write_sides(encoded, min(max(limit, lowest + 1), highest), folder)
    return sides


def write_sides(encoded: Encoded, limit: int, folder: Path) -> tuple[dict[str, int], int, int]:
    """Write train.bin, and rows whose hash is below `limit` to heldout.bin; labels to train-labels.bin and so on.

    Returns how many rows are on each side, the lowest hash and the highest.
    """
    written = dict.fromkeys(SIDES, 0)
    lowest, highest = 1 << 64, -1
    with ExitStack() as stack:
        files = {side: stack.enter_context((folder / f"{side}.bin").open("wb")) for side in SIDES}
        endings = SIDES if encoded.classes else ()
        label_files = {side: stack.enter_context((folder / f"{side}-labels.bin").open("wb")) for side in endings}
        for rows, labels in encoded.chunks():
            hashes = row_hashes(rows)
            lowest, highest = min(lowest, int(hashes.min())), max(highest, int(hashes.max()))
            held = hashes < np.uint64(limit)
            for side, chosen in (("train", ~held), ("heldout", held)):
                files[side].write(rows[chosen])
                written[side] += int(np.count_nonzero(chosen))
                if labels is not None:
                    label_files[side].write(labels[chosen])
    return written, lowest, highest


def row_hashes(rows: np.ndarray) -> np.ndarray:
    """A 64-bit hash of the content of each row (N, L): (N,) uint64. PAD counts for nothing."""
    column = mixed(np.arange(1, rows.shape[1] + 1, dtype=np.uint64)) | np.uint64(1)
    step = max(1, CELLS // rows.shape[1])  # a symbol takes 8 bytes in this
    parts = [rows[start : start + step].astype(np.uint64) @ column for start in range(0, len(rows), step)]
    return mixed(np.concatenate([np.empty(0, np.uint64), *parts]))


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
