"""What a tokenizer is, and its limits."""

import hashlib
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.errors import UsageError, named
from seqgan_gp.choices import MAX_LENGTH, MAX_VOCAB_SIZE, TOKENIZERS

DEFAULT_VOCAB_SIZE = {"byte": 256, "char": 2048, "bpe": 1000, "unigram": 1000}
PAD = 0
UNK = 1
FORMAT = 1
ABOUT_FILE, MODEL_FILE = "tokenizer.json", "tokenizer.model"
ABOUT_LIMIT, MODEL_LIMIT = 1 << 20, 1 << 26  # bytes; larger files are not ours


class Tokenizer(ABC):
    """Rows of symbols for lines of text.

    Attributes:
        kind: one of `choices.TOKENIZERS`.
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


def checked_vocab_size(kind: str, vocab_size: int | None) -> int:
    """The size to use for a kind of tokenizer, or UsageError."""
    if kind not in TOKENIZERS:
        raise UsageError(f"{named('tokenizer', kind)} is unknown: choose one of {', '.join(TOKENIZERS)}")
    if vocab_size is None:
        return DEFAULT_VOCAB_SIZE[kind]
    if kind == "byte" and vocab_size != 256:
        raise UsageError(
            f"{named('vocab_size')} does not apply to {named('tokenizer', 'byte')}: leave it out, there are 256 bytes"
        )
    least = 3 if kind == "char" else 2
    if not least <= vocab_size <= MAX_VOCAB_SIZE:
        raise UsageError(f"{named('vocab_size', vocab_size)} must be between {least} and {MAX_VOCAB_SIZE}")
    return vocab_size


def check_length(length: int) -> None:
    """Refuse a row length that is out of range."""
    if not 1 <= length <= MAX_LENGTH:
        raise UsageError(f"{named('seq_len', length)} must be between 1 and {MAX_LENGTH}")


def text_lengths(ids: np.ndarray) -> np.ndarray:
    """The number of symbols before the first PAD of each row (N, L): (N,)."""
    padding = ids == PAD
    return np.where(padding.any(axis=1), padding.argmax(axis=1), ids.shape[1])
