"""Sealed folders: they appear whole or not at all, and damage to them is detected.

Checkpoints and prepared data sets are sealed folders. Such a folder is written under a temporary name next to its
target. Every file is flushed to the disk and its SHA-256 is written to `manifest.json`; then the folder is renamed.
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
    """A sealed folder is incomplete or has been changed; the message names the file."""


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
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
    """The text of manifest.json: canonical JSON that includes the SHA-256 of its other values."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    return json.dumps({**manifest, "sha256": digest}, indent=1, sort_keys=True) + "\n"


def is_full(error: Exception) -> bool:
    """Whether a write failed because the disk is full. NumPy and safetensors set no errno, so None counts as full."""
    return getattr(error, "errno", None) in (None, *FULL)


def full_disk(place: Path | str, error: Exception, remedy: str = SPACE) -> GanError:
    """The error for a place that cannot be written: one sentence that names the place, the reason and the remedy."""
    return GanError(f"{place} cannot be written ({getattr(error, 'strerror', None) or error}): {remedy}")


@contextmanager
def writing(place: Path | str, remedy: str = SPACE) -> Iterator[None]:
    """Turn the errors of a full disk, an exceeded quota or an unwritable folder into a GanError of one sentence.

    place: the file, as the user knows it.
    remedy: what to do if no space is left.

    Raises:
        GanError: the message names the place and the remedy.
    """
    try:
        yield
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed the pipe
        raise
    except OSError as error:
        raise full_disk(place, error, remedy if is_full(error) else "check the folder and its permissions") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a file or folder; on success it is renamed to `path` in one step.

    An existing file is replaced, an existing folder only if it is empty.
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
    """Remove a file, a folder or a symbolic link (not its target), if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


@contextmanager
def sealed_folder(target: Path, **about: Any) -> Iterator[Path]:
    """Yield a temporary folder to fill; on success it gets a manifest and is renamed to `target` in one step.

    An existing `target` is replaced. On an error the temporary folder is removed and `target` is unchanged.
    The folder may contain files only, no sub-folders.

    about: values for the manifest.
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
        DamagedError: a file is missing, is not in the manifest, or differs from it in size or content.
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
    """Append text to a file and flush it.

    Raises:
        GanError: the disk is full; a part of the text may have been written.
    """
    with writing(file.name, "free some space there, then resume"):
        file.write(text)
        file.flush()


def as_text(value: Any) -> str:
    """The text of a JSON file for a value."""
    return json.dumps(value, indent=1) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    replace_text(path, as_text(value))


def replace_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        GanError: the disk is full; the file is unchanged.
    """
    with writing(path), replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        sync(temporary)
