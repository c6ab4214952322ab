"""Where lines of text come from: built-in data, files, folders, glob patterns, parquet, standard input, the hub.

`open_source` turns the value of the option `data` into a `Source`, whose `blocks()` are clean lines: valid UTF-8,
each ended by one "\\n", of bounded length. Only "\\n" or "\\r\\n" ends a line; "\\r" alone, U+2028 and the like
are characters. Nothing here holds more than a few blocks, whatever the size of the data or of a line.

A source can be read in parts, see `Source.parts`: what is read is the same, wherever it is divided.
"""

import errno
import glob
import os
import re
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from gan_core.errors import DataError, GanError, UsageError, named
from gan_core.storage.inputs import built_in_folder, naming, path_of
from gan_core.text import printable
from seqgan_gp.choices import BAD_UTF8
from seqgan_gp.sources.base import Source, give_lines
from seqgan_gp.sources.files import FileSource

BUILT_IN = {"wordnet": "the definitions and example sentences of WordNet 3.0"}

LM1B_TRAINING = "training-monolingual.tokenized.shuffled"
LM1B_SHARD = re.compile(r"news\.en(-|\.heldout-)")
PARQUET = ".parquet"
PARQUET_TRAINING = re.compile(r"train-\d+-of-\d+")  # how the hub calls the shards of a split
NOT_DATA = re.compile(r"\.|readme|licen[cs]e|.*\.json", re.IGNORECASE)


def open_source(spec: str, bad_utf8: str = "error", with_labels: bool = False) -> Source:
    """The source that the option `data` names.

    Args:
        spec: a name of BUILT_IN; a file; a folder of *.txt and *.gz files, of lm1b shards or of *.parquet files; a
            glob pattern; "-" for standard input; or "hf:ID[@REVISION][:SPLIT]" for a data set of the Hugging Face hub,
            "hf-stream:..." for one that is read from there without being kept.
        bad_utf8: what to do with a line that is not UTF-8: "error", "replace" its wrong bytes by U+FFFD, or
            "skip" it.
        with_labels: whether the lines shall be label<TAB>sentence where a data set of the hub has a column of labels.

    Raises:
        DataError: nothing usable is there.
        UsageError: `bad_utf8` is none of the three.
    """
    if bad_utf8 not in BAD_UTF8:
        raise UsageError(f"{named('bad_utf8', printable(bad_utf8))} is unknown: choose one of {', '.join(BAD_UTF8)}")
    if spec in BUILT_IN:
        return folder_source(built_in_folder(Path(__file__).parents[1], spec), bad_utf8, f"{spec} ({BUILT_IN[spec]})")
    if spec == "-":
        return FileSource([("standard input", Path(spooled_stdin().name))], "standard input", bad_utf8)
    if spec.startswith(("hf:", "hf-stream:")):
        from seqgan_gp.sources.hub import open_hub_source

        return open_hub_source(spec, bad_utf8, with_labels)
    return path_source(spec, bad_utf8, with_labels)


def path_source(spec: str, bad_utf8: str, with_labels: bool = False) -> Source:
    """The source of a file, a folder or a glob pattern."""
    name = printable(spec)
    path = path_of(spec, give_lines())
    with naming(name, give_lines()):
        if path.is_dir():
            return folder_source(path, bad_utf8, with_labels=with_labels)
        if not os.path.lexists(path) and glob.has_magic(spec):
            matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
            files = [(printable(match), Path(match)) for match in sorted(matches) if not Path(match).is_dir()]
            if not files:
                raise DataError(f"no file matches {name}: {give_lines()}")
            return files_source(files, f"{name} ({counted(files)})", bad_utf8, with_labels)
    return files_source([(name, path)], name, bad_utf8, with_labels)


def files_source(files: list[tuple[str, Path]], description: str, bad_utf8: str, with_labels: bool) -> Source:
    """The source of files of lines, or of parquet files."""
    tables = [path.suffix.lower() == PARQUET for _, path in files]
    if not any(tables):
        return FileSource(files, description, bad_utf8)
    if not all(tables):
        raise DataError(f"{description} mixes parquet files with others: give a pattern that only one kind matches")
    from seqgan_gp.sources.parquet import ParquetSource

    return ParquetSource(files, description, bad_utf8, with_labels)


def folder_source(folder: Path, bad_utf8: str, description: str | None = None, with_labels: bool = False) -> Source:
    """The source of the data files of a folder, by name; of an unpacked lm1b archive the training shards.

    Parquet files count where there are no others, and of a data set in the hub's form only the training shards.
    """
    name = printable(folder)
    with naming(name, give_lines()):
        if (folder / LM1B_TRAINING).is_dir():
            folder = folder / LM1B_TRAINING
        listed = sorted(path for path in folder.iterdir() if not path.is_dir())
    paths = [path for path in listed if is_data(path)]
    tables = [path for path in listed if path.suffix.lower() == PARQUET and not NOT_DATA.match(path.name)]
    if not paths and tables:
        training = [path for path in tables if PARQUET_TRAINING.match(path.name)] or tables
        files = [(printable(path), path) for path in training]
        return files_source(files, f"{name} ({counted(files)})", bad_utf8, with_labels)
    if not paths:
        raise DataError(f"{name} holds no *.txt, *.gz, *.parquet or lm1b file: {give_lines()}")
    files = [(printable(path), path) for path in paths]
    return FileSource(files, description or f"{name} ({counted(files)})", bad_utf8, is_folder=True)


def is_data(path: Path) -> bool:
    """Whether a file of a folder is data, by its name."""
    if NOT_DATA.match(path.name):
        return False
    return path.suffix.lower() in (".txt", ".gz") or LM1B_SHARD.match(path.name) is not None


@cache
def spooled_stdin():
    """Standard input as a temporary file, since it is read several times; deleted when the program ends."""
    if sys.stdin is None:
        raise DataError(f"standard input is closed: {give_lines()}")
    file = tempfile.NamedTemporaryFile(prefix="seqgan-gp-stdin-")  # noqa: SIM115 (it outlives this function)
    try:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
    except OSError as error:
        file.close()
        if error.errno == errno.ENOSPC:
            folder = tempfile.gettempdir()
            raise GanError(f"no space is left for standard input: free some in {folder} or set TMPDIR") from error
        raise DataError(f"standard input cannot be read ({error.strerror}): {give_lines()}") from error
    return file


def counted(files: list) -> str:
    """How many files, in words."""
    return f"{len(files)} file" + "s" * (len(files) != 1)
