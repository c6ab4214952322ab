"""Tokenizers whose symbols are bytes or code points."""

from typing import Any

import numpy as np

from seqgan_gp.choices import MAX_VOCAB_SIZE
from seqgan_gp.lines import END, NEWLINE, first_code_points, first_columns, joined
from seqgan_gp.tokenizers.base import FORMAT, PAD, UNK, Tokenizer, text_lengths


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


def count_code_points(block: bytes, length: int, frequency: np.ndarray) -> None:
    """Add to `frequency` (END,) how often each code point is among the first `length` of the lines of a block."""
    found = np.bincount(first_code_points(block, length).ravel())
    frequency[: found.size] += found


def most_frequent(frequency: np.ndarray, count: int) -> np.ndarray:
    """The code points that are most frequent; of equals, the smaller one first."""
    present = np.flatnonzero(frequency)
    present = present[present != NEWLINE]  # which fills up
    return present[np.argsort(-frequency[present], kind="stable")][:count]
