"""Tokenizers of word pieces, byte pair encoding and unigram, by SentencePiece.

Encoding loses nothing: spaces, tabs and characters outside the vocabulary (as bytes) come back as they were.
"""

import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.errors import UsageError, named
from seqgan_gp.choices import MAX_LENGTH, MAX_VOCAB_SIZE, TOKENIZERS
from seqgan_gp.lines import END, code_rows
from seqgan_gp.tokenizers.base import (
    FORMAT,
    MODEL_FILE,
    PAD,
    UNK,
    Tokenizer,
    text_lengths,
)

PIECE_CHARS = 16  # a SentencePiece piece is at most this long
SENTENCE_CHARS = 1000  # longer lines are divided for training, because SentencePiece drops long ones silently
SAMPLE_CHARS = 10_000_000  # what SentencePiece is trained on at most
SAMPLE_LINES = 4_000_000
PROBE_LINES = 10_000
ESCAPE = "\x1a"
SPACE_MARK = "▁"  # SentencePiece writes a space so, and cannot tell a real one from it
# Never part of a piece: what SentencePiece keeps for itself, what names its bytes, and our escape.
RESERVED = re.compile(f"[\\0\t{SPACE_MARK}▅{ESCAPE}]|<0x[0-9A-F]{{2}}>")
UNPRINTED = str.maketrans("\n\0", "  ")  # a generator may well write them, but they cannot stand in a line


class SentencePieceTokenizer(Tokenizer):
    """Pieces of words: PAD, UNK (never encoded), the 256 bytes, then the pieces that were learnt.

    Attributes:
        max_chars: the columns of `symbols`: 99 of 100 lines are no longer than that many code points.
    """

    unk = UNK

    def __init__(self, kind: str, model: bytes, max_chars: int):
        import sentencepiece

        sentencepiece.set_min_log_level(3)
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        super().__init__(self.processor.get_piece_size())
        self.kind = kind
        self.model = model
        self.max_chars = max_chars
        self.symbol_count = END + 1

    def encode_block(self, block: bytes, length: int) -> np.ndarray:
        """See `Tokenizer`."""
        enough = PIECE_CHARS * (length + 4)  # the last few pieces may change where a text is cut
        texts = [line[:enough] for line in escaped(block.decode()).split("\n")[:-1]]
        rows = np.full((len(texts), length), PAD, self.dtype)
        for row, ids in zip(rows, self.processor.encode(texts), strict=True):
            row[: len(ids)] = ids[:length]
        return rows

    def decode(self, ids: np.ndarray) -> list[str]:
        """See `Tokenizer`; wrong UTF-8 and UNK become U+FFFD, a newline becomes a space."""
        pieces = [row[:end] for row, end in zip(ids.tolist(), text_lengths(ids), strict=True)]
        texts = self.processor.decode(pieces) if pieces else []
        return [unescaped(text).translate(UNPRINTED) for text in texts]

    def symbols(self, ids: np.ndarray) -> np.ndarray:
        """The code points of the text of each row, cut or filled up with END: (N, max_chars) uint32."""
        return code_rows("".join(text + "\n" for text in self.decode(ids)).encode(), self.max_chars)

    def about(self) -> dict[str, Any]:
        """See `Tokenizer`."""
        digest = hashlib.sha256(self.model).hexdigest()
        return {"format": FORMAT, "kind": self.kind, "max_chars": self.max_chars, "model_sha256": digest}

    def save(self, folder: Path) -> list[str]:
        """See `Tokenizer`."""
        (folder / MODEL_FILE).write_bytes(self.model)
        return [*super().save(folder), MODEL_FILE]


def train_pieces(kind: str, blocks: Iterable[bytes], vocab_size: int, length: int) -> SentencePieceTokenizer:
    """Learn the pieces of a corpus; see `tokenizer.train`."""
    lines = evenly_sampled((line for block in blocks for line in block.decode().split("\n")[:-1]), SAMPLE_CHARS)
    model = train_sentencepiece(kind, vocab_size, sentences(lines))
    return SentencePieceTokenizer(kind, model, usual_chars(model, lines, length))


def checked_pieces(about: dict[str, Any], model: bytes) -> SentencePieceTokenizer:
    """The `SentencePieceTokenizer` that `about` describes."""
    kind, max_chars = about["kind"], about["max_chars"]
    if kind not in TOKENIZERS or type(max_chars) is not int or not 1 <= max_chars <= PIECE_CHARS * MAX_LENGTH:
        raise ValueError("its description is not one of ours")
    if hashlib.sha256(model).hexdigest() != about["model_sha256"]:
        raise ValueError("its content was changed")
    tokenizer = SentencePieceTokenizer(kind, model, max_chars)
    processor = tokenizer.processor
    ours = (processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id()) == (PAD, UNK, -1, -1)
    if not ours or tokenizer.size > MAX_VOCAB_SIZE or not all(map(processor.is_byte, range(2, 258))):
        raise ValueError("its special symbols are not ours")
    # A piece is written for each symbol that is drawn: long ones would turn a few samples into gigabytes of text.
    if any(len(processor.id_to_piece(i)) > PIECE_CHARS for i in range(258, tokenizer.size)):
        raise ValueError(f"it has pieces of more than {PIECE_CHARS} characters")
    return tokenizer


def sentences(lines: Iterable[str]) -> Iterator[str]:
    """The texts that SentencePiece may learn from: parts of lines, short and free of what is RESERVED."""
    for line in lines:
        for text in RESERVED.split(line):
            for start in range(0, len(text), SENTENCE_CHARS):
                yield text[start : start + SENTENCE_CHARS]


def evenly_sampled(lines: Iterable[str], max_chars: int) -> list[str]:
    """Every line, or every second, fourth, eighth ... one, so that they have at most `max_chars` characters.

    And no more than SAMPLE_LINES, which take memory even where they are empty.
    """
    kept: list[str] = []
    step, chars = 1, 0
    for number, line in enumerate(lines):
        if number % step == 0:
            kept.append(line)
            chars += len(line)
            while (chars > max_chars or len(kept) > SAMPLE_LINES) and len(kept) > 1:
                kept = kept[::2]
                step *= 2
                chars = sum(map(len, kept))
    return kept


def train_sentencepiece(kind: str, vocab_size: int, texts: Iterator[str]) -> bytes:
    """A SentencePiece model that reproduces every text exactly."""
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=texts,
            model_writer=model,
            model_type=kind,
            vocab_size=vocab_size,
            max_sentencepiece_length=PIECE_CHARS,
            byte_fallback=True,
            pad_id=PAD,
            unk_id=UNK,
            bos_id=-1,
            eos_id=-1,
            pad_piece=f"{ESCAPE}pad",  # not "<pad>", which may stand in the data
            unk_piece=f"{ESCAPE}unk",
            unk_surface="\ufffd",
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            max_sentence_length=4 * SENTENCE_CHARS,  # bytes
            num_threads=1,  # several threads add floating-point numbers in any order
            minloglevel=3,
        )
    except RuntimeError as error:
        raise UsageError(training_failure(kind, vocab_size, str(error))) from error
    return model.getvalue()


def training_failure(kind: str, vocab_size: int, message: str) -> str:
    """SentencePiece's message in our words."""
    size, of_kind = named("vocab_size", vocab_size), named("tokenizer", kind)
    if most := re.search(r"too high .* value <= (\d+)", message):
        return f"{size} is too large for {of_kind} on this data: at most {most[1]}"
    if least := re.search(r"smaller than required_chars. \d+ vs (\d+)", message):
        return f"{size} is too small for {of_kind} on this data: at least {least[1]}"
    return f"{of_kind} finds too little to learn in this data: use {named('tokenizer', 'byte')} or char"


def usual_chars(model: bytes, lines: list[str], length: int) -> int:
    """How many code points suffice for 99 of 100 lines, cut at `length` pieces."""
    tokenizer = SentencePieceTokenizer("bpe", model, max_chars=1)
    probe = lines[:: max(1, len(lines) // PROBE_LINES)]
    ids = tokenizer.encode_block("".join(line + "\n" for line in probe).encode(), length)
    return max(1, int(np.ceil(np.percentile([len(text) for text in tokenizer.decode(ids)], 99))))


def escaped(text: str) -> str:
    """The text without SPACE_MARK, which SentencePiece would read back as a space."""
    return text.replace(ESCAPE, ESCAPE * 2).replace(SPACE_MARK, ESCAPE + "_")


def unescaped(text: str) -> str:
    """The inverse of `escaped`; a generator may write an ESCAPE that escapes nothing, which stays."""
    return re.sub(f"{ESCAPE}([{ESCAPE}_])", lambda m: SPACE_MARK if m[1] == "_" else ESCAPE, text)
