"""Where prepared data is kept, so that it is prepared once: by one process, whole, and never read when damaged."""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from gan_core.errors import GanError
from gan_core.files import sealed_folder, writing

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
    with writing(folder, "free some space there, or set SEQGAN_GP_CACHE and TMPDIR to folders with more"):
        yield
