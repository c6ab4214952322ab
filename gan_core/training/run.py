"""The run directory: config, metrics, log, samples, checkpoints.

For example:

runs/00003-text-wgan-gp/
  config.json  metrics.jsonl  log.txt  summary.json  samples/  checkpoints/  tensorboard/
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.errors import CheckpointError, UsageError, named
from gan_core.storage.inputs import read_limited
from gan_core.storage.sealed import append, as_text, full_disk, is_full, remove, replace_text, sync, writing
from gan_core.text import printable
from gan_core.training.board import Board

CONFIG_LIMIT = 1 << 20  # bytes; a larger config.json is not one of ours
NAME = re.compile(r"[\w.+-]{1,100}")


class Run:
    """An open run directory, locked so that only one process writes it."""

    def __init__(self, path: Path) -> None:
        refuse_links(path)
        self.path = path
        self.samples = path / "samples"
        self.checkpoints = path / "checkpoints"
        self._lock = (path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise UsageError(f"{path} is being written by another process: wait for it, or start a new run") from error
        for left_over in [*path.glob(".*.tmp"), *self.samples.glob(".*.tmp")]:  # left by killed processes
            remove(left_over)
        self._log = (path / "log.txt").open("a")
        self._metrics = (path / "metrics.jsonl").open("a")
        self._board: Board | None = None

    @classmethod
    def create(cls, outdir: Path, name: str, config: dict[str, Any]) -> "Run":
        """Create the next numbered directory in `outdir`. Even after a kill it has its config.json or does not exist.

        Raises:
            UsageError: the name or the folder cannot be used.
            GanError: the disk is full.
        """
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{named('name', repr(name))} cannot be a folder's name: use letters, digits, '-', '_' and '.'"
            )
        try:
            outdir.mkdir(parents=True, exist_ok=True)
            sweep(outdir)
            temporary = outdir / f".new-run.{os.getpid()}.tmp"
            try:
                temporary.mkdir()
                (temporary / "samples").mkdir()
                (temporary / "checkpoints").mkdir()
                (temporary / "config.json").write_text(as_text(config))
                sync(temporary / "config.json")
                sync(temporary)
                path = numbered(temporary, outdir, name)
            finally:
                remove(temporary)
        except OSError as error:
            if is_full(error):
                raise full_disk(named("outdir", outdir), error) from error
            raise UsageError(
                f"{named('outdir', outdir)} cannot be written: {error.strerror}; choose another folder"
            ) from error
        return cls(path)

    def log(self, text: str) -> None:
        """Append to log.txt."""
        append(self._log, text + "\n")

    def metrics(self, step: int, values: dict[str, Any], scalars: dict[str, float]) -> None:
        """Append one object with the step and `values` to metrics.jsonl, and `scalars` to TensorBoard."""
        append(self._metrics, json.dumps({"step": step, **values}) + "\n")
        self._show().scalars(step, scalars)

    def text(self, step: int, title: str, lines: list[str]) -> None:
        """Show lines of text in TensorBoard, without interpreting them as Markdown."""
        if lines:
            self._show().text(step, title, "\n".join("    " + line for line in lines))

    def show(self, step: int, title: str, path: Path) -> None:
        """Show a picture in TensorBoard if the file is a PNG."""
        if path.suffix == ".png":
            from PIL import Image

            with Image.open(path) as image:
                self._show().image(step, title, np.asarray(image.convert("RGB")))

    def forget_after(self, step: int) -> None:
        """Drop the metrics after a step, because a resumed run writes them again.

        Terminates a log line that a kill cut short.
        """
        path = self.path / "metrics.jsonl"
        kept = [line.rstrip("\n") + "\n" for line in read_lines(path) if json_step(line) <= step]
        self._metrics.close()
        replace_text(path, "".join(kept))
        self._metrics = path.open("a")
        if is_cut(self.path / "log.txt"):
            append(self._log, "\n")

    def keep(self) -> None:
        """Flush the metrics to the disk, so that they are as durable as the checkpoint they precede."""
        with writing(self._metrics.name):
            os.fsync(self._metrics.fileno())

    def close(self) -> None:
        """Release the run."""
        for file in (self._board, self._log, self._metrics, self._lock):
            with contextlib.suppress(OSError):  # a failed write was reported when it happened
                if file is not None:
                    file.close()

    def _show(self) -> "Board":
        if self._board is None:
            self._board = Board(self.path / "tensorboard")
        return self._board


def refuse_links(path: Path) -> None:
    """Refuse a run directory with a symbolic link where this program writes: it would write to the link's target.

    Raises:
        CheckpointError: the message names the link.
    """
    for file in (path / "lock", *path.iterdir(), *(path / "samples").glob("*"), *(path / "tensorboard").glob("*")):
        if file.is_symlink():
            raise CheckpointError(f"{printable(file)} is a link, which leads out of the run: put what it names there")


def read_config(path: Path) -> dict[str, Any]:
    """The config.json of a run directory.

    Raises:
        CheckpointError: the folder is not a run, or its config.json is unreadable.
    """
    file = path / "config.json"
    try:
        config = json.loads(read_limited(file, CONFIG_LIMIT))
        if not isinstance(config, dict) or not isinstance(config.get("numbers"), dict):
            raise ValueError("not a run's")
        return config
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is not a run: it has no config.json; give a folder such as runs/00000-..."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is unreadable: restore it, or give another run") from error


def newest_run(outdir: Path, domain: str) -> Path:
    """The newest run of a domain in a folder.

    Raises:
        CheckpointError: the folder has no run of that domain.
    """
    for path in sorted(outdir.glob("[0-9]*"), reverse=True) if outdir.is_dir() else ():
        with contextlib.suppress(CheckpointError):
            if read_config(path).get("domain") == domain:
                return path
    raise CheckpointError(f"there is no {domain} run in {outdir} to resume: start one without {named('resume')}")


def run_folder(path: str | Path) -> Path:
    """The run directory that a user's path refers to: the folder itself, or the run that contains the path."""
    path = Path(path)
    for candidate in (path, *path.parents):
        if (candidate / "config.json").is_file():
            return candidate
    return path


def sweep(outdir: Path) -> None:
    """Remove half-created runs of processes that were killed."""
    for left_over in outdir.glob(".new-run.*.tmp"):
        maker = left_over.name.split(".")[2]
        if not (maker.isdecimal() and is_alive(int(maker))):
            shutil.rmtree(left_over, ignore_errors=True)


def is_alive(process: int) -> bool:
    """Whether a process with this ID exists and is not this one."""
    try:
        os.kill(process, 0)
    except (OSError, OverflowError) as error:
        return isinstance(error, PermissionError)  # it exists and belongs to another user
    return process != os.getpid()


def numbered(folder: Path, outdir: Path, name: str) -> Path:
    """Rename a folder to the next number in `outdir` and a name, in one step; return its new path."""
    while True:
        numbers = [int(path.name[:5]) for path in outdir.iterdir() if path.name[:5].isdecimal()]
        path = outdir / f"{max(numbers, default=-1) + 1:05d}-{name}"
        try:
            folder.rename(path)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # another process has taken this number
                continue
            raise
        sync(outdir)
        return path


def read_lines(path: Path) -> list[str]:
    """The lines of a text file with their line ends; [] if it does not exist. Invalid UTF-8 is replaced by U+FFFD."""
    return path.read_text(errors="replace").splitlines(keepends=True) if path.is_file() else []


def is_cut(path: Path) -> bool:
    """Whether the last line of a text file lacks its line end."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def json_step(line: str) -> float:
    """The step of a line of metrics.jsonl; infinity for a line that a kill cut short."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return float("inf")
