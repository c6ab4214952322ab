"""The tables of origins and of file formats. A class enters its table by being defined with a name and an order.

    class Fasta(Format, name="fasta", order=20):
        endings = (".fasta", ".fa")

        def open(self, files, how):
            return FastaSource(files, how)

`seqgan_gp.sources.open` imports every module of this folder, so a new origin or format is one new file.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from seqgan_gp.sources.base import Source
from seqgan_gp.sources.content import File

NOT_DATA = re.compile(r"\.|readme|licen[cs]e", re.IGNORECASE)  # how the names of other files in a data folder begin


@dataclass(frozen=True)
class Options:
    """How data is read.

    Attributes:
        bad_utf8: what to do with a line that is not UTF-8: "error", "replace" its wrong bytes by U+FFFD, or "skip" it.
        with_labels: whether a table with a column of labels gives lines of the form label<TAB>sentence.
    """

    bad_utf8: str = "error"
    with_labels: bool = False


@dataclass(frozen=True)
class Files:
    """Files of one format that the option `data` names together.

    Attributes:
        files: the files, in order.
        description: a name of the data for users.
        is_folder: whether they are the data files of one folder.
    """

    files: list[File]
    description: str
    is_folder: bool = False


class Origin(ABC):
    """Where data comes from, recognised by the option `data`. The origin of the lowest order is asked first."""

    name: ClassVar[str]
    order: ClassVar[int]

    def __init_subclass__(cls, *, name: str, order: int) -> None:
        super().__init_subclass__()
        cls.name, cls.order = name, order
        register(ORIGINS, cls)

    @abstractmethod
    def claims(self, spec: str) -> bool:
        """Whether `spec` names data of this origin."""

    @abstractmethod
    def open(self, spec: str, how: Options) -> Source:
        """Return the source that `spec` names.

        Raises:
            DataError: the data does not exist or cannot be used.
        """


class Format(ABC):
    """A file format. The format of the lowest order is asked first.

    Attributes:
        endings: the endings of file names, in lower case with the dot, by which `claims` recognises a file.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    endings: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, *, name: str, order: int) -> None:
        super().__init_subclass__()
        cls.name, cls.order = name, order
        register(FORMATS, cls)

    def claims(self, file: File) -> bool:
        """Whether a file has this format. A format without an ending of its own may look at `file.head()`."""
        return file.ending in self.endings

    def in_folder(self, files: list[File]) -> list[File]:
        """Return the data files among the files of a folder; `files` are those that are not hidden, in order."""
        return [file for file in files if not NOT_DATA.match(file.path.name) and self.claims(file)]

    @abstractmethod
    def open(self, files: Files, how: Options) -> Source:
        """Return the source of files of this format.

        Raises:
            DataError: a file is damaged or cannot be used.
        """


ORIGINS: dict[str, type[Origin]] = {}
FORMATS: dict[str, type[Format]] = {}


def register(table: dict[str, Any], kind: type[Origin] | type[Format]) -> None:
    """Enter an origin or a format into its table.

    Raises:
        ValueError: the name is taken.
    """
    if kind.name in table:
        raise ValueError(f"two sources are called {kind.name!r}: {table[kind.name].__name__} and {kind.__name__}")
    table[kind.name] = kind


def origins() -> list[Origin]:
    """Return all origins, lowest order first."""
    return [kind() for kind in sorted(ORIGINS.values(), key=lambda kind: kind.order)]


def formats() -> list[Format]:
    """Return all formats, lowest order first."""
    return [kind() for kind in sorted(FORMATS.values(), key=lambda kind: kind.order)]
