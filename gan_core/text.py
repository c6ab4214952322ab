"""Text that is safe to print: samples come from data, and data may hold anything."""

import unicodedata
from pathlib import Path

CONTROLS = ("Cc", "Cs", "Zl", "Zp")  # categories: controls, lone surrogates, separators of lines and of paragraphs
REORDERING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # what follows, or what was before


def plain(text: str) -> str:
    """The text on one line and without control characters, so that no escape sequence reaches a terminal.

    Nor does what turns the order of other characters round. A tab becomes a space.
    """
    if text.isprintable():
        return text
    return "".join(c for c in text.replace("\t", " ") if not is_control(c))


def is_control(character: str) -> bool:
    """Whether a character does something to a terminal rather than stand in it."""
    return unicodedata.category(character) in CONTROLS or unicodedata.bidirectional(character) in REORDERING


def printable(path: str | Path) -> str:
    """A path as it is shown in messages: one line, whatever bytes are in it."""
    text = str(path)
    return text if text.isprintable() else ascii(text)
