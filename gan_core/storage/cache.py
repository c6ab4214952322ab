"""The cache of prepared data. One process prepares each entry, entries appear whole, and damaged ones are rebuilt."""

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

RECORDS = "fingerprints"  # folder of the digests that `remembered` stores
RECORD_LIMIT = 1 << 12  # bytes
SMALL = 1 << 26  # bytes; files of less in total are read again rather than trusted
SETTLED = 1.0  # seconds; a file changed more recently may change again without a new timestamp

T = TypeVar("T")


def kept(root: Path, name: str, read: Callable[[Path], T | None], write: Callable[[Path], None], **about: Any) -> T:
    """Read the cache entry `root / name`; write it first if it is missing or unusable.

    Args:
        root: the cache folder.
        name: the entry's folder; equal content must have equal names.
        read: reads the entry's folder; returns None if the entry is missing, incomplete, damaged or another one.
        write: writes the entry's files into an empty folder.
        about: values for the entry's manifest.

    Raises:
        GanError: the disk is full, or reading does not return what was written.
    """
    found = read(root / name)
    if found is None:
        with folder_to_write(root, name) as folder:
            # Another process may have written the entry while this one waited for the lock.
            found = read(folder)
            if found is None:
                with writing_to(folder.parent), sealed_folder(folder, **about) as temporary:
                    write(temporary)
                found = read(folder)
    if found is None:
        raise GanError(f"{root} does not keep what is written to it: check the disk, or set SEQGAN_GP_CACHE")
    return found


def remembered(root: Path, files: Sequence[str | Path], about: str, digest: Callable[[], str]) -> str:
    """Return `digest()`, or its stored result if no file has changed since it was stored.

    A change is detected by the files' ctime, which no program can set. Nothing is stored if the files have less than
    SMALL bytes in total or one was changed less than SETTLED seconds ago.

    Args:
        root: the cache folder.
        files: the files that the digest depends on.
        about: describes how the files are read; the digest depends on it too.
        digest: reads the files and returns one word.
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
        with suppress(OSError):  # the disk is full or the cache is read-only: compute it again next time
            record.parent.mkdir(parents=True, exist_ok=True)
            with replacing(record) as temporary:
                noted = {"state": found, "digest": result, "seal": seal_of(name, found, result)}
                temporary.write_text(json.dumps(noted) + "\n")
    return result


def state_of(files: Sequence[str | Path]) -> str | None:
    """A digest of the files' identity, sizes and times; None if they are small, just changed, or cannot be read."""
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
    """A checksum of a record's fields, which detects a damaged record."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def cache_root(cache: str | Path | None) -> Path:
    """The cache folder: `cache`, else $SEQGAN_GP_CACHE, else `seqgan-gp` in the user's cache folder."""
    if cache is None:
        cache = os.environ.get("SEQGAN_GP_CACHE")
    if cache:
        return Path(cache).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "seqgan-gp"


@contextmanager
def folder_to_write(root: Path, name: str) -> Iterator[Path]:
    """Yield the path `root / name` under an exclusive lock, or a temporary path if the cache cannot be written.

    The temporary folder is deleted on exit; memory maps of its files stay readable.
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
        for left_over in [*root.glob(f".{name}.*.tmp"), *root.glob(f".{name}.*.old")]:  # left by killed processes
            shutil.rmtree(left_over, ignore_errors=True)
        yield root / name


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn the errors of a full or broken disk into a GanError of one sentence that names the folder."""
    remedy = "free some space there, or set SEQGAN_GP_CACHE and TMPDIR to folders with more"
    try:
        with writing(folder, remedy):
            yield
    except SafetensorError as error:  # safetensors raises this in place of OSError
        raise full_disk(folder, error, remedy) from error
