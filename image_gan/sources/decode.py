"""Decodes image files with Pillow, and fits arrays to a size and a number of channels.

In this package an image is (H, W, C) uint8 and a block of images of one size is (N, H, W, C), with C = 1 for grey or 3
for RGB.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from gan_core.errors import DataError, named

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff")
FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "BMP",
    "GIF",
    "PPM",
    "TIFF",
)  # Pillow's other formats are rare and a larger surface for attacks
STRIP = 1 << 20  # pixels converted at a time


def mend_or_skip() -> str:
    """The remedy for an image that cannot be read."""
    return f"mend or remove it, or give {named('bad_images', 'skip')}"


class BadImageError(DataError):
    """One image cannot be used; the message names it."""


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn any error of reading and decoding an image into a BadImageError whose one sentence names the image."""
    try:
        yield
    except BadImageError:
        raise
    except PermissionError as error:
        raise BadImageError(f"{name} may not be read: ask for permission to read it, or {mend_or_skip()}") from error
    except Exception as error:  # decoders raise anything, down to bare SyntaxError and struct.error
        raise BadImageError(f"{name} is cut short, damaged or not an image: {mend_or_skip()}") from error


def check_bytes(count: int, name: str, max_pixels: int) -> None:
    """Refuse an image file of more bytes than `max_pixels` pixels of four channels and a megabyte, before it is read.

    Raises:
        BadImageError: the file is larger.
    """
    if count > 4 * max_pixels + (1 << 20):
        raise BadImageError(
            f"{name} is a file of {count:,} bytes, too many for {named('max_pixels', max_pixels)}: {mend_or_skip()}"
        )


def decode(content: bytes, name: str, max_pixels: int) -> np.ndarray:
    """Decode an image file to uint8, (H, W, 1) if its mode is grey, else (H, W, 3).

    The image is turned upright according to its EXIF data and laid on white where it is transparent. Of 16 bits the
    upper 8 are kept, of several frames the first one.

    Args:
        content: the bytes of the file.
        name: of the file, for messages.
        max_pixels: an image whose header states more pixels is refused before memory is allocated for it.

    Raises:
        BadImageError: the file is too large, cut short, damaged or not an image.
    """
    from PIL import Image, ImageOps

    check_bytes(len(content), name, max_pixels)
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # `max_pixels` replaces Pillow's own limit
    try:
        with reading(name), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, which is not used
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > max_pixels:
                    raise BadImageError(
                        f"{name} has {image.width} x {image.height} pixels, more than "
                        f"{named('max_pixels', max_pixels)}: raise that if the file can be trusted, or {mend_or_skip()}"
                    )
                ImageOps.exif_transpose(image, in_place=True)  # without in_place, an upright image is copied
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
    # Strip by strip, since the intermediate images of the whole would need several times the result's memory.
    flat = np.empty((image.height, image.width, 3)[: 2 if mode == "L" else 3], np.uint8)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        flat[top:bottom] = np.asarray(on_white(image.crop((0, top, image.width, bottom)), mode))
    return flat


def on_white(image, mode: str):
    """A Pillow image in mode L or RGB, laid on white where it is transparent."""
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert(mode)
    image = image.convert("LA" if mode == "L" else "RGBA")
    white = Image.new(mode, image.size, "white")
    white.paste(image.convert(mode), mask=image.getchannel("A"))
    return white


def fit(image: np.ndarray, size: int, channels: int, resize: str = "bicubic") -> np.ndarray:
    """Fit one image (H, W, C) to (size, size, channels), as `fit_block` does."""
    return fit_block(image[None], size, channels, resize)[0]


def fit_block(images: np.ndarray, size: int, channels: int, resize: str = "bicubic") -> np.ndarray:
    """Fit images (N, H, W, C) to (N, size, size, channels).

    The largest centred square is cropped and resized by a filter of `choices.RESIZES`, unless it has the size
    already. Grey is 0.299 R + 0.587 G + 0.114 B (ITU-R 601-2, Pillow's mode "L").
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
    """Resize a square image (S, S, C) to (size, size, C)."""
    from PIL import Image

    pixels = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    pixels = pixels.resize((size, size), Image.Resampling[resize.upper()])
    return np.asarray(pixels).reshape(size, size, -1)


def grey(images: np.ndarray) -> np.ndarray:
    """Convert RGB images (N, H, W, 3) to grey ones (N, H, W, 1)."""
    from PIL import Image

    tall = np.ascontiguousarray(images).reshape(-1, *images.shape[2:])  # images stacked vertically, for one call
    return np.asarray(Image.fromarray(tall).convert("L")).reshape(*images.shape[:3], 1)
