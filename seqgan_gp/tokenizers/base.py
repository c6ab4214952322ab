"""`Tokenizer`, and the limits of tokenizers."""

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
ABOUT_LIMIT, MODEL_LIMIT = 1 << 20, 1 << 26  # bytes; `save` writes no larger files


class Tokenizer(ABC):
    """Encodes lines of text as rows of symbols, and decodes them.

    Attributes:
        kind: one of `choices.TOKENIZERS`.
        size: V, the number of symbols, PAD and the unknown symbol included.
        unk: the id of symbols outside the vocabulary, None if every text can be encoded.
        dtype: the dtype of rows, uint8 or uint16.
        unit: the unit that n-grams are scored in, see `symbols`: "bytes" or "code points".
        symbol_count: exclusive upper bound of the values of `symbols`.
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
        """Return the first `length` symbols of each line of a block: (lines, length)."""

    @abstractmethod
    def decode(self, ids: np.ndarray) -> list[str]:
        """Return the text of each row of ids (N, L). It ends at the first PAD, and holds no newline."""

    def canonical(self, ids: np.ndarray) -> np.ndarray:
        """Return the rows (N, L) with every id after the first PAD replaced by PAD, as in rows of real text."""
        return np.where(np.logical_or.accumulate(ids == PAD, axis=1), PAD, ids).astype(self.dtype)

    def symbols(self, ids: np.ndarray) -> np.ndarray:
        """Return the symbols (N, L') uint32 whose n-grams are scored: the ids, unless a subclass decodes them."""
        return ids.astype(np.uint32)

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """Return the content of `tokenizer.json`: everything that encoding and decoding depend on."""

    def fingerprint(self) -> str:
        """Return a SHA-256 in hexadecimal. Tokenizers of equal fingerprints encode and decode alike."""
        return hashlib.sha256(json.dumps(self.about(), sort_keys=True).encode()).hexdigest()

    def save(self, folder: Path) -> list[str]:
        """Write the tokenizer into a folder and return the names of its files."""
        (folder / ABOUT_FILE).write_text(json.dumps(self.about()) + "\n")
        return [ABOUT_FILE]


def checked_vocab_size(kind: str, vocab_size: int | None) -> int:
    """Return the vocabulary size to use, the kind's default for None.

    Raises:
        UsageError: the kind is unknown, or the size does not fit it.
    """
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
    """Raise UsageError if a row length is out of range."""
    if not 1 <= length <= MAX_LENGTH:
        raise UsageError(f"{named('seq_len', length)} must be between 1 and {MAX_LENGTH}")


def text_lengths(ids: np.ndarray, pad: int = PAD) -> np.ndarray:
    """Return the number of symbols before the first `pad` of each row (N, L): (N,)."""
    padding = ids == pad
    return np.where(padding.any(axis=1), padding.argmax(axis=1), ids.shape[1])
