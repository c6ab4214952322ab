"""Small files of images, in the layouts of the real ones."""

import gzip
import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from gan_core.errors import DataError
from image_gan.sources.open import open_source


def noise(number, height=8, width=8, channels=3, seed=0):
    """Images that all differ: (N, H, W, C) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (number, height, width, channels), np.uint8)


def encoded(image, kind="PNG", **options):
    """An image file; from an array (H, W, C) or a Pillow image."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def huge_png(width=60_000, height=60_000):
    """A PNG file of a few bytes whose header promises billions of pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 16))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def write_files(folder, files):
    """Write a dict from paths to contents below a folder."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder


def write_zip(path, files):
    """Write the same into a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def idx_images(images):
    """Images (N, H, W, 1) in the idx format."""
    return struct.pack(">4I", 0x803, *images.shape[:3]) + images.tobytes()


def idx_labels(labels):
    """Labels in the idx format."""
    return struct.pack(">2I", 0x801, len(labels)) + bytes(labels)


def write_mnist(folder, images, labels, part="train", packed=True):
    """Write images and labels as MNIST's official files; `labels` may be None."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"images-idx3": idx_images(images)} | ({} if labels is None else {"labels-idx1": idx_labels(labels)})
    for kind, content in contents.items():
        path = folder / f"{part}-{kind}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(content) if packed else content)
    return folder


def cifar_batch(images, labels):
    """Images (N, 32, 32, 3) and labels as records of CIFAR-10's binary version."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([np.array(labels, np.uint8)[:, None], planes], axis=1).tobytes()


def read(source, split="train"):
    """All images and labels of a split."""
    images, labels = zip(*source.blocks(split), strict=True)
    assert all(part.dtype == np.uint8 and part.ndim == 4 for part in images)
    assert all(part.dtype == np.int16 and len(part) == len(block) for part, block in zip(labels, images, strict=True))
    return np.concatenate(images), np.concatenate(labels).tolist()


def refused(spec, *mentions, **options):
    """Assert that the source is refused in one sentence that mentions all of that."""
    with pytest.raises(DataError) as caught:
        source = open_source(str(spec), **options)
        for split in source.sizes:
            for _ in source.blocks(split):
                pass
    message = str(caught.value)
    assert caught.value.exit_code == 3
    assert "\n" not in message
    for mention in mentions:
        assert str(mention) in message, message
    return message
