"""Vectorised operations on blocks of lines, without a Python loop over lines.

A block is the UTF-8 bytes of whole lines, each terminated by a newline. Symbols are bytes or code points.
"""

from collections.abc import Iterator
from itertools import compress

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

NEWLINE = 10
END = 0x110000  # pads rows of code points; the first number that is not a code point

WHITE = np.array([chr(code).isspace() for code in range(0x3002)])  # U+3000 is the last white space
WHITE_BYTES = np.zeros(256, bool)  # first bytes of white space, some of which begin other characters too
WHITE_BYTES[[chr(code).encode()[0] for code in np.flatnonzero(WHITE)]] = True


def first_columns(symbols: np.ndarray, length: int) -> np.ndarray:
    """Return the first `length` symbols of each line of symbols (n,), padded with NEWLINE: (lines, length)."""
    starts, ends = line_bounds(symbols)
    padded = np.concatenate([symbols, np.full(length, NEWLINE, symbols.dtype)])
    rows = sliding_window_view(padded, length)[starts]
    rows[np.arange(length) >= (ends - starts)[:, None]] = NEWLINE
    return rows


def first_code_points(block: bytes, length: int) -> np.ndarray:
    """Return the first `length` code points of each line, padded with NEWLINE: (lines, length) uint8 or uint32.

    Only lines with a non-ASCII byte within `length` bytes are decoded, very few in English text.
    """
    symbols = np.frombuffer(block, np.uint8)
    rows = first_columns(symbols, length)
    wide = (rows > 127).any(axis=1)
    if not wide.any():
        return rows
    starts, ends = line_bounds(symbols)
    bounds = zip(starts[wide].tolist(), np.minimum(ends, starts + 4 * length)[wide].tolist(), strict=True)
    # Four bytes per character suffice; a character cut at the end is ignored.
    text = b"".join(block[start:end] + b"\n" for start, end in bounds).decode(errors="ignore")
    rows = rows.astype(np.uint32)
    rows[wide] = first_columns(np.frombuffer(text.encode("utf-32-le"), "<u4"), length)
    return rows


def line_bounds(symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the start of each line of symbols (n,), and the index of its newline."""
    ends = np.flatnonzero(symbols == NEWLINE)
    return np.concatenate(([0], ends + 1))[:-1], ends


def code_rows(block: bytes, length: int) -> np.ndarray:
    """Return the first `length` code points of each line, padded with END: (lines, length) uint32."""
    rows = first_code_points(block, length).astype(np.uint32)
    rows[rows == NEWLINE] = END
    return rows


def code_texts(rows: np.ndarray) -> list[str]:
    """Return rows of code points (N, L), padded with END, as N lines of text."""
    lengths = (rows != END).sum(axis=1)
    return joined(rows.astype("<u4"), lengths).tobytes().decode("utf-32-le").split("\n")[:-1]


def joined(rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the first `lengths[i]` symbols of row i of (N, L), for all i, each terminated by NEWLINE: (n,)."""
    count, width = rows.shape
    wide = np.full((count, width + 1), NEWLINE, rows.dtype)
    wide[:, :width] = rows
    wide[np.arange(count), lengths] = NEWLINE
    return wide[np.arange(width + 1) <= lengths[:, None]]


def drop_blank(block: bytes) -> tuple[bytes, np.ndarray | None]:
    """Return the block without its blank lines, and which lines were kept, see `solid_lines`."""
    kept = solid_lines(block)
    if kept is None:
        return block, None
    return b"".join(line + b"\n" for line in compress(block.split(b"\n"), kept)), kept


def solid_lines(block: bytes) -> np.ndarray | None:
    """Return which lines hold more than white space, (lines,) bool; None if no line begins with white space."""
    symbols = np.frombuffer(block, np.uint8)
    starts, ends = line_bounds(symbols)
    white = np.flatnonzero(WHITE_BYTES[symbols[starts]])
    if white.size:
        # Distinct beginnings are few, even if every line begins with such a byte, as in Japanese.
        places = np.minimum(starts[white, None] + np.arange(3), len(symbols) - 1)
        beginnings, inverse = np.unique(symbols[places].view("V3").ravel().view("S3"), return_inverse=True)
        is_white = [bytes(text).decode(errors="ignore")[:1].isspace() for text in beginnings.tolist()]
        white = white[np.array(is_white)[inverse]]
    if not white.size:  # most blocks
        return None
    solid = np.ones(len(starts), bool)
    bounds = zip(starts[white].tolist(), ends[white].tolist(), strict=True)
    solid[white] = [bool(block[start:end].decode().strip()) for start, end in bounds]
    return solid


def in_blocks(block: bytes, lines: int) -> Iterator[bytes]:
    """Divide a block into blocks of at most `lines` lines."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == NEWLINE) + 1
    start = 0
    for end in [*ends[lines - 1 :: lines], len(block)]:
        if end > start:
            yield block[start:end]
        start = end
