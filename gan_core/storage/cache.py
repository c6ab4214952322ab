"""Where prepared data is kept, so that it is prepared once: by one process, whole, and never read when damaged."""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError

from gan_core.errors import GanError
from gan_core.storage.inputs import read_limited
from gan_core.storage.sealed import full_disk, replacing, sealed_folder, writing

RECORDS = "fingerprints"  # the folder of what `remembered` notes
RECORD_LIMIT = 1 << 12  # bytes
SMALL = 1 << 26  # bytes of files that are read again rather than trusted
SETTLED = 1.0  # seconds: a file that was changed less long ago may change again without bearing another time

T = TypeVar("T")


def kept(root: Path, name: str, read: Callable[[Path], T | None], write: Callable[[Path], None], **about: Any) -> T:
    """What is read from the folder `root / name`, which is written first where it is missing or unusable.

    Args:
        root: the folder of all that is kept.
        name: of this folder; the same content has the same name.
        read: reads the folder, and returns None where it is missing, incomplete, damaged or another one.
        write: fills an empty folder with files.
        about: goes into the manifest of the folder.

    Raises:
        GanError: the disk is full, or does not give back what is written to it.
    """
    found = read(root / name)
    if found is None:
        with folder_to_write(root, name) as folder:
            # Another process may have written it while this one waited for its turn.
            found = read(folder)
            if found is None:
                with writing_to(folder.parent), sealed_folder(folder, **about) as temporary:
                    write(temporary)
                found = read(folder)
    if found is None:
        raise GanError(f"{root} does not keep what is written to it: check the disk, or set SEQGAN_GP_CACHE")
    return found


def remembered(root: Path, files: Sequence[str | Path], about: str, digest: Callable[[], str]) -> str:
    """What `digest()` finds by reading the files, without reading them where none was changed since it was found.

    The system says when each was changed last, and no program can set that (ctime). Of files that are SMALL together,
    or were changed a moment ago, nothing is noted.

    Args:
        root: the folder of all that is kept.
        files: all that the digest depends on, besides `about`.
        about: how they are read.
        digest: reads them; the result is one word.
    """
    found = state_of(files)
    if found is None:
        return digest()
    name = hashlib.sha256(repr((about, [str(file) for file in files])).encode()).hexdigest()
    record = root / RECORDS / name[:32]
    with suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
        noted = json.loads(read_limited(record, RECORD_LIMIT))
        if noted["state"] == found and noted["seal"] == seal_of(name, found, noted["digest"]):
            return noted["digest"]
    result = digest()
    if state_of(files) == found:
        with suppress(OSError):  # a full disk, a cache that is not written: the next time it is found again
            record.parent.mkdir(parents=True, exist_ok=True)
            with replacing(record) as temporary:
                noted = {"state": found, "digest": result, "seal": seal_of(name, found, result)}
                temporary.write_text(json.dumps(noted) + "\n")
    return result


def state_of(files: Sequence[str | Path]) -> str | None:
    """What tells whether one of the files was changed since; None where that is not worth knowing, or not known."""
    digest, size, last = hashlib.sha256(), 0, 0
    try:
        for file in files:
            about = Path(file).stat()
            size, last = size + about.st_size, max(last, about.st_mtime_ns, about.st_ctime_ns)
            state = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
            digest.update(f"{state}\n".encode())
    except OSError:
        return None
    return digest.hexdigest() if size >= SMALL and time.time() - last / 1e9 > SETTLED else None


def seal_of(*parts: str) -> str:
    """What tells whether a record is as it was written."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def cache_root(cache: str | Path | None) -> Path:
    """The folder of all that is kept: `cache`, or else $SEQGAN_GP_CACHE, or else in the user's cache folder."""
    if cache is None:
        cache = os.environ.get("SEQGAN_GP_CACHE")
    if cache:
        return Path(cache).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "seqgan-gp"


@contextmanager
def folder_to_write(root: Path, name: str) -> Iterator[Path]:
    """Yield `root / name`, which no other process writes meanwhile, or a temporary one where that cannot be.

    The temporary folder is deleted on leaving: what was mapped from it stays readable.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / f".{name}.lock").open("w")
    except OSError as error:
        print(f"The cache {root} cannot be written ({error.strerror}): not keeping the data.", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="seqgan-gp-") as temporary:
            yield Path(temporary) / name
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left_over in [*root.glob(f".{name}.*.tmp"), *root.glob(f".{name}.*.old")]:  # by a process that was killed
            shutil.rmtree(left_over, ignore_errors=True)
        yield root / name


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn a full or broken disk into one sentence that names the folder."""
    remedy = "free some space there, or set SEQGAN_GP_CACHE and TMPDIR to folders with more"
    try:
        with writing(folder, remedy):
            yield
    except SafetensorError as error:  # its own word for what the system says
        raise full_disk(folder, error, remedy) from error
