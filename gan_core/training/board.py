"""Event files for TensorBoard."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.storage.sealed import writing


class Board:
    """Writes TensorBoard events like torch's SummaryWriter, but synchronously.

    SummaryWriter writes in a thread, which prints a traceback when the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.folder = folder
        with writing(folder):
            folder.mkdir(exist_ok=True)
            name = f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
            self._file = (folder / name).open("wb")
        self._records = RecordWriter(self._file)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Add one point to each curve, by name."""
        from torch.utils.tensorboard import summary

        for name, value in values.items():
            self._write(step=step, summary=summary.scalar(name, value))

    def text(self, step: int, title: str, text: str) -> None:
        """Add a Markdown text."""
        from torch.utils.tensorboard import summary

        self._write(step=step, summary=summary.text(title, text))

    def image(self, step: int, title: str, pixels: np.ndarray) -> None:
        """Add an image (H, W, 3) of uint8."""
        from torch.utils.tensorboard import summary

        self._write(step=step, summary=summary.image(title, pixels, dataformats="HWC"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, **event: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        with writing(self.folder):
            if not self._file.tell():
                self._records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
            self._records.write(Event(wall_time=time.time(), **event).SerializeToString())
            self._records.flush()
