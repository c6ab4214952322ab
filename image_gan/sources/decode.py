"""Image files to arrays, and arrays to the size and channels that a run asked for, by Pillow.

Everywhere in this package an image is (H, W, C) uint8 and a block of images of one size is (N, H, W, C),
channels last, C = 1 for grey or 3 for RGB.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from gan_core.errors import DataError, named

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM", "TIFF")  # others of Pillow's are rare and run more code
STRIP = 1 << 20  # pixels that are converted at a time


def mend_or_skip() -> str:
    """The remedy for an image that cannot be read."""
    return f"mend or remove it, or give {named('bad_images', 'skip')}"


class BadImageError(DataError):
    """One image cannot be used; the message names it."""


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what goes wrong while an image is read and decoded into one sentence that names it."""
    try:
        yield
    except BadImageError:
        raise
    except PermissionError as error:
        raise BadImageError(f"{name} may not be read: ask for permission to read it, or {mend_or_skip()}") from error
    except Exception as error:  # decoders raise anything, down to bare SyntaxError and struct.error
        raise BadImageError(f"{name} is cut short, damaged or not an image: {mend_or_skip()}") from error


def check_bytes(count: int, name: str, max_pixels: int) -> None:
    """Refuse an image file of more bytes than `max_pixels` of four channels have, before it is read.

    Raises:
        BadImageError: it has more.
    """
    if count > 4 * max_pixels + (1 << 20):
        raise BadImageError(
            f"{name} is a file of {count:,} bytes, too many for {named('max_pixels', max_pixels)}: {mend_or_skip()}"
        )


def decode(content: bytes, name: str, max_pixels: int) -> np.ndarray:
    """The image in a file: (H, W, 1) where its mode is grey, else (H, W, 3); uint8.

    It is turned upright as its EXIF data says, transparent parts are laid on white, of 16 bits the upper 8 are kept,
    and of several frames the first.

    Args:
        content: the bytes of the file.
        name: of the file, for messages.
        max_pixels: larger images are refused by their header, before memory is taken for them.

    Raises:
        BadImageError: the file is too large, cut short, damaged, or no image.
    """
    from PIL import Image, ImageOps

    check_bytes(len(content), name, max_pixels)
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # Pillow's own limit, in favour of ours
    try:
        with reading(name), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, which are of no interest here
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > max_pixels:
                    raise BadImageError(
                        f"{name} has {image.width} x {image.height} pixels, more than "
                        f"{named('max_pixels', max_pixels)}: raise that if the file can be trusted, or {mend_or_skip()}"
                    )
                ImageOps.exif_transpose(image, in_place=True)  # it would copy what needs no turning
                array = flattened(image, name)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    return array if array.ndim == 3 else array[..., None]


def flattened(image, name: str) -> np.ndarray:
    """The pixels of a Pillow image of any mode: (H, W) or (H, W, 3) uint8."""
    if image.mode == "F":
        raise BadImageError(f"{name} holds floating-point samples: save it with 8 bits a channel, or {mend_or_skip()}")
    if image.mode.startswith("I"):
        samples = np.asarray(image)
        if samples.min() < 0 or samples.max() > 0xFFFF:
            raise BadImageError(f"{name} holds samples of 32 bits: save it with 8 bits a channel, or {mend_or_skip()}")
        return (samples >> 8).astype(np.uint8)
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    # A strip at a time: the steps in between, of the whole, would take several times the memory of the result.
    flat = np.empty((image.height, image.width, 3)[: 2 if mode == "L" else 3], np.uint8)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        flat[top:bottom] = np.asarray(on_white(image.crop((0, top, image.width, bottom)), mode))
    return flat


def on_white(image, mode: str):
    """A Pillow image in mode L or RGB, its transparent parts laid on white."""
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert(mode)
    image = image.convert("LA" if mode == "L" else "RGBA")
    white = Image.new(mode, image.size, "white")
    white.paste(image.convert(mode), mask=image.getchannel("A"))
    return white


def fit(image: np.ndarray, size: int, channels: int, resize: str = "bicubic") -> np.ndarray:
    """One image (H, W, C) as (size, size, channels): see `fit_block`."""
    return fit_block(image[None], size, channels, resize)[0]


def fit_block(images: np.ndarray, size: int, channels: int, resize: str = "bicubic") -> np.ndarray:
    """Images (N, H, W, C) as (N, size, size, channels).

    The largest square in the middle is cut out and resized by a filter of `choices.RESIZES`; a square of that size is
    not resampled. RGB becomes grey as 0.299 R + 0.587 G + 0.114 B (ITU-R 601-2, Pillow's "L").
    """
    height, width = images.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    images = images[:, top : top + side, left : left + side]
    if side != size:
        images = np.stack([resized(image, size, resize) for image in images])
    if images.shape[-1] == channels:
        return images
    return images.repeat(3, axis=-1) if channels == 3 else grey(images)


def resized(image: np.ndarray, size: int, resize: str) -> np.ndarray:
    """A square image (S, S, C) as (size, size, C)."""
    from PIL import Image

    pixels = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    pixels = pixels.resize((size, size), Image.Resampling[resize.upper()])
    return np.asarray(pixels).reshape(size, size, -1)


def grey(images: np.ndarray) -> np.ndarray:
    """RGB images (N, H, W, 3) as grey ones (N, H, W, 1)."""
    from PIL import Image

    tall = np.ascontiguousarray(images).reshape(-1, *images.shape[2:])  # one under the other: one call for all
    return np.asarray(Image.fromarray(tall).convert("L")).reshape(*images.shape[:3], 1)
