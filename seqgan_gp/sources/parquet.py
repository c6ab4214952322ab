"""Lines from parquet files, as the hub keeps its data sets: read a row group at a time, and of it a page at a time.

What a file's footer claims is checked before anything is decoded.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from gan_core.errors import DataError
from gan_core.storage.inputs import check_file, most_unpacked, naming
from seqgan_gp.sources.base import MOST_UNPACKED, PART, Part, digest_of, give_a_file, give_lines
from seqgan_gp.sources.rows import BATCH, Columns, RowSource, binary, columns_of

MAGIC = b"PAR1"
FOOTER_LIMIT = 1 << 26  # bytes; of a file with 100,000 row groups it has 30 million
GROUP_LIMIT = 1 << 30  # bytes of text that a row group may claim to hold
BATCH_LIMIT = 1 << 28  # bytes of rows in memory at a time, however often they repeat one value
BUFFER = 1 << 20  # bytes read at a time
DAMAGED = "{} is cut short, damaged or no parquet file: fetch it again"


class Group(NamedTuple):
    """A row group: its file and its place in that, how many rows it has, and the bytes it claims in what is read."""

    file: int
    place: int
    rows: int
    claimed: int


class ParquetSource(RowSource):
    """Lines of the text column of one or several parquet files.

    files: pairs of a name for messages and a path; all with the same columns of text and labels.
    with_labels: see `open_source`.
    """

    def __init__(self, files: list[tuple[str, Path]], description: str, bad_utf8: str, with_labels: bool):
        self.files = files
        self.bytes = [check_file(name, path, give_lines(), give_a_file()) for name, path in files]
        self.groups: list[Group] = []
        columns = kinds = None
        for number, (name, path) in enumerate(files):
            with opened(name, path) as file:
                columns = columns or columns_of(features_of(file, name), name, with_labels)
                schema = file.schema_arrow
                found = [schema.field(column).type for column in columns.names if column in schema.names]
                kinds = kinds or found
                if found != kinds:
                    listed = ", ".join(columns.names)
                    raise DataError(f"{name} has not the columns {listed} of {files[0][0]}: give files of one kind")
                self.groups += groups_of(file.metadata, columns, number, name, self.bytes[number])
        assert columns is not None
        self.bounds = list(accumulate((group.rows for group in self.groups), initial=0))
        super().__init__(description, columns, self.bounds[-1], bad_utf8)
        self.check_not_empty(self.size)
        self.paths = tuple(path for _, path in files)

    def parts(self) -> list[Part]:
        """Parts of whole row groups, of about PART bytes of text."""
        ends, held = [0], 0
        for end, group in zip(self.bounds[1:], self.groups, strict=True):
            held += group.claimed
            if held >= PART or end == self.size:
                ends.append(end)
                held = 0
        return list(pairwise(sorted(set(ends))))

    def whole_files(self, part: Part) -> Part:
        start, end = part
        files = [(rows[0][0], rows[-1][1]) for _, rows in self.by_file()]
        inside = [(first, last) for first, last in files if first < end and last > start]
        return inside[0][0], inside[-1][1]

    def by_file(self) -> Iterator[tuple[int, list[Part]]]:
        """The place in `groups` of the first row group of each file, and the rows of all of its groups."""
        bounds = list(pairwise(self.bounds))
        for _, places in groupby(range(len(bounds)), key=lambda place: self.groups[place].file):
            members = list(places)
            yield members[0], [bounds[place] for place in members]

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, str, Iterable[bytes]]]:
        """Yield the number, the name and the lines of each file between two rows."""
        for place, rows in self.by_file():
            if rows[0][0] < end and rows[-1][1] > start:
                number = self.groups[place].file
                yield number, self.files[number][0], self.read(place, rows, start, end)

    def read(self, place: int, rows: list[Part], start: int, end: int) -> Iterator[bytes]:
        """Yield the lines between two rows of the file whose row groups begin at a place in `groups`."""
        number = self.groups[place].file
        name, path = self.files[number]
        most, held = most_unpacked(self.bytes[number], MOST_UNPACKED), 0
        with opened(name, path) as file:
            for group, (row, last) in zip(self.groups[place:], rows, strict=False):
                if row >= end or last <= start:
                    continue
                for table in self.tables(name, path, file, group):
                    begin, stop = max(start - row, 0), min(end - row, len(table))
                    if begin < stop:
                        for piece in self.joined(table.slice(begin, stop - begin), row + begin - rows[0][0]):
                            held += len(piece)
                            check_held(held, most, name)
                            yield piece
                    row += len(table)
                    self.position = min(row, end)
                if row != last:
                    raise DataError(DAMAGED.format(name))

    def tables(self, name: str, path: Path, file: Any, group: Group) -> Iterator[Any]:
        """Yield the rows of a row group of an open file as Arrow tables of at most BATCH rows."""
        import pyarrow

        size = BATCH
        if group.claimed * BATCH > BATCH_LIMIT:  # one long value, written once, may stand in every row
            size = max(1, min(BATCH, BATCH_LIMIT // self.longest(name, path, file, group)))
        batches = file.iter_batches(size, [group.place], self.columns.names, use_threads=False)
        while True:
            with reading(name):
                batch = next(batches, None)
            if batch is None:
                return
            yield pyarrow.Table.from_batches([batch])

    def longest(self, name: str, path: Path, file: Any, group: Group) -> int:
        """The bytes of the longest string in the dictionaries of a row group, 1 at least."""
        strings = [self.columns.text] if self.columns.numeric else self.columns.names
        with opened(name, path, read_dictionary=strings, metadata=file.metadata) as again, reading(name):
            for batch in again.iter_batches(1, [group.place], strings, use_threads=False):
                return max([1, *(len(word) for column in batch.columns for word in binary(column.dictionary))])
        return 1

    def fingerprint(self, progress: bool = False) -> str:
        """SHA-256 of the columns that are read and of the SHA-256 of each file, in order."""
        content = digest_of(self.files, sum(self.bytes), progress)
        return hashlib.sha256(repr(("parquet", self.columns.names, content)).encode()).hexdigest()


def check_held(held: int, most: int, name: str) -> None:
    """Refuse a file that has given more bytes than such a file may."""
    if held > most:
        raise DataError(
            f"{name} unpacks to more than {most:,} bytes of text, over {MOST_UNPACKED} times its size: save its lines "
            "as text if it can be trusted"
        )


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what pyarrow finds wrong with a file into one sentence that names it."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:  # anything, down to bare OSError for a bad page
        raise DataError(DAMAGED.format(name)) from error


@contextmanager
def opened(name: str, path: Path, **how: Any) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile`, whose footer is of a size that can be read."""
    from pyarrow.parquet import ParquetFile  # brings pyarrow: only now that it is needed

    with naming(name, give_lines()), path.open("rb") as raw:
        size = raw.seek(0, 2)
        raw.seek(max(0, size - 8))
        end = raw.read(8)
        if end[4:] != MAGIC or int.from_bytes(end[:4], "little") > min(size, FOOTER_LIMIT):
            raise DataError(DAMAGED.format(name))
    with reading(name):
        file = ParquetFile(path, pre_buffer=False, buffer_size=BUFFER, **how)
    with file:
        yield file


def features_of(file: Any, name: str) -> Any:
    """The `datasets.Features` of an open parquet file."""
    from datasets import Features  # takes seconds: only now that it is needed

    try:
        return Features.from_arrow_schema(file.schema_arrow)
    except Exception as error:  # it raises anything for the types that it does not know
        raise DataError(f"{name} has columns of a type that is not read: save the texts alone") from error


def groups_of(metadata: Any, columns: Columns, number: int, name: str, size: int) -> list[Group]:
    """The row groups of a file of `size` bytes, whose claims are believable.

    Raises:
        DataError: one claims more text than GROUP_LIMIT, or all do more than such a file can hold.
    """
    with reading(name):
        leaves = [metadata.schema.column(place).path for place in range(metadata.num_columns)]
        read = [leaves.index(column) for column in columns.names]
        found = []
        for place in range(metadata.num_row_groups):
            group = metadata.row_group(place)
            claimed = sum(group.column(at).total_uncompressed_size for at in read)
            found.append(Group(number, place, group.num_rows, claimed))
        if any(group.rows < 0 or group.claimed < 0 for group in found):
            raise ValueError("less than nothing")
    for group in found:
        if group.claimed > GROUP_LIMIT:
            raise DataError(
                f"{name} has a row group that claims {group.claimed:,} bytes of text, more than {GROUP_LIMIT:,}: "
                "write it again with smaller row groups"
            )
    if sum(group.claimed for group in found) > most_unpacked(size, MOST_UNPACKED):
        raise DataError(
            f"{name} claims to hold over {MOST_UNPACKED} times its size: save its lines as text if it can be trusted"
        )
    return found
