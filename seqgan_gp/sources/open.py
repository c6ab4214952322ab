"""`open_source` turns the value of the option `data` into a `Source`.

A source yields clean lines: valid UTF-8, each terminated by one "\\n", of bounded length. Only "\\n" and "\\r\\n"
terminate a line; "\\r" alone, U+2028 and similar characters do not. Memory holds a few blocks, regardless of the size
of the data or of a line. `Source.chunks` divides a source without changing what is read.
"""

from gan_core.discovery import import_all
from gan_core.errors import UsageError, named
from gan_core.text import printable
from seqgan_gp import sources
from seqgan_gp.choices import BAD_UTF8
from seqgan_gp.sources.base import Source
from seqgan_gp.sources.registry import Options, origins


def open_source(spec: str, bad_utf8: str = "error", with_labels: bool = False) -> Source:
    """Return the source that the option `data` names.

    Args:
        spec: the name of built-in data; a file; a folder of *.txt and *.gz files, of lm1b shards or of *.parquet
            files; a glob pattern; "-" for standard input; "hf:ID[@REVISION][:SPLIT]" for a data set of the Hugging
            Face hub, or "hf-stream:..." to read one from there without keeping a copy.
        bad_utf8: see `Options`.
        with_labels: see `Options`.

    Raises:
        DataError: the data does not exist or cannot be used.
        UsageError: `bad_utf8` is not one of BAD_UTF8.
    """
    if bad_utf8 not in BAD_UTF8:
        raise UsageError(f"{named('bad_utf8', printable(bad_utf8))} is unknown: choose one of {', '.join(BAD_UTF8)}")
    import_all(sources)
    origin = next(origin for origin in origins() if origin.claims(spec))
    return origin.open(spec, Options(bad_utf8, with_labels))
