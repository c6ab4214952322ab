"""Lines from a data set of the Hugging Face hub, through the `datasets` library (and its cache)."""

import hashlib
from collections.abc import Iterable, Iterator

from gan_core.errors import DataError
from gan_core.hub import load_dataset
from gan_core.inputs import printable
from gan_core.labels import UNKNOWN
from gan_core.progress import Progress
from seqgan_gp.labelled import fault
from seqgan_gp.sources import BOM, PART, Part, Source

TEXT_COLUMNS = ("text", "sentence", "content", "line", "document")
LABEL_COLUMNS = ("label", "labels")
BATCH = 1000  # rows that are Python objects at a time


class HubSource(Source):
    """Lines of the text column of a `datasets.Dataset`: a row is a line, newlines inside it become spaces.

    label: the column of labels; each stands before its text, with a tab between them. None for texts alone. The labels
        of a `datasets.ClassLabel` are numbers there, and `classes` has their names.
    """

    unit = " rows"

    def __init__(self, dataset, column: str, description: str, bad_utf8: str, label: str | None = None):
        super().__init__(f"{description}, column {column!r}", len(dataset), bad_utf8)
        self.name = description
        self.column = column
        self.label = label
        self.rows = dataset.select_columns([column] if label is None else [column, label]).with_format("arrow")
        if label is not None:
            self.labelled = True
            self.numeric = "int" in dataset.features[label].dtype
            self.classes = tuple(getattr(dataset.features[label], "names", ()))

    def parts(self) -> list[Part]:
        """Parts of about PART bytes, by the mean size of a row."""
        step = max(BATCH, PART * self.size // max(1, self.rows.data.nbytes))
        return [(start, min(start + step, self.size)) for start in range(0, max(1, self.size), step)]

    def whole_files(self, part: Part) -> Part:
        return 0, self.size

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, str, Iterable[bytes]]]:
        """Yield the rows as the content of one file."""
        yield 0, self.description, self.joined_rows(start, end)

    def joined_rows(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the texts of a batch of rows, a line each."""
        row = start
        for table in self.rows.select(range(start, end)).iter(batch_size=BATCH):
            lines = [one_line(text or b"") + b"\n" for text in binary(table.column(self.column))]
            if self.label is not None:
                column = table.column(self.label)
                values = column.to_pylist() if self.numeric else binary(column)
                labels = [self.label_text(value, row + i) for i, value in enumerate(values)]
                lines = [label + b"\t" + line for label, line in zip(labels, lines, strict=True)]
            piece = b"".join(lines)
            self.position = row + len(lines)
            yield piece if row else piece.removeprefix(BOM)
            row += len(lines)

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
                "another set, or give --labels none"
            )
        text = str(value).encode() if self.numeric else value.strip()
        if what := fault(text.decode(errors="replace")):
            remedy = "choose another set, or give --labels none"
            raise DataError(f"{self.name}: row {row} has a label that {what}: {remedy}")
        return text

    def fingerprint(self, progress: bool = False) -> str:
        """SHA-256 of the lines; the library's own fingerprint differs from one machine to the next."""
        digest = hashlib.sha256()
        with Progress("check", self.size, self.unit, progress, delay=1) as bar:
            for block in self.blocks():
                digest.update(block)
                bar.advance(self.position - bar.done)
        return digest.hexdigest()


def open_hub_source(spec: str, bad_utf8: str, with_labels: bool = False) -> HubSource:
    """The source of "hf:ID[@REVISION][:SPLIT]"; the split is "train" where none is given.

    with_labels: see `open_source`.

    Raises:
        DataError: there is no such data set, no network and no cached copy, or no single column of text.
    """
    dataset = load_dataset(spec, split="train", example="hf:ag_news:test", built_in="wordnet")
    name = printable(spec)
    text = text_column(dataset, name)
    return HubSource(dataset, text, name, bad_utf8, label_column(dataset, text) if with_labels else None)


def text_column(dataset, name: str) -> str:
    """The only column of strings (but labels), or else the only one that is called like text."""
    from datasets import Value  # takes seconds: only now that it is needed

    columns = [
        column
        for column, feature in dataset.features.items()
        if isinstance(feature, Value) and feature.dtype in ("string", "large_string")
    ]
    if not columns:
        raise DataError(f"{name} has no column of text, only {', '.join(dataset.features)}: choose another set")
    columns = [column for column in columns if column.lower() not in LABEL_COLUMNS] or columns
    called_so = [column for column in columns if column.lower() in TEXT_COLUMNS]
    candidates = columns if len(columns) == 1 else called_so
    if len(candidates) != 1:
        listed = ", ".join(map(printable, called_so or columns))
        raise DataError(f"{name} has several columns of text ({listed}): save one of them as a file of lines")
    return candidates[0]


def label_column(dataset, text: str) -> str | None:
    """The only `ClassLabel`, or else the column of labels, strings or whole numbers that is called so, but `text`."""
    from datasets import ClassLabel, Value

    features = {column: feature for column, feature in dataset.features.items() if column != text}
    columns = [column for column, feature in features.items() if isinstance(feature, ClassLabel)]
    if len(columns) == 1:
        return columns[0]
    for column, feature in features.items():
        usable = isinstance(feature, ClassLabel | Value) and ("int" in feature.dtype or "string" in feature.dtype)
        if usable and column.lower() in LABEL_COLUMNS:
            return column
    return None


def binary(column) -> list[bytes | None]:
    """A column of strings as bytes, valid UTF-8 or not."""
    return column.cast("large_binary").to_pylist()


def one_line(text: bytes) -> bytes:
    """The text without newlines at its end, and with a space for each one inside it."""
    return text.rstrip(b"\r\n").replace(b"\r\n", b" ").replace(b"\n", b" ")
