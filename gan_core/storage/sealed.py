"""Folders that appear whole or not at all, and that say when they were damaged.

Checkpoints and prepared data sets are such folders. One is written under a temporary name beside its
target, every file is flushed to the disk and hashed into `manifest.json`, and only then is the folder renamed.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from gan_core.errors import GanError
from gan_core.storage.inputs import read_limited
from gan_core.text import printable

MANIFEST = "manifest.json"
MANIFEST_LIMIT = 1 << 20  # bytes; a larger manifest is not one of ours


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, a quota, a limit on the size of files (ulimit -f)
SPACE = "free some space there"


class DamagedError(Exception):
    """A sealed folder is incomplete or was changed; the message names the file."""


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def manifest_text(manifest: dict[str, Any]) -> str:
    """A manifest as it is written: JSON in one form only, with the SHA-256 of the rest in it."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    return json.dumps({**manifest, "sha256": digest}, indent=1, sort_keys=True) + "\n"


def is_full(error: Exception) -> bool:
    """Whether a write failed because the disk is full. NumPy and safetensors set no errno, so None counts as full."""
    return getattr(error, "errno", None) in (None, *FULL)


def full_disk(place: Path | str, error: Exception, remedy: str = SPACE) -> GanError:
    """The error to raise where `is_full`: one sentence that names the place and the remedy."""
    return GanError(f"{place} cannot be written ({getattr(error, 'strerror', None) or error}): {remedy}")


@contextmanager
def writing(place: Path | str, remedy: str = SPACE) -> Iterator[None]:
    """Turn a full disk, a quota, or a folder that cannot be written, into one sentence.

    place: the file, as the user knows it.
    remedy: where no space is left.

    Raises:
        GanError: the message names the place and the remedy.
    """
    try:
        yield
    except BrokenPipeError:  # the reader of our output has seen enough
        raise
    except OSError as error:
        raise full_disk(place, error, remedy if is_full(error) else "check the folder and its permissions") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path; what is written there becomes the file or folder `path` in one rename, on success.

    A file is replaced if it is there, a folder only if it is empty.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    remove(temporary)
    try:
        yield temporary
        if path.is_dir() and temporary.is_dir():
            path.rmdir()
        temporary.rename(path)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there; of a link, only the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


@contextmanager
def sealed_folder(target: Path, **about: Any) -> Iterator[Path]:
    """Yield a temporary folder to fill; on success it becomes `target`, with a manifest, in one rename.

    On an error the temporary folder is removed and `target` stays as it was. An existing `target` is replaced.
    `about` goes into the manifest. Files may not stand in sub-folders.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        files = sorted(path for path in temporary.iterdir())
        entries = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files}
        manifest = temporary / MANIFEST
        manifest.write_text(manifest_text({**about, "files": entries}))
        for path in [*files, manifest, temporary]:
            sync(path)
        if target.exists():
            old = target.parent / f".{target.name}.{os.getpid()}.old"
            target.rename(old)
            temporary.rename(target)
            shutil.rmtree(old)
        else:
            temporary.rename(target)
        sync(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def verify(folder: Path) -> dict[str, Any]:
    """Check every file of a sealed folder against its manifest and return the manifest.

    Raises:
        DamagedError: a file is missing, extra, of another size or of other content.
    """
    path = folder / MANIFEST
    try:
        text = read_limited(path, MANIFEST_LIMIT).decode()
        manifest = json.loads(text)
        if text != manifest_text({key: value for key, value in manifest.items() if key != "sha256"}):
            raise DamagedError(f"{path} is damaged: it does not match its own checksum")
        entries = {str(name): (int(e["bytes"]), str(e["sha256"])) for name, e in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise DamagedError(f"{path} is missing or unreadable") from error
    present = {p.name for p in folder.iterdir()} - {MANIFEST}
    for name in sorted(present ^ set(entries)):
        what = "missing" if name in entries else "not in the manifest"
        raise DamagedError(f"{printable(folder / name)} is {what}")
    for name, (size, digest) in entries.items():
        file = folder / name
        if file.is_symlink() or not file.is_file() or file.stat().st_size != size or sha256(file) != digest:
            raise DamagedError(f"{file} is damaged: its content does not match the manifest")
    return manifest


def append(file: IO[str], text: str) -> None:
    """Write text to a file at once.

    Raises:
        GanError: the disk is full; the text may stand there in part.
    """
    with writing(file.name, "free some space there, then resume"):
        file.write(text)
        file.flush()


def as_text(value: Any) -> str:
    """A value as the text of a JSON file."""
    return json.dumps(value, indent=1) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    replace_text(path, as_text(value))


def replace_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        GanError: the disk is full; the file is as it was.
    """
    with writing(path), replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        sync(temporary)
