"""Blocks of lines as arrays: what is done to every line without a Python loop over lines.

A block is the UTF-8 bytes of whole lines, each ended by a newline. Symbols are bytes or code points.
"""

from collections.abc import Iterator
from itertools import compress

import numpy as np

NEWLINE = 10
END = 0x110000  # fills up rows of code points: the first number that is no code point

WHITE = np.array([chr(code).isspace() for code in range(0x3002)])  # nothing after U+3000 is white space


def code_points(block: bytes) -> np.ndarray:
    """The code points of a block, newlines included: (n,) uint8 for ASCII, else uint32."""
    if block.isascii():
        return np.frombuffer(block, np.uint8)
    return np.frombuffer(block.decode().encode("utf-32-le"), "<u4")


def first_columns(symbols: np.ndarray, length: int) -> np.ndarray:
    """The first `length` symbols of each line of (n,) symbols, filled up with NEWLINE: (lines, length)."""
    starts, ends = line_bounds(symbols)
    # Where a line is shorter than a row, the index stays at the newline that ends it.
    return symbols[np.minimum(starts[:, None] + np.arange(length), ends[:, None])]


def line_bounds(symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each line of (n,) symbols begins, and where its newline is."""
    ends = np.flatnonzero(symbols == NEWLINE)
    return np.concatenate(([0], ends + 1))[:-1], ends


def code_rows(block: bytes, length: int) -> np.ndarray:
    """The first `length` code points of each line, filled up with END: (lines, length) uint32."""
    rows = first_columns(code_points(block), length).astype(np.uint32)
    rows[rows == NEWLINE] = END
    return rows


def joined(rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The first `lengths[i]` symbols of each row (N, L), each followed by a newline: (n,), as in a block."""
    count, width = rows.shape
    wide = np.full((count, width + 1), NEWLINE, rows.dtype)
    wide[:, :width] = rows
    wide[np.arange(count), lengths] = NEWLINE
    return wide[np.arange(width + 1) <= lengths[:, None]]


def drop_blank(block: bytes) -> tuple[bytes, np.ndarray | None]:
    """The block without its blank lines, and which lines were kept, see `solid_lines`."""
    kept = solid_lines(block)
    if kept is None:
        return block, None
    return b"".join(line + b"\n" for line in compress(block.split(b"\n"), kept)), kept


def solid_lines(block: bytes) -> np.ndarray | None:
    """Which lines hold more than white space: (lines,) bool, or None where no line even begins with white space."""
    symbols = code_points(block)
    starts, _ = line_bounds(symbols)
    if not WHITE.take(symbols[starts], mode="clip").any():  # most blocks
        return None
    solid = ~WHITE.take(symbols, mode="clip")
    return np.logical_or.reduceat(solid, starts)


def in_parts(block: bytes, lines: int) -> Iterator[bytes]:
    """Divide a block into blocks of at most so many lines."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == NEWLINE) + 1
    start = 0
    for end in [*ends[lines - 1 :: lines], len(block)]:
        if end > start:
            yield block[start:end]
        start = end
