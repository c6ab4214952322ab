"""From lines of text to rows of symbols, and back.

A tokenizer turns each line into its first `length` symbols, ids from 0 to `size` - 1, filled up with PAD. PAD
stands for no text at all, so it can never be confused with a character of the data. Four kinds: "byte", "char"
(code points), and "bpe" and "unigram" (pieces of words, by SentencePiece, with bytes for rare characters).
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
    """Make a tokenizer for lines of text; the same lines and options give the same one.

    Args:
        kind: one of `choices.TOKENIZERS`.
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
