import errno
import shutil
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image

import gan_core.storage.cache
from gan_core.errors import DataError, GanError, UsageError
from image_gan.dataset import dataset as datasets
from image_gan.dataset import spool
from image_gan.dataset.dataset import image_hashes, open_images, prepare
from image_gan.sources.base import Source
from image_gan.sources.decode import fit
from image_gan.sources.folders import ZipSource
from tests.image_gan.sets import cifar_batch, encoded, noise, write_files, write_mnist, write_zip


def save(path, images, **labels):
    np.savez(path, images=images, **labels)
    return str(path)


@pytest.fixture
def file(tmp_path, cache):
    return save(tmp_path / "a.npz", noise(300), labels=np.arange(300) % 7)


@pytest.fixture
def readings(monkeypatch):
    """How often a source was read through, as a list that grows."""
    passes = []
    add_all = datasets.Spool.add_all

    def counted(self, source, folder, progress):
        passes.append(source.description)
        return add_all(self, source, folder, progress)

    monkeypatch.setattr(datasets.Spool, "add_all", counted)
    return passes


def contents(images):
    return {image.tobytes() for image in images}


class TestImages:
    def test_every_image_once_in_order_with_its_label(self, file):
        images = prepare(file)
        assert images.train.shape == (images.counts["train"], 8, 8, 3)
        assert images.test.shape == (images.counts["test"], 8, 8, 3)
        assert images.train.dtype == np.uint8 and images.train_labels.dtype == np.int16
        assert images.classes == tuple("0123456") and file in images.description
        want = {image.tobytes(): number for number, image in enumerate(noise(300))}
        for side, labels in ((images.train, images.train_labels), (images.test, images.test_labels)):
            numbers = [want.pop(image.tobytes()) for image in side]
            assert numbers == sorted(numbers)
            assert labels.tolist() == [number % 7 for number in numbers]
        assert not want
        assert images.counts["images"] == 300 and images.counts["skipped"] == images.counts["shared"] == 0

    def test_is_read_only(self, file):
        images = prepare(file)
        for array in (images.train, images.test, images.train_labels, images.test_labels):
            with pytest.raises(ValueError):
                array[0] = 0

    def test_own_test_set(self, tmp_path, cache):
        """Training images that equal a test image stay, and are counted."""
        train, test = noise(20, channels=1), noise(6, channels=1, seed=1)
        train[3] = train[7] = test[2]
        write_mnist(tmp_path / "m", train, [1] * 20)
        write_mnist(tmp_path / "m", test, [0] * 6, "t10k")
        images = prepare(str(tmp_path / "m"))
        assert np.array_equal(images.train, train) and np.array_equal(images.test, test)
        assert images.counts == {"images": 26, "skipped": 0, "shared": 2, "train": 20, "test": 6}
        assert set(images.train_labels) == {1} and set(images.test_labels) == {0}
        assert prepare(str(tmp_path / "m"), heldout=0.5).fingerprint == images.fingerprint

    @pytest.mark.parametrize("heldout", [None, 0.4])
    def test_labels_stay_with_their_images(self, tmp_path, cache, heldout):
        """Of folders, where an image beside the classes has no label, with a test set of their own or without."""
        pictures = noise(60)
        names = [("cat/", "dog/", "")[number % 3] + f"{number:02}.png" for number in range(60)]
        inside = ["" if heldout else ("train/" if number < 40 else "test/") for number in range(60)]
        files = {a + b: encoded(image) for a, b, image in zip(inside, names, pictures, strict=True)}
        images = prepare(str(write_files(tmp_path / "p", files)), heldout=heldout or 0.05)
        want = {image.tobytes(): (0, 1, -1)[number % 3] for number, image in enumerate(pictures)}
        assert images.classes == ("cat", "dog")
        for side, labels in ((images.train, images.train_labels), (images.test, images.test_labels)):
            assert len(side) > 5 and labels.tolist() == [want[image.tobytes()] for image in side]

    def test_cifar(self, tmp_path, cache):
        images = noise(5, 32, 32)
        batches = {"data_batch_1.bin": images[:3], "test_batch.bin": images[3:]}
        write_files(tmp_path / "c", {name: cifar_batch(batch, range(len(batch))) for name, batch in batches.items()})
        assert np.array_equal(prepare(str(tmp_path / "c")).train, images[:3])
        grey = prepare(str(tmp_path / "c"), channels=1, size=16)
        assert np.array_equal(grey.train, [fit(image, 16, 1) for image in images[:3]])

    @pytest.mark.parametrize(("size", "resize"), [(5, "box"), (5, "lanczos"), (12, "bilinear"), (6, "bicubic")])
    @pytest.mark.parametrize("channels", [0, 1, 3])
    def test_fitted(self, tmp_path, cache, size, resize, channels):
        pictures = [noise(1, height, width, seed=height)[0] for height, width in ((8, 8), (6, 9), (20, 7))]
        files = {f"{number}.png": encoded(image) for number, image in enumerate(pictures)}
        images = open_images(str(write_files(tmp_path / "p", files)), size=size, channels=channels, resize=resize)
        assert np.array_equal(images, [fit(image, size, channels or 3, resize) for image in pictures])

    @pytest.mark.parametrize("chunk", [1 << 24, 100])
    def test_channels_of_the_data(self, tmp_path, cache, monkeypatch, chunk):
        """Grey while every image is, by its pixels and not by its mode; RGB from the first coloured one on."""
        monkeypatch.setattr(spool, "CHUNK", chunk)
        grey, colour = noise(4, channels=1), noise(1)
        files = {f"{number}.png": encoded(image) for number, image in enumerate(grey)}
        files["4.png"] = encoded(Image.fromarray(grey[0].repeat(3, -1)[::-1].copy()))
        spec = str(write_files(tmp_path / "p", files))
        want = [*grey, grey[0][::-1]]
        assert np.array_equal(open_images(spec), want)
        write_files(tmp_path / "p", {"5.png": encoded(colour[0]), "6.png": encoded(grey[1])})
        want = [image.repeat(3, -1) for image in want] + [colour[0], grey[1].repeat(3, -1)]
        assert np.array_equal(open_images(spec), want)

    def test_skipped_are_counted(self, tmp_path, cache):
        files = {f"{number:02}.png": encoded(image) for number, image in enumerate(noise(9))}
        path = str(write_zip(tmp_path / "z.zip", files | {"bad.png": b"bad"}))
        with pytest.raises(DataError, match=r"bad\.png"):
            prepare(path)
        assert not [entry for entry in cache.glob("*") if not entry.name.endswith(".lock")]  # nothing half-written
        for _ in range(2):  # from the source and from the cache
            counts = prepare(path, bad_images="skip").counts
            assert counts["images"] == 10 and counts["skipped"] == 1 and counts["train"] + counts["test"] == 9

    def test_bar_is_for_terminals_only(self, file, monkeypatch, capsys):
        prepare(file)
        assert capsys.readouterr() == ("", "")
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        prepare(file, heldout=0.1, progress=False)
        assert capsys.readouterr() == ("", "")
        prepare(file, heldout=0.2)
        assert "images: 100%" in capsys.readouterr().err

    def test_memory_is_bounded(self, tmp_path, cache, monkeypatch):
        monkeypatch.setattr(spool, "CHUNK", 1 << 20)
        for module in ("arrays", "npz"):
            monkeypatch.setattr(f"image_gan.sources.{module}.BLOCK", 1 << 20)
        path = save(tmp_path / "a.npz", noise(4000, 64, 64, 3))
        prepare(save(tmp_path / "b.npz", noise(9)))  # what is imported on first use does not count
        tracemalloc.start()
        images = prepare(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert images.train.nbytes + images.test.nbytes > 48e6
        assert peak < 8 << 20


class TestSplit:
    def test_equal_images_are_on_one_side(self, tmp_path, cache):
        images = np.tile(noise(200, 4, 4), (3, 1, 1, 1))
        split = prepare(save(tmp_path / "a.npz", images), heldout=0.3)
        assert not contents(split.train) & contents(split.test)
        assert len(split.train) + len(split.test) == 600 and len(split.test) % 3 == 0

    def test_as_training_sees_them(self, tmp_path, cache):
        """Images that differ only outside the crop are the same, and on one side."""
        wide = noise(100, 4, 6)
        wide[50:, :, 1:5] = wide[:50, :, 1:5]
        split = prepare(save(tmp_path / "a.npz", wide), size=4, heldout=0.5)
        assert not contents(split.train) & contents(split.test)
        assert len(split.train) + len(split.test) == 100

    @pytest.mark.parametrize("share", [0.02, 0.05, 0.5, 0.9])
    def test_share(self, tmp_path, cache, share):
        split = prepare(save(tmp_path / "a.npz", noise(5000, 2, 2)), heldout=share)
        assert abs(len(split.test) / 5000 - share) < 4 * np.sqrt(share * (1 - share) / 5000)

    def test_is_stable(self, tmp_path, cache):
        few = prepare(save(tmp_path / "a.npz", noise(200)))
        more = prepare(save(tmp_path / "b.npz", np.concatenate([noise(100, seed=9), noise(200)])))
        assert contents(few.train) <= contents(more.train) and contents(few.test) <= contents(more.test)

    def test_known_hashes(self):
        """The same on every machine: with other hashes, test images of old runs would be trained on."""
        images = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
        assert [f"{value:016x}" for value in image_hashes(images)] == ["5de53d0a8ca9854e", "41e85d950a726578"]

    @pytest.mark.parametrize("heldout", [0.001, 0.999])
    def test_no_side_of_a_tiny_set_is_empty(self, tmp_path, cache, heldout):
        split = prepare(save(tmp_path / "a.npz", noise(2)), heldout=heldout)
        assert len(split.train) == len(split.test) == 1


class TestRefused:
    @pytest.mark.parametrize(
        ("files", "mentions"),
        [
            ({"a.png": noise(1)[0]}, ("one image", "two different")),
            ({"a.png": noise(1)[0], "b.png": noise(1)[0]}, ("one image", "two different")),
            ({"a.png": noise(1)[0], "b.png": noise(1, 9, 9)[0]}, ("9 x 9 and of 8 x 8", "--size")),
            ({"a.png": noise(1, 8, 9)[0]}, ("8 x 9", "--size")),
            ({"train/a.png": noise(1)[0], "test/b.png": noise(1)[0]}, ("one training image",)),
            ({}, ("no images",)),
        ],
    )
    def test_data(self, tmp_path, cache, files, mentions):
        folder = write_files(tmp_path / "p", {name: encoded(image) for name, image in files.items()})
        folder.mkdir(exist_ok=True)
        with pytest.raises(DataError) as caught:
            prepare(str(folder))
        assert all(mention in str(caught.value) for mention in (str(folder), *mentions)), caught.value
        assert "\n" not in str(caught.value)
        assert not [entry for entry in cache.glob("*") if not entry.name.endswith(".lock")]

    @pytest.mark.parametrize(
        ("files", "mention"),
        [
            ({"a.png": b"x", "b.png": b"y"}, "no image that can be read"),
            ({"train/a.png": b"x", "test/b.png": encoded(noise(1)[0])}, "no training image"),
            ({f"train/{n}.png": encoded(noise(1, seed=n)[0]) for n in (1, 2)} | {"test/b.png": b"y"}, "test image"),
        ],
    )
    def test_all_skipped(self, tmp_path, cache, files, mention):
        with pytest.raises(DataError, match=mention):
            prepare(str(write_files(tmp_path / "p", files)), bad_images="skip")

    @pytest.mark.parametrize(
        ("options", "mention"),
        [
            ({"heldout": 0}, "held-out share 0"),
            ({"heldout": float("nan")}, "nan"),
            ({"size": -1}, "--size -1"),
            ({"size": 5000}, "--size"),
            ({"channels": 2}, "--channels 2"),
            ({"resize": "nearest"}, "--resize nearest"),
            ({"bad_images": "ignore"}, "--bad-images"),
        ],
    )
    def test_options(self, file, options, mention):
        with pytest.raises(UsageError, match=mention):
            prepare(file, **options)


class TestCache:
    def test_hit(self, file, cache, readings):
        first, second = prepare(file), prepare(file)
        assert len(readings) == 1
        assert np.array_equal(first.train, second.train) and np.array_equal(first.test_labels, second.test_labels)
        assert first.counts == second.counts and first.fingerprint == second.fingerprint
        assert {path.name for path in (cache / f"images-{first.fingerprint[:32]}").iterdir()} == {
            "images.json",
            "manifest.json",
            "test-labels.bin",
            "test.bin",
            "train-labels.bin",
            "train.bin",
        }

    def test_follows_the_content_not_the_name(self, file, tmp_path, readings):
        first = prepare(file)
        renamed = shutil.copy(file, tmp_path / "renamed.npz")
        assert prepare(str(renamed)).fingerprint == first.fingerprint
        assert len(readings) == 1
        assert prepare(save(tmp_path / "renamed.npz", noise(300, seed=3))).fingerprint != first.fingerprint

    def test_options_do_not_collide(self, file, cache):
        options = [{}, {"size": 4}, {"size": 4, "resize": "box"}, {"channels": 1}, {"heldout": 0.2}]
        options += [{"bad_images": "skip"}, {"max_pixels": 100}]
        for _ in range(2):
            found = [prepare(file, **o) for o in options]
            assert len({images.fingerprint for images in found}) == len(options)
            assert [images.train.shape[1:] for images in found[:4]] == [(8, 8, 3), (4, 4, 3), (4, 4, 3), (8, 8, 1)]

    @pytest.mark.parametrize("name", ["train.bin", "test-labels.bin", "images.json", "manifest.json"])
    @pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
    def test_damage_is_repaired(self, file, cache, readings, name, damage):
        first = prepare(file)
        train = first.train.tobytes()
        path = cache / f"images-{first.fingerprint[:32]}" / name
        content = path.read_bytes()
        path.unlink()  # rather than change the file that `first` has mapped
        if damage == "cut":
            path.write_bytes(content[:-1])
        elif damage == "flip":
            middle = len(content) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
        assert prepare(file).train.tobytes() == train
        assert len(readings) == 2
        prepare(file)
        assert len(readings) == 2

    def test_stale_format_is_rebuilt(self, file, readings, monkeypatch):
        first = prepare(file)
        monkeypatch.setattr(datasets, "FORMAT", 0)
        assert prepare(file).fingerprint != first.fingerprint
        assert len(readings) == 2

    def test_another_set_under_the_name_is_not_used(self, file, cache):
        right, other = prepare(file), prepare(file, size=4)
        folder = cache / f"images-{right.fingerprint[:32]}"
        shutil.rmtree(folder)
        (cache / f"images-{other.fingerprint[:32]}").rename(folder)
        assert prepare(file).train.shape[1] == 8

    def test_read_only_cache_is_used(self, file, monkeypatch):
        first = prepare(file)

        def denied(*_):
            raise AssertionError("nothing needs to be written")

        monkeypatch.setattr(gan_core.storage.cache, "folder_to_write", denied)
        assert np.array_equal(prepare(file).train, first.train)

    def test_full_disk(self, file, cache, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(datasets, "image_hashes", full)
        with pytest.raises(GanError, match="No space left on device") as caught:
            prepare(file)
        assert str(cache) in str(caught.value) and caught.value.exit_code == 1

    def test_a_zip_is_never_unpacked_to_the_disk(self, tmp_path, cache, monkeypatch):
        path = write_zip(tmp_path / "z.zip", {f"{n}.png": encoded(image) for n, image in enumerate(noise(4))})
        monkeypatch.setattr("zipfile.ZipFile.extract", None)
        monkeypatch.setattr("zipfile.ZipFile.extractall", None)
        prepare(str(path), heldout=0.5)
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cache", "z.zip"]


def test_sources_are_abstract():
    with pytest.raises(TypeError):
        Source("x", (), {"train": 1})
    assert issubclass(ZipSource, Source)
