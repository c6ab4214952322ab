"""Image files that several processes decode: the same set as by one, and nothing is left of what is interrupted."""

import hashlib
import importlib
import shutil

import numpy as np
import pytest

from gan_core.errors import DataError
from gan_core.runtime import pool
from gan_core.storage import hub
from image_gan.dataset import spool
from image_gan.dataset.dataset import open_images, prepare
from image_gan.sources.open import open_source
from tests.image_gan.sets import encoded, noise, write_files, write_zip


@pytest.fixture
def divided(monkeypatch):
    """Divide images into shards of at least so many, for so many processes."""

    def dividing(number, processes):
        monkeypatch.setattr(spool, "SHARD", number)
        monkeypatch.setattr(pool, "processors", lambda: processes)
        monkeypatch.setattr(spool, "processors", lambda: processes)

    return dividing


def written(cache):
    files = (path for path in sorted(cache.rglob("*")) if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(cache)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pictures(number=60):
    """Of three classes, in splits of their own; grey but for one near the end, in several sizes, one is damaged."""
    files = {}
    for n in range(number):
        image = noise(1, 9 + n % 3, 9, 1 if n != number - 4 else 3, seed=n)[0]
        files[f"{'test' if n % 5 == 0 else 'train'}/{'abc'[n % 3]}/{n:02}.png"] = encoded(image)
    return files | {"train/b/33.png": b"damaged"}


class TestSame:
    @pytest.mark.parametrize("kind", ["folder", "zip"])
    @pytest.mark.parametrize("channels", [0, 1, 3])
    def test_whatever_the_processes(self, tmp_path, cache, divided, kind, channels):
        make = write_files if kind == "folder" else write_zip
        spec = str(make(tmp_path / f"p.{kind}", pictures()))
        caches = []
        for number, processes in ((1000, 2), (20, 1), (7, 2), (1, 3)):
            divided(number, processes)
            shutil.rmtree(cache, ignore_errors=True)
            images = prepare(spec, size=8, channels=channels, bad_images="skip")
            assert images.counts == {"images": 61, "skipped": 1, "shared": 0, "train": 48, "test": 12}
            assert images.classes == ("a", "b", "c")
            caches.append(written(cache))
        assert len(caches[0]) == 6 and all(other == caches[0] for other in caches[1:])

    def test_rows_of_the_hub(self, tmp_path, cache, divided, monkeypatch):
        datasets = importlib.import_module("datasets")
        rows = [{"bytes": encoded(image), "path": None} for image in noise(30)]
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])})
        dataset = datasets.Dataset.from_dict({"image": rows, "label": [n % 2 for n in range(30)]}, features=features)
        monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: dataset)
        monkeypatch.setattr(hub, "hub_is_out_of_reach", lambda: False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        found = []
        for number, processes in ((1000, 1), (11, 2)):
            divided(number, processes)
            shutil.rmtree(cache, ignore_errors=True)
            prepare("hf:x")
            found.append(written(cache))
        assert found[0] == found[1]

    def test_images_to_be_scored(self, tmp_path, divided):
        spec = str(write_files(tmp_path / "p", {f"{n}.png": encoded(image) for n, image in enumerate(noise(10))}))
        divided(3, 2)
        assert np.array_equal(open_images(spec), noise(10))


class TestStopped:
    @pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
    def test_nothing_is_left(self, tmp_path, cache, divided, monkeypatch, error):
        spec = str(write_files(tmp_path / "p", pictures()))
        divided(7, 2)
        with monkeypatch.context() as patch:
            patch.setattr(spool, "chunks", lambda images: (_ for _ in ()).throw(error))
            with pytest.raises((KeyboardInterrupt, Exception)):
                prepare(spec, size=8, bad_images="skip")
        assert {path.suffix for path in cache.iterdir()} == {".lock"}
        prepare(spec, size=8, bad_images="skip")

    def test_the_first_bad_image_is_named(self, tmp_path, cache, divided):
        spec = str(write_files(tmp_path / "p", pictures()))
        messages = []
        for number, processes in ((1000, 1), (7, 2)):
            divided(number, processes)
            with pytest.raises(DataError) as caught:
                prepare(spec, size=8)
            messages.append(str(caught.value))
        assert messages[0] == messages[1] and "33.png" in messages[0]

    def test_images_of_several_sizes(self, tmp_path, cache, divided):
        files = {f"{n:02}.png": encoded(noise(1, 8 + n // 6, 8 + n // 6)[0]) for n in range(12)}
        spec = str(write_files(tmp_path / "p", files))
        divided(6, 2)
        with pytest.raises(DataError, match=r"9 x 9 and of 8 x 8 pixels: give --size"):
            prepare(spec)


def test_progress_reaches_the_end(tmp_path, divided):
    spec = str(write_files(tmp_path / "p", pictures()))
    divided(20, 2)
    told = []
    source = open_source(spec, bad_images="skip")
    with (tmp_path / "file").open("w+b") as file:
        spool.Spool(file, 8, 0, "box").add_shards(source, tmp_path, told.append)
    assert sum(told) == 61 and source.counts["skipped"] == 1
