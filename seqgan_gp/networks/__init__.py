"""Networks for text, one architecture per file. Importing this package does not import torch."""

import ast
from pathlib import Path

INITS = ("paper", "torch")


def declared(folder: Path) -> tuple[str, ...]:
    """Return the names under which classes in the files of a folder register themselves, without importing the files.

    A class is recognised by a literal keyword `name`, as in `class WganGp(TextNetwork, name="wgan-gp")`.
    """
    classes = [
        node
        for path in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    keywords = [keyword for node in classes for keyword in node.keywords if keyword.arg == "name"]
    return tuple(keyword.value.value for keyword in keywords if isinstance(keyword.value, ast.Constant))


ARCHS = declared(Path(__file__).parent)
