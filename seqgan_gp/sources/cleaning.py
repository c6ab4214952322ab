"""Raw bytes of a file to clean lines: valid UTF-8, each ended by one "\n", of bounded length, and counted."""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from gan_core.errors import DataError, named
from gan_core.text import plain
from seqgan_gp.lines import NEWLINE

LONGEST = 64  # characters of a label

LINE_LIMIT = 1 << 20  # bytes; what a longer line has beyond them is dropped and counted


def clean_blocks(pieces: Iterable[bytes], name: str, bad_utf8: str, counts: Counter[str]) -> Iterator[bytes]:
    """Yield blocks of whole clean lines out of the raw pieces of one file, and count what was met.

    Args:
        pieces: the bytes of the file, divided anywhere.
        name: of the file, for messages.
        bad_utf8: see `open_source`.
        counts: see `Source`; added to.
    """
    tail = b""  # the line that has begun and has not ended yet
    cutting = False  # whether the tail is as long as a line may be, while its line still goes on
    first_line = 1  # the number of the first line that was not yielded yet
    for piece in pieces:
        if (at := piece.find(b"\0")) >= 0:
            line = first_line + piece.count(b"\n", 0, at)
            raise DataError(f"{name} is not text, line {line} holds a NUL byte: convert it to lines of UTF-8")
        if cutting:
            end = piece.find(b"\n")
            if end < 0:
                continue
            piece = piece[end:]
        whole, newline, tail = (tail + piece).rpartition(b"\n")
        if cutting := len(tail.removesuffix(b"\r")) > LINE_LIMIT:  # a "\r" may be part of the line's end
            tail = cut(tail)
            counts["cut_at_limit"] += 1
        if newline:
            block = whole + newline
            yield from clean_block(block, name, first_line, bad_utf8, counts)
            first_line += block.count(b"\n")
    if tail:
        yield from clean_block(tail + b"\n", name, first_line, bad_utf8, counts)


def clean_block(block: bytes, name: str, first_line: int, bad_utf8: str, counts: Counter[str]) -> Iterator[bytes]:
    """Yield the block clean, or nothing when no line of it is left; its first line has number `first_line`."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == NEWLINE)
    counts["lines"] += ends.size
    block = block.replace(b"\r\n", b"\n")
    if np.diff(ends, prepend=-1).max() > LINE_LIMIT + 1:
        lines = block[:-1].split(b"\n")
        counts["cut_at_limit"] += sum(len(line) > LINE_LIMIT for line in lines)
        block = b"\n".join(map(cut, lines)) + b"\n"
    try:
        block.decode()
    except UnicodeDecodeError as error:
        if bad_utf8 == "error":
            line = first_line + block.count(b"\n", 0, error.start)
            raise DataError(
                f"{name} is not UTF-8 in line {line}: convert it, or give {named('bad_utf8', 'replace')} or skip"
            ) from error
        lines = block[:-1].split(b"\n")
        bad = [not is_utf8(line) for line in lines]
        counts["bad_utf8"] += sum(bad)
        if bad_utf8 == "replace":
            block = block.decode(errors="replace").encode()
        else:
            block = b"".join(line + b"\n" for line, wrong in zip(lines, bad, strict=True) if not wrong)
    if block:
        yield block


def cut(line: bytes) -> bytes:
    """The first LINE_LIMIT bytes of a line, or up to three fewer so as not to divide a character."""
    if len(line) <= LINE_LIMIT:
        return line
    end = LINE_LIMIT
    while end > LINE_LIMIT - 3 and line[end] & 0xC0 == 0x80:  # the first byte left out continues a character
        end -= 1
    return line[:end]


def is_utf8(line: bytes) -> bool:
    """Whether the bytes are valid UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def fault(name: str) -> str:
    """What is wrong with a name of a class, as the end of a sentence; "" if nothing is."""
    if len(name) > LONGEST:
        return f"is longer than {LONGEST} characters"
    return "has control characters" if plain(name) != name else ""
