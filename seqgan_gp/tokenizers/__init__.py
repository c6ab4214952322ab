"""Tokenizers turn lines of text into rows of symbols, and back.

A row holds the first `length` symbols of a line, ids from 0 to `size` - 1, padded with PAD. No text encodes to PAD, so
padding is never confused with a character of the data. There are four kinds: "byte", "char" (code points), and "bpe"
and "unigram" (subwords by SentencePiece, with bytes for rare characters).
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gan_core.errors import CheckpointError
from gan_core.storage.inputs import read_limited
from gan_core.text import plain
from seqgan_gp.lines import END
from seqgan_gp.tokenizers.base import (
    ABOUT_FILE,
    ABOUT_LIMIT,
    FORMAT,
    MODEL_FILE,
    MODEL_LIMIT,
    Tokenizer,
    check_length,
    checked_vocab_size,
)
from seqgan_gp.tokenizers.characters import (
    ByteTokenizer,
    CharTokenizer,
    checked_vocabulary,
    count_code_points,
    most_frequent,
)


def train(kind: str, blocks: Iterable[bytes], vocab_size: int | None, length: int) -> Tokenizer:
    """Train a tokenizer on lines of text. Equal lines and options give equal tokenizers.

    Args:
        kind: one of `choices.TOKENIZERS`.
        blocks: blocks of whole lines of UTF-8.
        vocab_size: the largest number of symbols ("char", which keeps the most frequent) or the exact number ("bpe",
            "unigram"), PAD and UNK included; None for the default of the kind.
        length: symbols per row; "char" counts only the first `length` symbols of each line.

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


def load(folder: Path) -> Tokenizer:
    """Return the tokenizer that `save` wrote.

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
