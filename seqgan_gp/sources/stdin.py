"""Lines from standard input."""

import errno
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from gan_core.errors import DataError, GanError
from seqgan_gp.sources.base import Source, give_lines
from seqgan_gp.sources.content import File
from seqgan_gp.sources.paths import files_source
from seqgan_gp.sources.registry import Options, Origin


class StandardInput(Origin, name="stdin", order=10):
    """Standard input, where the option `data` is `-`."""

    def claims(self, spec: str) -> bool:
        return spec == "-"

    def open(self, spec: str, how: Options) -> Source:
        return files_source([File("standard input", Path(spooled_stdin().name))], "standard input", how)


@cache
def spooled_stdin():
    """Copy standard input to a temporary file, because sources are read several times. The program's end deletes it.

    Raises:
        DataError: standard input is closed or cannot be read.
        GanError: the disk of temporary files is full.
    """
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
