"""Openers of sources register themselves, and the first one in order that knows the data opens it."""

import numpy as np
import pytest

from gan_core.errors import DataError
from image_gan import sources
from image_gan.sources.base import OPENERS, opener
from image_gan.sources.open import open_source
from tests.image_gan.sets import noise, read, refused, write_files

RAW = '''
from pathlib import Path

import numpy as np

from gan_core.storage.sealed import sha256
from image_gan.sources.base import Asked, Source, opener


class RawSource(Source):
    """Grey images of 8 x 8 bytes without a header."""

    def __init__(self, path: Path):
        super().__init__(str(path), (), {"train": path.stat().st_size // 64})
        self.path = path

    def blocks(self, split):
        images = np.fromfile(self.path, np.uint8).reshape(-1, 8, 8, 1)
        yield images, np.full(len(images), -1, np.int16)

    def fingerprint(self, progress=False):
        return sha256(self.path)


@opener("raw", order=65)
def open_raw(asked: Asked) -> Source | None:
    return RawSource(asked.path) if asked.is_file(".raw") else None
'''


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A module in a folder that is added to the package of sources."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more/raw_planted.py").write_text(RAW)
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path / "more")])
    yield
    OPENERS.pop("raw", None)


def test_a_module_of_the_folder_is_enough(tmp_path, planted):
    images = noise(5, 8, 8, 1)
    (tmp_path / "a.RAW").write_bytes(images.tobytes())
    source = open_source(str(tmp_path / "a.RAW"))
    assert type(source).__name__ == "RawSource" and source.sizes == {"train": 5}
    assert np.array_equal(read(source)[0], images)


def test_without_it_the_file_is_of_no_known_kind(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(128))
    refused(tmp_path / "a.raw", "a.raw is of no known kind: give a folder or a zip of images")


def test_openers_are_asked_in_order_and_names_are_found_before_files():
    open_source("fashion-mnist")  # it imports them all
    order = sorted(("zip", "idx", "hub", "folder", "npz", "one image", "built-in", "cifar-10"), key=order_of)
    assert order == ["hub", "built-in", "cifar-10", "npz", "idx", "folder", "one image", "zip"]


def order_of(name):
    return OPENERS[name].order


def test_the_built_in_name_wins_over_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path / "fashion-mnist", {"a.png": b""})
    assert open_source("fashion-mnist").sizes["train"] == 10_000
    assert open_source("./fashion-mnist").sizes == {"train": 1}


@pytest.mark.parametrize(("name", "order"), [("npz", 66), ("other", 35)])
def test_names_and_orders_are_taken_once(name, order):
    with pytest.raises(ValueError, match=r"'npz' has order 35"):
        opener(name, order=order)


def test_a_missing_file_is_named(tmp_path):
    for name in ("a", "a.npz", "a.bin", "a-idx3-ubyte", "a.png", "a.zip"):
        with pytest.raises(DataError, match=rf"{name} does not exist: give a folder"):
            open_source(str(tmp_path / name))
