"""Images from a data set of the Hugging Face hub, through the `datasets` library (and its cache)."""

import hashlib
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from gan_core.errors import DataError
from gan_core.labels import UNKNOWN
from gan_core.storage import hub
from gan_core.text import printable
from image_gan.sources.base import Picture, PictureSource
from image_gan.sources.decode import BadImageError, check_bytes, mend_or_skip

IMAGE_COLUMNS = ("image", "img")  # in order of trust, where there are several
LABEL_COLUMNS = ("label", "labels", "fine_label")
BATCH = 64  # rows that are Python objects at a time


class HubSource(PictureSource):
    """The column of images, and of labels if there is one, of each split: a dict of `datasets.Dataset`."""

    def __init__(self, splits: dict, name: str, max_pixels: int, bad_images: str):
        from datasets import ClassLabel, Image  # takes seconds: only now that it is needed

        features = splits["train"].features
        self.image = column(features, Image, IMAGE_COLUMNS, name)
        if self.image is None:
            raise DataError(f"{name} has no column of images, only {', '.join(features)}: choose another set")
        self.label = column(features, ClassLabel, LABEL_COLUMNS, name)
        classes = tuple(features[self.label].names) if self.label else ()
        columns = [self.image, self.label] if self.label else [self.image]
        for split, rows in splits.items():
            if missing := [column for column in columns if column not in rows.features]:
                raise DataError(f"{name} has no column {missing[0]!r} in its split {split}: name one, as in :train")
        undecoded = Image(decode=False)  # the files as they are: decoding them is ours
        self.splits = {
            split: rows.select_columns(columns).cast_column(self.image, undecoded) for split, rows in splits.items()
        }
        sizes = {split: len(rows) for split, rows in splits.items() if len(rows)}
        super().__init__(f"{name}, column {self.image!r}", classes, sizes, max_pixels, bad_images)
        self.name = name

    def pictures(self, split: str, start: int = 0, stop: int | None = None) -> Iterator[Picture]:
        rows, row = self.splits[split], start
        if start or stop is not None:
            rows = rows.select(range(start, len(rows) if stop is None else stop))
        for batch in rows.iter(batch_size=BATCH):
            images = batch[self.image]
            labels = batch[self.label] if self.label else [None] * len(images)
            for image, label in zip(images, labels, strict=True):
                name = f"{self.name}: {split} row {row}"
                yield name, self.checked(label, name), partial(self.read, image, name)
                row += 1

    def checked(self, label: int | None, name: str) -> int:
        """The label of a row, UNKNOWN where there is none."""
        if label is None or label == UNKNOWN:
            return UNKNOWN
        if not 0 <= label < len(self.classes):
            raise DataError(
                f"{name} has label {label}, out of range for its {len(self.classes)} classes: choose another set"
            )
        return label

    def read(self, image: dict | None, name: str) -> bytes:
        """The content of an image file, which is in the data set or named by it."""
        if image is None or (image["bytes"] is None and image["path"] is None):
            raise ValueError("no image in this row")
        if image["bytes"] is not None:
            return image["bytes"]
        file = Path(image["path"])
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):  # a device would never end
            raise BadImageError(f"{name} names {printable(file)}, which is not a regular file: {mend_or_skip()}")
        check_bytes(about.st_size, name, self.max_pixels)
        return file.read_bytes()

    def fingerprint(self, progress: bool = False) -> str:
        """SHA-256 of the image files and labels; the library's own differs from one machine to the next."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for split in self.sizes:
            for _, label, read in self.pictures(split):
                try:
                    content = hashlib.sha256(read()).hexdigest()
                except (OSError, ValueError, DataError):  # what decodes it will say so, or skip it
                    content = ""
                digest.update(f"{split} {label} {content}\n".encode())
        return digest.hexdigest()


def open_hub_source(spec: str, max_pixels: int, bad_images: str) -> HubSource:
    """The source of "hf:ID[@REVISION][:SPLIT]"; without a split those called train and test.

    Raises:
        DataError: there is no such data set, no network and no cached copy, or no column of images.
    """
    name = printable(spec)
    found = hub.load_dataset(spec, split=None, example="hf:ylecun/mnist:train", built_in="fashion-mnist")
    if not isinstance(found, dict):
        return HubSource({"train": found}, name, max_pixels, bad_images)
    splits = {split: found[split] for split in ("train", "test") if split in found}
    if "train" not in splits:
        listed = ", ".join(map(printable, found))
        raise DataError(f"{name} has no split called train, only {listed}: name one, as in {name}:{next(iter(found))}")
    return HubSource(splits, name, max_pixels, bad_images)


def column(features: dict, kind: type, called: tuple[str, ...], name: str) -> str | None:
    """The only column of a kind, or else the one that is called so; None where there is none of the kind."""
    columns = [key for key, feature in features.items() if isinstance(feature, kind)]
    if len(columns) > 1:
        columns = [key for key in called if key in columns][:1]
        if not columns:
            raise DataError(f"{name} has several columns of {kind.__name__}: save one of them as a folder of images")
    return columns[0] if columns else None
