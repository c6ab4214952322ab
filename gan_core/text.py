"""Text for people: made safe to print, since data may hold anything; and the nearest name to a mistyped one."""

import difflib
import unicodedata
from collections.abc import Collection
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


def choose(name: str, names: Collection[str]) -> str:
    """The remedy for a name that is not among `names`: the nearest of them if it looks mistyped, else all of them."""
    near = nearest(name, names)
    return f"did you mean {near}?" if near else f"choose from {', '.join(names)}"


def nearest(name: str, names: Collection[str]) -> str:
    """The one of `names` that `name` is most likely a mistyped form of; "" if none is close."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1)), "")
