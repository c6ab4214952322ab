"""CIFAR-10's binary batches."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gan_core.errors import DataError
from gan_core.storage.inputs import check_file, naming
from gan_core.text import printable
from image_gan.sources.arrays import BLOCK, check_labels, digest_of
from image_gan.sources.base import Block, Source, counted, give_images

CIFAR_FOLDER = "cifar-10-batches-bin"
CIFAR_SHAPE = (3, 32, 32)  # channels first, after a byte with the label
CIFAR_RECORD = 1 + math.prod(CIFAR_SHAPE)
CLASSES_LIMIT = 1 << 16  # bytes of the list of their names
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class CifarSource(Source):
    """CIFAR-10's binary version (Krizhevsky 2009): records of a label and 32 x 32 RGB, a plane a channel."""

    def __init__(self, files: dict[str, list[Path]], description: str, folder: Path):
        self.files = {split: paths for split, paths in files.items() if paths}
        sizes = {split: sum(map(self.records, paths)) for split, paths in self.files.items()}
        super().__init__(f"{description} ({counted(sizes)})", cifar_classes(folder / "batches.meta.txt"), sizes)

    def records(self, path: Path) -> int:
        """How many images a file holds."""
        size = check_file(printable(path), path, give_images())
        if size % CIFAR_RECORD:
            raise DataError(
                f"{printable(path)} is cut short or no batch of CIFAR-10's binary version: its {size:,} bytes are no "
                f"multiple of {CIFAR_RECORD}, fetch it again"
            )
        return size // CIFAR_RECORD

    def blocks(self, split: str) -> Iterator[Block]:
        for path in self.files[split]:
            name = printable(path)
            with naming(name, give_images()), path.open("rb") as stream:
                while content := stream.read(BLOCK // CIFAR_RECORD * CIFAR_RECORD):
                    rows = np.frombuffer(content, np.uint8).reshape(-1, CIFAR_RECORD)
                    images = rows[:, 1:].reshape(-1, *CIFAR_SHAPE).transpose(0, 2, 3, 1)
                    yield images, check_labels(rows[:, 0].astype(np.int64), len(self.classes), name)

    def fingerprint(self, progress: bool = False) -> str:
        return digest_of(self.files, self.classes)


def cifar_classes(path: Path) -> tuple[str, ...]:
    """The names of the classes, from CIFAR-10's own list where it lies beside the batches."""
    if not path.is_file():
        return CIFAR_CLASSES
    with naming(printable(path), give_images()), path.open("rb") as file:
        names = tuple(file.read(CLASSES_LIMIT).decode(errors="replace").split())
    if len(names) != len(CIFAR_CLASSES):
        raise DataError(f"{printable(path)} has {len(names)} names, not {len(CIFAR_CLASSES)}: fetch or remove it")
    return names
