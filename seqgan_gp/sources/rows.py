"""Lines from a column of text: a row is a line. For tables on the hub and in parquet files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gan_core.errors import DataError, named
from gan_core.labels import UNKNOWN
from gan_core.text import printable
from seqgan_gp.sources.base import BOM, PIECE, Source
from seqgan_gp.sources.cleaning import LINE_LIMIT, fault

TEXT_COLUMNS = ("text", "sentence", "content", "line", "document")
LABEL_COLUMNS = ("label", "labels")
BATCH = 1000  # rows that are Python objects at a time


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are read.

    label: the column of labels; None for texts alone. numeric: whether labels are whole numbers. classes: the names of
        the labels 0, 1, ... of a `datasets.ClassLabel`; else ().
    """

    text: str
    label: str | None = None
    numeric: bool = False
    classes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns themselves."""
        return [self.text] if self.label is None else [self.text, self.label]


class RowSource(Source):
    """Lines of a column of text: a row is a line, newlines inside it become spaces.

    Where there is a column of labels, each stands before its text, with a tab between them.

    name: for messages. size: in `unit`s of the kind of source.
    """

    unit = " rows"

    def __init__(self, name: str, columns: Columns, size: int, bad_utf8: str):
        super().__init__(f"{name}, column {columns.text!r}", size, bad_utf8)
        self.name = name
        self.columns = columns
        self.labelled = columns.label is not None
        self.classes = columns.classes

    def joined(self, table: Any, row: int) -> Iterator[bytes]:
        """Yield the lines of an Arrow table, whose first row has number `row` in its file, in pieces of about PIECE."""
        lines = [one_line(text or b"") + b"\n" for text in binary(table.column(self.columns.text))]
        if self.columns.label is not None:
            column = table.column(self.columns.label)
            values = column.to_pylist() if self.columns.numeric else binary(column)
            labels = [self.label_text(value, row + i) for i, value in enumerate(values)]
            lines = [label + b"\t" + line for label, line in zip(labels, lines, strict=True)]
        if row == 0 and lines:
            lines[0] = lines[0].removeprefix(BOM)
        begun, size = 0, 0
        for at, line in enumerate(lines):
            size += len(line)
            if size >= PIECE:
                yield b"".join(lines[begun : at + 1])
                begun, size = at + 1, 0
        yield b"".join(lines[begun:])

    def label_text(self, value: int | bytes | None, row: int) -> bytes:
        """The label of a row as it stands in a line, b"" for none.

        Raises:
            DataError: it cannot be a label.
        """
        if value is None or value == UNKNOWN:
            return b""
        if self.classes and not 0 <= value < len(self.classes):
            raise DataError(
                f"{self.name}: row {row} has label {value}, out of range for its {len(self.classes)} classes: choose "
                f"another set, or give {named('labels', 'none')}"
            )
        text = str(value).encode() if self.columns.numeric else value.strip()
        if what := fault(text.decode(errors="replace")):
            remedy = f"choose another set, or give {named('labels', 'none')}"
            raise DataError(f"{self.name}: row {row} has a label that {what}: {remedy}")
        return text


def columns_of(features: Any, name: str, with_labels: bool) -> Columns:
    """The columns to read of a table with such `datasets.Features`.

    Raises:
        DataError: there is no single column of text.
    """
    text = text_column(features, name)
    label = label_column(features, text) if with_labels else None
    if label is None:
        return Columns(text)
    return Columns(text, label, "int" in features[label].dtype, tuple(getattr(features[label], "names", ())))


def text_column(features: Any, name: str) -> str:
    """The only column of strings (but labels), or else the only one that is called like text."""
    from datasets import Value  # takes seconds: only now that it is needed

    columns = [
        column
        for column, feature in features.items()
        if isinstance(feature, Value) and feature.dtype in ("string", "large_string")
    ]
    if not columns:
        listed = ", ".join(map(printable, features))
        raise DataError(f"{name} has no column of text, only {listed}: choose another set")
    columns = [column for column in columns if column.lower() not in LABEL_COLUMNS] or columns
    called_so = [column for column in columns if column.lower() in TEXT_COLUMNS]
    candidates = columns if len(columns) == 1 else called_so
    if len(candidates) != 1:
        listed = ", ".join(map(printable, called_so or columns))
        raise DataError(f"{name} has several columns of text ({listed}): save one of them as a file of lines")
    return candidates[0]


def label_column(features: Any, text: str) -> str | None:
    """The only `ClassLabel`, or else the column of labels, strings or whole numbers that is called so, but `text`."""
    from datasets import ClassLabel, Value

    features = {column: feature for column, feature in features.items() if column != text}
    columns = [column for column, feature in features.items() if isinstance(feature, ClassLabel)]
    if len(columns) == 1:
        return columns[0]
    for column, feature in features.items():
        usable = isinstance(feature, ClassLabel | Value) and ("int" in feature.dtype or "string" in feature.dtype)
        if usable and column.lower() in LABEL_COLUMNS:
            return column
    return None


def binary(column: Any) -> list[bytes | None]:
    """A column of strings as bytes, valid UTF-8 or not."""
    return column.cast("large_binary").to_pylist()


def one_line(text: bytes) -> bytes:
    """The text without newlines at its end, and with a space for each one inside it; cut where no line may go on."""
    return text.rstrip(b"\r\n")[: 3 * LINE_LIMIT].replace(b"\r\n", b" ").replace(b"\n", b" ")
