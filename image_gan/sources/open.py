"""Where images come from: built-in data, arrays in files, folders and zips of image files, the hub.

`open_source` turns the value of the option `data` into a `Source`, whose `blocks` are arrays (N, H, W, C) of uint8 with
N labels. Data that is published as arrays comes in large blocks, image files one by one. Nothing holds more than a
block.
"""

import zipfile
from pathlib import Path

from gan_core.errors import DataError, UsageError, named
from gan_core.storage.inputs import built_in_folder, check_file, naming, path_of
from gan_core.text import printable
from image_gan.choices import BAD_IMAGES
from image_gan.sources.base import Source, give_images
from image_gan.sources.cifar import CIFAR_FOLDER, CifarSource
from image_gan.sources.decode import SUFFIXES
from image_gan.sources.folders import FolderSource, ZipSource
from image_gan.sources.idx import IdxSource, idx_files
from image_gan.sources.npz import NpzSource

BUILT_IN = {"fashion-mnist": "the first 12,000 images of Fashion-MNIST"}
BUILT_IN_CLASSES = {
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
}


def open_source(spec: str, *, max_pixels: int = 50_000_000, bad_images: str = "error") -> Source:
    """The source that the option `data` names.

    Args:
        spec: a name of BUILT_IN; a folder or a file in the idx format of MNIST, packed or not; a folder or a file of
            CIFAR-10's binary version; a folder or a zip of image files (see `laid_out`); a .npz file with `images`
            (N, H, W) or (N, H, W, C) of uint8 and perhaps `labels` (N,), or with `x_train`, `y_train`, `x_test`,
            `y_test`; or "hf:ID[@REVISION][:SPLIT]" for a data set of the Hugging Face hub.
        max_pixels: larger images are refused before they are decoded.
        bad_images: what to do with an image file that cannot be decoded: "error", or "skip" it.

    Raises:
        DataError: nothing usable is there.
        UsageError: an option is out of range.
    """
    if bad_images not in BAD_IMAGES:
        raise UsageError(
            f"{named('bad_images', printable(bad_images))} is unknown: choose one of {', '.join(BAD_IMAGES)}"
        )
    if max_pixels < 1:
        raise UsageError(f"{named('max_pixels', max_pixels)} must be at least 1")
    if spec.startswith("hf:"):
        from image_gan.sources.hub import open_hub_source

        return open_hub_source(spec, max_pixels, bad_images)

    if spec in BUILT_IN:
        folder = built_in_folder(Path(__file__).parents[1], spec)
        source = open_arrays(folder, max_pixels, f"{spec} ({BUILT_IN[spec]})", BUILT_IN_CLASSES[spec])
        if source is None:
            raise DataError(f"{printable(folder)} lacks the files of {spec}: install the package again")
        return source
    path = path_of(spec, give_images())
    source = open_arrays(path, max_pixels)
    if source is not None:
        return source
    name = printable(path)
    with naming(name, give_images()):
        if path.is_dir():
            return FolderSource(path, max_pixels, bad_images)
    check_file(name, path, give_images())
    if path.suffix.lower() in SUFFIXES:
        raise DataError(f"{name} is one image: give a folder of images")
    if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        return ZipSource(path, max_pixels, bad_images)
    raise DataError(f"{name} is of no known kind: {give_images()}")


def open_arrays(
    path: Path, max_pixels: int, description: str | None = None, classes: tuple[str, ...] = ()
) -> Source | None:
    """The source of a file or folder of arrays, or None where it is neither; `classes` are known for built-in data.

    Raises:
        DataError: the files are damaged, or not what their names say.
    """
    name = printable(path)
    with naming(name, give_images()):
        if path.is_dir():
            folder = path / CIFAR_FOLDER if (path / CIFAR_FOLDER).is_dir() else path
            idx = idx_files(sorted(folder.iterdir()))
            if idx:
                return IdxSource(idx, description or name, max_pixels, classes)
            files = {"train": sorted(folder.glob("data_batch_*.bin")), "test": sorted(folder.glob("test_batch.bin"))}
            return CifarSource(files, name, folder) if files["train"] else None
        if path.suffix.lower() == ".npz":
            return NpzSource(path, max_pixels)
        if path.suffix.lower() == ".bin":
            return CifarSource({"train": [path], "test": []}, name, path.parent)
        if "idx3" in path.name:
            return IdxSource({"train": path}, name, max_pixels, classes)
    return None
