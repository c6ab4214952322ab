"""Text that is safe to print: samples come from data, and data may hold anything."""

import unicodedata


def plain(text: str) -> str:
    """The text without control characters, so that no escape sequence reaches a terminal; a tab becomes a space."""
    if text.isprintable():
        return text
    return "".join(c for c in text.replace("\t", " ") if unicodedata.category(c) not in ("Cc", "Cs"))
