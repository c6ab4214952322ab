"""Images of a data set of the Hugging Face hub, read through the `datasets` library and its cache."""

import hashlib
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from gan_core.errors import DataError
from gan_core.labels import UNKNOWN
from gan_core.storage import hub
from gan_core.text import printable
from image_gan.sources.base import Asked, Picture, PictureSource, Source, opener
from image_gan.sources.decode import BadImageError, check_bytes, mend_or_skip

IMAGE_COLUMNS = ("image", "img")  # the first of these is taken if there are several columns of images
LABEL_COLUMNS = ("label", "labels", "fine_label")
BATCH = 64  # rows in memory as Python objects at a time


class HubSource(PictureSource):
    """The column of images, and the column of labels if there is one.

    splits: a `datasets.Dataset` for each split.
    """

    def __init__(self, splits: dict, name: str, max_pixels: int, bad_images: str):
        from datasets import ClassLabel, Image  # the import takes seconds

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
        undecoded = Image(decode=False)  # image files as bytes, so that `decode` reads them
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
        """The label of a row; UNKNOWN if it has none.

        Raises:
            DataError: it is out of range.
        """
        if label is None or label == UNKNOWN:
            return UNKNOWN
        if not 0 <= label < len(self.classes):
            raise DataError(
                f"{name} has label {label}, out of range for its {len(self.classes)} classes: choose another set"
            )
        return label

    def read(self, image: dict | None, name: str) -> bytes:
        """The content of an image file, which a row either contains or names.

        Raises:
            BadImageError: the named file is not a regular file, or too large for `max_pixels`.
            ValueError: the row contains no image and names none.
        """
        if image is None or (image["bytes"] is None and image["path"] is None):
            raise ValueError("no image in this row")
        if image["bytes"] is not None:
            return image["bytes"]
        file = Path(image["path"])
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):  # reading a device might never end
            raise BadImageError(f"{name} names {printable(file)}, which is not a regular file: {mend_or_skip()}")
        check_bytes(about.st_size, name, self.max_pixels)
        return file.read_bytes()

    def fingerprint(self, progress: bool = False) -> str:
        """The SHA-256 of the image files and labels. The library's own fingerprint differs between machines."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for split in self.sizes:
            for _, label, read in self.pictures(split):
                try:
                    content = hashlib.sha256(read()).hexdigest()
                except (OSError, ValueError, DataError):  # decoding will report or skip it
                    content = ""
                digest.update(f"{split} {label} {content}\n".encode())
        return digest.hexdigest()


@opener("hub", order=10)
def open_hub_source(asked: Asked) -> Source | None:
    """A name "hf:ID[@REVISION][:SPLIT]". Without a split, those called train and test are taken.

    Raises:
        DataError: there is no such data set, neither a network nor a cached copy, or no column of images.
    """
    if not asked.spec.startswith("hf:"):
        return None
    name = printable(asked.spec)
    found = hub.load_dataset(asked.spec, split=None, example="hf:ylecun/mnist:train", built_in="fashion-mnist")
    if not isinstance(found, dict):
        return HubSource({"train": found}, name, asked.max_pixels, asked.bad_images)
    splits = {split: found[split] for split in ("train", "test") if split in found}
    if "train" not in splits:
        listed = ", ".join(map(printable, found))
        raise DataError(f"{name} has no split called train, only {listed}: name one, as in {name}:{next(iter(found))}")
    return HubSource(splits, name, asked.max_pixels, asked.bad_images)


def column(features: dict, kind: type, called: tuple[str, ...], name: str) -> str | None:
    """The column of a kind, of several the first one of `called`; None if there is no column of the kind.

    Raises:
        DataError: there are several, and none of them is in `called`.
    """
    columns = [key for key, feature in features.items() if isinstance(feature, kind)]
    if len(columns) > 1:
        columns = [key for key in called if key in columns][:1]
        if not columns:
            raise DataError(f"{name} has several columns of {kind.__name__}: save one of them as a folder of images")
    return columns[0] if columns else None
