"""The catalogue of parts and their options, read from the source code, so that help texts need no torch.

Files are parsed and not imported. `known` adds the parts that imported modules outside this package have registered.
"""

import ast
import dataclasses
import functools
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_core.errors import UsageError
from gan_core.parts.fields import option, options_of
from gan_core.text import choose

TYPES = {"bool": bool, "int": int, "float": float, "str": str}
ROOT = "Part"  # the base of every kind of part


@dataclass(frozen=True)
class Entry:
    """A class that is defined with a name, such as `class Hinge(Loss, name="hinge")`.

    kind: the name of its most general base class below `Part`, such as "Loss".
    module, qualname: where the class is defined.
    doc: its docstring, without indentation.
    options: its options, inherited ones first, in the order of `dataclasses.fields`.
    """

    name: str
    kind: str
    module: str
    qualname: str
    doc: str
    options: tuple[dataclasses.Field, ...]


def known() -> dict[str, Entry]:
    """All parts by name: those of `gan_core.parts`, then those that other imported modules have registered."""
    shipped = read("gan_core.parts")
    base = sys.modules.get("gan_core.parts.base")
    outside = {name: entry_of(part) for name, part in base.REGISTRY.items() if name not in shipped} if base else {}
    return {**shipped, **outside}


def find(name: str) -> Entry:
    """The part of that name.

    Raises:
        UsageError: there is none.
    """
    parts = known()
    if name not in parts:
        raise UsageError(f"there is no part called {name!r}: {choose(name, sorted(parts))}")
    return parts[name]


def entry_of(kind: type) -> Entry:
    """The entry of a class that has been imported."""
    bases = [base.__name__ for base in kind.__mro__ if dataclasses.is_dataclass(base) and base.__name__ != ROOT]
    doc = inspect.cleandoc(kind.__doc__ or "")
    return Entry(kind.name, bases[-1], kind.__module__, kind.__qualname__, doc, tuple(options_of(kind)))  # type: ignore[attr-defined]


def read(package: str) -> Mapping[str, Entry]:
    """The named classes in the modules of a package, by name, in the order of modules and lines.

    Base classes are looked up within the package. Types, defaults and arguments of options must be literals, or names
    of literals in the same module.

    Raises:
        ValueError: an argument of an option is not a literal; the message has its file and line.
    """
    imported, spec = sys.modules.get(package), importlib.util.find_spec(package)
    assert spec is not None
    return read_folders(package, tuple(imported.__path__ if imported else spec.submodule_search_locations or ()))


@functools.cache
def read_folders(package: str, folders: tuple[str, ...]) -> Mapping[str, Entry]:
    """The named classes in the modules of a package that lies in these folders, see `read`."""
    paths = [path for folder in folders for path in sorted(Path(folder).glob("*.py"))]
    classes = [found for path in paths for found in classes_of(path, f"{package}.{path.stem}")]
    return {found.name: found.entry(classes) for found in classes if found.name}


@dataclass(frozen=True, eq=False)
class Class:
    """A class statement.

    path: the file, for messages. constants: the literals that its module assigns to names.
    """

    node: ast.ClassDef
    module: str
    path: Path
    constants: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The value of the keyword argument `name` of the class statement, "" if there is none."""
        return next((self.value(word.value) for word in self.node.keywords if word.arg == "name"), "")

    def entry(self, classes: Sequence["Class"]) -> Entry:
        """The entry of a named class; `classes` are all classes of the package."""
        line = self.line(classes)
        options: dict[str, dataclasses.Field] = {}
        for ancestor in reversed(line):
            options |= {field.name: field for field in ancestor.options()}
        kind = [each.node.name for each in line if each.node.name != ROOT][-1]
        doc = ast.get_docstring(self.node) or ""
        return Entry(self.name, kind, self.module, self.node.name, doc, tuple(options.values()))

    def line(self, classes: Sequence["Class"]) -> list["Class"]:
        """This class and its ancestors in the package, the most general one last."""
        line = [self]
        for base in self.node.bases:
            name = ast.unparse(base).rpartition(".")[2]
            called = sorted((each for each in classes if each.node.name == name), key=lambda c: c.module != self.module)
            line += called[0].line(classes) if called else []
        return line

    def options(self) -> Iterator[dataclasses.Field]:
        """The options that this class itself declares: `name: type = option(...)`."""
        for node in self.node.body:
            if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
                continue
            call = node.value
            if not (isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == "option"):
                continue
            words = {str(word.arg): self.value(word.value) for word in call.keywords}
            field = option(*map(self.value, call.args), **words)
            field.name, field.type = node.target.id, TYPES.get(ast.unparse(node.annotation))
            if field.type is None:
                raise self.unreadable(node.annotation)
            yield field

    def value(self, node: ast.expr) -> Any:
        """The value of an expression, which must be a literal or the name of a literal."""
        if isinstance(node, ast.Name) and node.id in self.constants:
            return self.constants[node.id]
        try:
            return ast.literal_eval(node)
        except ValueError:
            raise self.unreadable(node) from None

    def unreadable(self, node: ast.expr) -> ValueError:
        """The error for an expression that is not a literal."""
        return ValueError(
            f"{self.path}:{node.lineno}: {ast.unparse(node)!r} must be a literal: help does not import it"
        )


def classes_of(path: Path, module: str) -> Iterator[Class]:
    """The classes of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            try:
                constants[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield Class(node, module, path, constants)
