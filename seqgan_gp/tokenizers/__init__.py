"""From lines of text to rows of symbols, and back.

A tokenizer turns each line into its first `length` symbols, ids from 0 to `size` - 1, filled up with PAD. PAD
stands for no text at all, so it can never be confused with a character of the data. Four kinds: "byte", "char"
(code points), and "bpe" and "unigram" (pieces of words, by SentencePiece, with bytes for rare characters).
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.errors import CheckpointError, UsageError
from gan_core.storage.inputs import read_limited
from gan_core.text import plain
from seqgan_gp.lines import END, NEWLINE, first_code_points, first_columns, joined

KINDS = ("byte", "char", "bpe", "unigram")
DEFAULT_VOCAB_SIZE = {"byte": 256, "char": 2048, "bpe": 1000, "unigram": 1000}
MAX_VOCAB_SIZE = 65535
MAX_LENGTH = 4096

PAD = 0
UNK = 1

FORMAT = 1
ABOUT_FILE, MODEL_FILE = "tokenizer.json", "tokenizer.model"
ABOUT_LIMIT, MODEL_LIMIT = 1 << 20, 1 << 26  # bytes; larger files are not ours


class Tokenizer(ABC):
    """Rows of symbols for lines of text.

    Attributes:
        kind: one of KINDS.
        size: how many symbols there are, PAD and the unknown symbol included: V.
        unk: the id that stands for a symbol outside the vocabulary, or None where nothing is outside.
        dtype: of rows, uint8 or uint16.
        unit: what n-grams are made of, see `symbols`: "bytes" or "code points".
        symbol_count: an upper bound of what `symbols` returns, exclusive.
    """

    kind: str
    unk: int | None = None
    unit = "code points"

    def __init__(self, size: int):
        self.size = size
        self.symbol_count = size
        self.dtype = np.uint8 if size <= 256 else np.uint16

    @abstractmethod
    def encode_block(self, block: bytes, length: int) -> np.ndarray:
        """The first `length` symbols of each line of a block, which ends with a newline: (lines, length)."""

    @abstractmethod
    def decode(self, ids: np.ndarray) -> list[str]:
        """The text of each row of (N, L) ids, which ends at the first PAD; without newlines."""

    def canonical(self, ids: np.ndarray) -> np.ndarray:
        """The rows (N, L) with PAD in place of everything after the first PAD, as in rows of real text."""
        return np.where(np.logical_or.accumulate(ids == PAD, axis=1), PAD, ids).astype(self.dtype)

    def symbols(self, ids: np.ndarray) -> np.ndarray:
        """The rows (N, L) as (N, L') uint32 whose n-grams are scored: here the ids as they are."""
        return ids.astype(np.uint32)

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What `tokenizer.json` holds: everything that encoding and decoding depend on."""

    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal: tokenizers of one fingerprint encode and decode alike."""
        return hashlib.sha256(json.dumps(self.about(), sort_keys=True).encode()).hexdigest()

    def save(self, folder: Path) -> list[str]:
        """Write the tokenizer into a folder and return the names of its files."""
        (folder / ABOUT_FILE).write_text(json.dumps(self.about()) + "\n")
        return [ABOUT_FILE]


class ByteTokenizer(Tokenizer):
    """The 256 bytes of UTF-8; PAD is the byte 0, which text never holds (sources refuse it)."""

    kind = "byte"
    unit = "bytes"

    def __init__(self):
        super().__init__(256)

    def encode_block(self, block: bytes, length: int) -> np.ndarray:
        """See `Tokenizer`."""
        rows = first_columns(np.frombuffer(block, np.uint8), length)
        rows[rows == NEWLINE] = PAD
        return rows

    def decode(self, ids: np.ndarray) -> list[str]:
        """See `Tokenizer`; wrong UTF-8 becomes U+FFFD, a newline becomes a space."""
        values = np.where(ids == NEWLINE, ord(" "), ids).astype(np.uint8)
        return joined(values, text_lengths(ids)).tobytes().decode(errors="replace").split("\n")[:-1]

    def about(self) -> dict[str, Any]:
        """See `Tokenizer`."""
        return {"format": FORMAT, "kind": self.kind}


class CharTokenizer(Tokenizer):
    """Code points: PAD, UNK, then `vocabulary`, (V - 2) different code points."""

    kind = "char"
    unk = UNK

    def __init__(self, vocabulary: np.ndarray):
        super().__init__(len(vocabulary) + 2)
        self.vocabulary = vocabulary
        self.code_points = np.concatenate(([ord(" "), 0xFFFD], vocabulary)).astype("<u4")
        self.ids = np.full(END, UNK, self.dtype)
        self.ids[vocabulary] = np.arange(2, self.size)
        self.ids[NEWLINE] = PAD  # `first_code_points` fills up with newlines

    def encode_block(self, block: bytes, length: int) -> np.ndarray:
        """See `Tokenizer`."""
        return self.ids[first_code_points(block, length)]

    def decode(self, ids: np.ndarray) -> list[str]:
        """See `Tokenizer`; an unknown symbol becomes U+FFFD."""
        values = self.code_points[ids]
        return joined(values, text_lengths(ids)).tobytes().decode("utf-32-le").split("\n")[:-1]

    def about(self) -> dict[str, Any]:
        """See `Tokenizer`."""
        return {"format": FORMAT, "kind": self.kind, "vocabulary": self.vocabulary.tolist()}


def train(kind: str, blocks: Iterable[bytes], vocab_size: int | None, length: int) -> Tokenizer:
    """Make a tokenizer for lines of text; the same lines and options give the same one.

    Args:
        kind: one of KINDS.
        blocks: whole lines of UTF-8, each block ending with a newline.
        vocab_size: symbols at most ("char", which keeps the most frequent) or exactly ("bpe", "unigram"), PAD and
            UNK included; None for the default of the kind.
        length: the symbols of a row; "char" counts only what such rows hold.

    Raises:
        UsageError: the kind is unknown, or `vocab_size` or `length` do not fit it or the data.
    """
    vocab_size = checked_vocab_size(kind, vocab_size)
    check_length(length)
    if kind == "byte":
        return ByteTokenizer()
    if kind == "char":
        frequency = np.zeros(END, np.int64)
        for block in blocks:
            count_code_points(block, length, frequency)
        return CharTokenizer(most_frequent(frequency, vocab_size - 2))
    from seqgan_gp.tokenizers.wordpieces import train_pieces

    return train_pieces(kind, blocks, vocab_size, length)


def checked_vocab_size(kind: str, vocab_size: int | None) -> int:
    """The size to use for a kind of tokenizer, or UsageError."""
    if kind not in KINDS:
        raise UsageError(f"--tokenizer {kind} is unknown: choose one of {', '.join(KINDS)}")
    if vocab_size is None:
        return DEFAULT_VOCAB_SIZE[kind]
    if kind == "byte" and vocab_size != 256:
        raise UsageError("--vocab-size does not apply to --tokenizer byte: leave it out, there are 256 bytes")
    least = 3 if kind == "char" else 2
    if not least <= vocab_size <= MAX_VOCAB_SIZE:
        raise UsageError(f"--vocab-size {vocab_size} must be between {least} and {MAX_VOCAB_SIZE}")
    return vocab_size


def check_length(length: int) -> None:
    """Refuse a row length that is out of range."""
    if not 1 <= length <= MAX_LENGTH:
        raise UsageError(f"--seq-len {length} must be between 1 and {MAX_LENGTH}")


def load(folder: Path) -> Tokenizer:
    """The tokenizer that `save` wrote.

    Raises:
        CheckpointError: its files are missing or damaged.
    """
    path = folder / ABOUT_FILE
    try:
        about = json.loads(read_limited(path, ABOUT_LIMIT))
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']}, not {FORMAT}")
        if about["kind"] == "byte":
            return ByteTokenizer()
        if about["kind"] == "char":
            return CharTokenizer(checked_vocabulary(about["vocabulary"]))
        from seqgan_gp.tokenizers.wordpieces import checked_pieces

        path = folder / MODEL_FILE
        return checked_pieces(about, read_limited(path, MODEL_LIMIT))
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or plain(" ".join(str(error).split()))[:200]
        raise CheckpointError(f"{path} is no usable tokenizer ({reason}): use another checkpoint") from error


def checked_vocabulary(values: Any) -> np.ndarray:
    """The vocabulary of a `CharTokenizer`, from JSON."""
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise ValueError("its vocabulary is not a list of code points")
    vocabulary = np.array(values, np.int64)
    surrogates = (vocabulary >= 0xD800) & (vocabulary < 0xE000)
    if surrogates.any() or not ((vocabulary > 0) & (vocabulary < END) & (vocabulary != NEWLINE)).all():
        raise ValueError("its vocabulary holds what is no character of a line")
    if not 1 <= len(vocabulary) == len(np.unique(vocabulary)) <= MAX_VOCAB_SIZE - 2:
        raise ValueError("its vocabulary is empty, too large or holds a character twice")
    return vocabulary


def text_lengths(ids: np.ndarray) -> np.ndarray:
    """The number of symbols before the first PAD of each row (N, L): (N,)."""
    padding = ids == PAD
    return np.where(padding.any(axis=1), padding.argmax(axis=1), ids.shape[1])


def count_code_points(block: bytes, length: int, frequency: np.ndarray) -> None:
    """Add to `frequency` (END,) how often each code point is among the first `length` of the lines of a block."""
    found = np.bincount(first_code_points(block, length).ravel())
    frequency[: found.size] += found


def most_frequent(frequency: np.ndarray, count: int) -> np.ndarray:
    """The code points that are most frequent; of equals, the smaller one first."""
    present = np.flatnonzero(frequency)
    present = present[present != NEWLINE]  # which fills up
    return present[np.argsort(-frequency[present], kind="stable")][:count]
