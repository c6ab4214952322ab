"""Text for people: making untrusted text safe to print, and finding the nearest name to a mistyped one."""

import difflib
import unicodedata
from collections.abc import Collection
from pathlib import Path

CONTROLS = ("Cc", "Cs", "Zl", "Zp")  # categories: controls, lone surrogates, separators of lines and of paragraphs
REORDERING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # controls of the writing direction


def plain(text: str) -> str:
    """The text on one line, without control characters, so that no escape sequence reaches a terminal.

    Characters that change the writing direction are removed too. A tab becomes a space.
    """
    if text.isprintable():
        return text
    return "".join(c for c in text.replace("\t", " ") if not is_control(c))


def is_control(character: str) -> bool:
    """Whether a character controls the terminal or the writing direction instead of being printed."""
    return unicodedata.category(character) in CONTROLS or unicodedata.bidirectional(character) in REORDERING


def printable(path: str | Path) -> str:
    """A path as text for messages: on one line, with unprintable characters escaped."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def choose(name: str, names: Collection[str]) -> str:
    """The remedy for a name that is not among `names`: suggests the nearest one if there is one, else lists all."""
    near = nearest(name, names)
    return f"did you mean {near}?" if near else f"choose from {', '.join(names)}"


def nearest(name: str, names: Collection[str]) -> str:
    """The name in `names` that is closest to a mistyped `name`; "" if none is close."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1)), "")
