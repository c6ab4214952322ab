"""Lines from a data set of the Hugging Face hub through the `datasets` library, from its cache or as a stream."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gan_core.errors import DataError, GanError
from gan_core.runtime.progress import Progress
from gan_core.storage.hub import Stream, find_stream, load_dataset, reason
from gan_core.text import printable
from seqgan_gp.sources.base import CHUNK, Chunk
from seqgan_gp.sources.registry import Options, Origin
from seqgan_gp.sources.rows import BATCH, Columns, RowSource, columns_of

EXAMPLE = "hf:ag_news:test"
CACHED = "hf:"
STREAM = "hf-stream:"


class Hub(Origin, name="hub", order=20):
    """Data sets of the Hugging Face hub: `hf:ID[@REVISION][:SPLIT]`, or hf-stream:... to keep no copy."""

    def claims(self, spec: str) -> bool:
        return spec.startswith((CACHED, STREAM))

    def open(self, spec: str, how: Options) -> "HashedSource":
        """Return the source of a data set. The split is "train" by default.

        Raises:
            DataError: there is no such data set, neither a network nor a cached copy, or no single column of text.
        """
        name = printable(spec)
        if spec.startswith(STREAM):
            stream = find_stream(spec, split="train", example=f"{STREAM}ag_news:test", built_in="wordnet")
            opened = stream.open()
            columns = columns_of(features_of(opened, name), name, how.with_labels)
            return StreamSource(stream, opened, columns, how.bad_utf8)
        dataset = load_dataset(spec, split="train", example=EXAMPLE, built_in="wordnet")
        return HubSource(dataset, columns_of(dataset.features, name, how.with_labels), name, how.bad_utf8)


class HashedSource(RowSource):
    """Rows whose fingerprint is a hash of their lines, because nothing else identifies them on every machine."""

    def fingerprint(self, progress: bool = False) -> str:
        """Return the SHA-256 of the lines."""
        digest = hashlib.sha256()
        with Progress("check", self.size, self.unit, progress, delay=1) as bar:
            for block in self.blocks():
                digest.update(block)
                bar.advance(self.position - bar.done)
        return digest.hexdigest()


class HubSource(HashedSource):
    """The text column of a `datasets.Dataset`. The fingerprint of the dataset itself differs between machines."""

    def __init__(self, dataset: Any, columns: Columns, name: str, bad_utf8: str):
        super().__init__(name, columns, len(dataset), bad_utf8)
        self.rows = dataset.select_columns(columns.names).with_format("arrow")
        self.paths = tuple(Path(file["filename"]) for file in dataset.cache_files)

    def chunks(self) -> list[Chunk]:
        """Divide the rows into chunks of about CHUNK bytes, computed from the mean size of a row."""
        step = max(BATCH, CHUNK * self.size // max(1, self.rows.data.nbytes))
        return [(start, min(start + step, self.size)) for start in range(0, max(1, self.size), step)]

    def whole_files(self, chunk: Chunk) -> Chunk:
        return 0, self.size

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, str, Iterable[bytes]]]:
        """Yield the rows as the content of one file."""
        yield 0, self.description, self.read(start, end)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the lines of the rows between `start` and `end`."""
        row = start
        for table in self.rows.select(range(start, end)).iter(batch_size=BATCH):
            self.position = row + len(table)
            yield from self.joined(table, row)
            row += len(table)


class StreamSource(HashedSource):
    """The text column of a `datasets.IterableDataset`, downloaded while it is read and not kept.

    It is read by shards; a shard is one of the data set's files on the hub. A copy of this source in another process
    opens the stream again.
    """

    unit = " shards"

    def __init__(self, stream: Stream, opened: Any, columns: Columns, bad_utf8: str):
        super().__init__(stream.name, columns, opened.num_shards, bad_utf8)
        self.stream = stream
        self.opened = opened

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"opened": None}

    def chunks(self) -> list[Chunk]:
        """Return one chunk per shard."""
        return [(shard, shard + 1) for shard in range(self.size)]

    def whole_files(self, chunk: Chunk) -> Chunk:
        return chunk

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, str, Iterable[bytes]]]:
        """Yield each shard as a file."""
        for shard in range(start, end):
            yield shard, f"{self.description}, shard {shard}", self.read(shard)

    def read(self, shard: int) -> Iterator[bytes]:
        """Yield the lines of a shard.

        Raises:
            GanError: the hub does not deliver the shard.
        """
        row, tables = 0, self.tables(shard)
        while True:
            try:
                table = next(tables, None)
            except Exception as error:  # the library raises any kind of error for networks and files
                raise GanError(
                    f"{self.name} could not be read on ({reason(error)}): run again, what was finished is kept"
                ) from error
            if table is None:
                break
            yield from self.joined(table, row)
            row += len(table)
        self.position = shard + 1

    def tables(self, shard: int) -> Iterator[Any]:
        """Yield the rows of a shard as Arrow tables."""
        self.opened = self.opened or self.stream.open()
        rows = self.opened.shard(self.size, shard, contiguous=True).select_columns(self.columns.names)
        yield from rows.with_format("arrow").iter(batch_size=BATCH)

    def fingerprint(self, progress: bool = False) -> str:
        """Return the SHA-256 of the ID, the commit, the split and the columns; for a local folder, of the lines."""
        if self.stream.revision is None:
            return super().fingerprint(progress)
        about = ("hf-stream", self.stream.identity, self.stream.revision, self.stream.split, self.columns.names)
        return hashlib.sha256(repr(about).encode()).hexdigest()


def features_of(stream: Any, name: str) -> Any:
    """Return the `datasets.Features` of a stream, derived from its first row if the stream does not declare them.

    Raises:
        DataError: the stream has no row, or cannot be read.
    """
    from datasets import Features

    if stream.features is not None:
        return stream.features
    try:
        return Features.from_arrow_schema(next(iter(stream.with_format("arrow").iter(batch_size=1))).schema)
    except StopIteration as error:
        raise DataError(f"{name} is empty: choose another set") from error
    except Exception as error:
        raise DataError(f"{name} could not be read ({reason(error)}): check it, or choose another set") from error
