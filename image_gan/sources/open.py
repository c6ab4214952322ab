"""Finds the source of images that the option `data` names: the first registered opener that returns one."""

import image_gan.sources as package
from gan_core.discovery import import_all
from gan_core.errors import DataError, UsageError, named
from gan_core.text import printable
from image_gan.choices import BAD_IMAGES
from image_gan.sources.base import OPENERS, Asked, Source, give_images


def open_source(spec: str, *, max_pixels: int = 50_000_000, bad_images: str = "error") -> Source:
    """The source that the option `data` names.

    Args:
        spec: a built-in name; a folder or a file in MNIST's idx format, gzipped or not; a folder or a file of
            CIFAR-10's binary version; a folder or a zip of image files (see `folders.laid_out`); a .npz file with
            `images` (N, H, W) or (N, H, W, C) of uint8 and perhaps `labels` (N,), or with `x_train`, `y_train`,
            `x_test`, `y_test`; or "hf:ID[@REVISION][:SPLIT]" for a data set of the Hugging Face hub.
        max_pixels: larger images are refused before they are decoded.
        bad_images: "error" or "skip", for an image file that cannot be decoded.

    Raises:
        DataError: the data does not exist or cannot be used.
        UsageError: an option is out of range.
    """
    if bad_images not in BAD_IMAGES:
        raise UsageError(
            f"{named('bad_images', printable(bad_images))} is unknown: choose one of {', '.join(BAD_IMAGES)}"
        )
    if max_pixels < 1:
        raise UsageError(f"{named('max_pixels', max_pixels)} must be at least 1")
    import_all(package)
    asked = Asked(spec, max_pixels, bad_images)
    for opener in sorted(OPENERS.values(), key=lambda opener: opener.order):
        source = opener.open(asked)
        if source is not None:
            return source
    raise DataError(f"{printable(asked.path)} is of no known kind: {give_images()}")
