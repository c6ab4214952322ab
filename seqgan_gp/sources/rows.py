"""Lines from the rows of a table, on the hub or in parquet files: the column of text, one line per row."""

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
BATCH = 1000  # rows converted to Python objects at a time


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are read.

    Attributes:
        text: the name of the column of text.
        label: the name of the column of labels, None to read no labels.
        numeric: whether the labels are whole numbers.
        classes: the names of the labels 0, 1, ... of a `datasets.ClassLabel`; else ().
    """

    text: str
    label: str | None = None
    numeric: bool = False
    classes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of the columns that are read."""
        return [self.text] if self.label is None else [self.text, self.label]


class RowSource(Source):
    """One line per row of a table. Newlines within a text become spaces.

    With a column of labels, a line is label<TAB>text.

    name: a name of the table for messages. size: length of the source in `unit`s.
    """

    unit = " rows"

    def __init__(self, name: str, columns: Columns, size: int, bad_utf8: str):
        super().__init__(f"{name}, column {columns.text!r}", size, bad_utf8)
        self.name = name
        self.columns = columns
        self.labelled = columns.label is not None
        self.classes = columns.classes

    def joined(self, table: Any, row: int) -> Iterator[bytes]:
        """Yield the lines of an Arrow table in pieces of about PIECE bytes.

        row: the index in its file of the table's first row.
        """
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
        """Return the label of a row as it is written into a line, b"" if the row has none.

        Raises:
            DataError: the value cannot be a label.
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
    """Choose the columns to read from the `datasets.Features` of a table.

    Raises:
        DataError: there is no column of text, or several without an unambiguous name.
    """
    text = text_column(features, name)
    label = label_column(features, text) if with_labels else None
    if label is None:
        return Columns(text)
    return Columns(text, label, "int" in features[label].dtype, tuple(getattr(features[label], "names", ())))


def text_column(features: Any, name: str) -> str:
    """Return the only column of strings that is not called a label, else the only one with a name in TEXT_COLUMNS.

    Raises:
        DataError: there is no such column, or several.
    """
    from datasets import Value  # takes seconds to import

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
    """Return the only `ClassLabel` besides the column `text`, else a column called a label with strings or integers."""
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
    """Return the values of a column of strings as bytes, which need not be valid UTF-8."""
    return column.cast("large_binary").to_pylist()


def one_line(text: bytes) -> bytes:
    """Strip the text's final newlines, replace each inner one by a space, and bound its length."""
    return text.rstrip(b"\r\n")[: 3 * LINE_LIMIT].replace(b"\r\n", b" ").replace(b"\n", b" ")
