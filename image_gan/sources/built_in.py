"""The built-in images."""

from pathlib import Path

from gan_core.errors import DataError
from gan_core.storage.inputs import built_in_folder
from gan_core.text import printable
from image_gan.sources.base import Asked, Source, opener
from image_gan.sources.idx import IdxSource, idx_files

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


@opener("built-in", order=20)
def open_built_in(asked: Asked) -> Source | None:
    """A name of BUILT_IN, which wins over a file or folder of that name."""
    name = asked.spec
    if name not in BUILT_IN:
        return None
    folder = built_in_folder(Path(__file__).parents[1], name)
    files = idx_files(folder)
    if not files:
        raise DataError(f"{printable(folder)} lacks the files of {name}: install the package again")
    return IdxSource(files, f"{name} ({BUILT_IN[name]})", asked.max_pixels, BUILT_IN_CLASSES[name])
