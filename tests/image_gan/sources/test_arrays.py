import gzip
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from image_gan.sources import arrays, built_in, cifar, idx, npz
from image_gan.sources.cifar import CIFAR_CLASSES
from image_gan.sources.open import open_source
from robustness.mutations import deflate_bomb, gzip_bomb, npy_header, zip_of
from tests.image_gan.sets import (
    cifar_batch,
    idx_images,
    idx_labels,
    noise,
    read,
    refused,
    write_files,
    write_mnist,
)


class TestIdx:
    @pytest.mark.parametrize("packed", [True, False])
    def test_official_folder(self, tmp_path, packed, monkeypatch):
        for module in (arrays, idx):
            monkeypatch.setattr(module, "BLOCK", 200)  # several blocks
        train, test = noise(11, 8, 6, 1), noise(4, 8, 6, 1, seed=1)
        write_mnist(tmp_path, train, [*range(10), 3], packed=packed)
        write_mnist(tmp_path, test, [0, 1, 2, 3], "t10k", packed)
        source = open_source(str(tmp_path))
        assert source.sizes == {"train": 11, "test": 4}
        assert source.classes == tuple("0123456789")
        for split, images, labels in (("train", train, [*range(10), 3]), ("test", test, [0, 1, 2, 3])):
            for _ in range(2):  # as often as needed
                back, found = read(source, split)
                assert np.array_equal(back, images) and found == labels
        assert source.description == f"{tmp_path} (11 train, 4 test images)"

    def test_lone_files(self, tmp_path):
        images = noise(3, channels=1)
        write_mnist(tmp_path, images, None, "t10k")
        for spec in (tmp_path, tmp_path / "t10k-images-idx3-ubyte.gz"):
            source = open_source(str(spec))
            back, labels = read(source)
            assert np.array_equal(back, images) and labels == [-1] * 3
            assert source.classes == () and set(source.sizes) == {"train"}
        write_mnist(tmp_path, images, [2, 0, 1], "t10k")
        assert read(open_source(str(tmp_path / "t10k-images-idx3-ubyte.gz")))[1] == [2, 0, 1]

    def test_damage(self, tmp_path):
        folder = write_mnist(tmp_path, noise(5, channels=1), [0] * 5, packed=False)
        images, labels = (folder / f"train-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
        content = images.read_bytes()
        for damaged, mention in (
            (content[:-1], "cut short"),
            (content[:9], "cut short"),
            (content + b"x", "longer"),
            (b"\0\0\x08\x01" + content[4:], "magic number is 0x801"),
            (idx_images(np.zeros((5, 0, 8, 1), np.uint8)), "0 x 8"),
        ):
            images.write_bytes(damaged)
            refused(folder, images, mention)
        images.write_bytes(content)
        refused(folder, images, "--max-pixels", max_pixels=63)
        for damaged, mention in (
            (idx_labels([0] * 4), "4 labels for 5 images"),
            (idx_labels([0] * 5)[:-1], "cut short"),
            (idx_labels([0] * 5) + b"\0", "longer"),
            (idx_images(noise(5, channels=1)), "0x803"),
        ):
            labels.write_bytes(damaged)
            refused(folder, labels, mention)
        labels.unlink()
        for packed in (gzip.compress(content)[:-9], gzip.compress(content)[:40]):
            images.write_bytes(packed)
            refused(folder, images, "damaged")

    @pytest.mark.parametrize(("labelled", "bare"), [("train", "t10k"), ("t10k", "train")])
    def test_labels_of_one_side_only(self, tmp_path, labelled, bare):
        write_mnist(tmp_path, noise(3, channels=1), [0, 1, 0], labelled)
        write_mnist(tmp_path, noise(2, channels=1), None, bare)
        names = {"train": "train images", "t10k": "test images"}
        refused(tmp_path, tmp_path, f"labels for its {names[labelled]}", f"none for its {names[bare]}", "leave out")

    def test_classes_are_of_both_sides(self, tmp_path):
        write_mnist(tmp_path, noise(3, channels=1), [0, 1, 0])
        write_mnist(tmp_path, noise(2, channels=1), [3, 0], "t10k")
        assert open_source(str(tmp_path)).classes == tuple("0123")

    @pytest.mark.parametrize("part", ["train", "t10k"])
    def test_labels_beyond_the_known_classes(self, tmp_path, monkeypatch, part):
        monkeypatch.setattr(built_in, "__file__", str(tmp_path / "image_gan/sources/built_in.py"))
        folder = tmp_path / "data/fashion-mnist"
        write_mnist(folder, noise(2, channels=1), [0, 9], "train")
        write_mnist(folder, noise(2, channels=1), [0, 9], "t10k")
        write_mnist(folder, noise(2, channels=1), [0, 10], part)
        refused("fashion-mnist", f"{part}-labels", "from 0 to 10", "10 classes")

    def test_no_images(self, tmp_path):
        write_mnist(tmp_path, noise(0, channels=1), [])
        refused(tmp_path, "no images")

    def test_built_in(self):
        source = open_source("fashion-mnist")
        assert source.sizes == {"train": 10_000, "test": 2_000}
        images, labels = next(source.blocks("test"))
        assert images.shape == (2000, 28, 28, 1)
        assert [source.classes[label] for label in labels[:4]] == ["Ankle boot", "Pullover", "Trouser", "Trouser"]
        assert source.fingerprint() == "71d1ff231331d63318ef26b42e8ed206029ae649773ffced9870d372387e4d18"

    def test_built_in_in_a_wheel(self, tmp_path, monkeypatch):
        monkeypatch.setattr(built_in, "__file__", str(tmp_path / "image_gan/sources/built_in.py"))
        (tmp_path / "data/fashion-mnist").mkdir(parents=True)
        refused("fashion-mnist", "install the package again")
        write_mnist(tmp_path / "image_gan/data/fashion-mnist", noise(2, channels=1), [0, 9])
        assert read(open_source("fashion-mnist"))[1] == [0, 9]

    def test_a_promise_is_checked_against_the_file(self, tmp_path):
        path = tmp_path / "a-idx3-ubyte"
        for count in (1 << 31, 21):
            content = struct.pack(">4I", 0x803, count, 8, 8) + bytes(20 * 64)
            for packed in (content, gzip.compress(content)):
                path.write_bytes(packed)
                refused(path, path, "cut short")

    def test_a_bomb_is_not_unpacked(self, tmp_path):
        for what, header in (("images-idx3", (0x803, 1 << 22, 8, 8)), ("labels-idx1", (0x801, 1 << 22))):
            begin = gzip.compress(struct.pack(f">{len(header)}I", *header))
            (tmp_path / f"train-{what}-ubyte.gz").write_bytes(begin + gzip_bomb(b"\0", 1 << 28))
        refused(tmp_path, "images-idx3", "unpacks to more than", "trusted")


class TestCifar:
    def test_official_folder(self, tmp_path, monkeypatch):
        monkeypatch.setattr(cifar, "BLOCK", 2 * cifar.CIFAR_RECORD + 5)
        images = noise(9, 32, 32)
        labels = [9, 0, 1, 2, 3, 4, 5, 6, 7]
        inside = tmp_path / "cifar-10-batches-bin"
        write_files(
            inside,
            {
                "data_batch_1.bin": cifar_batch(images[:5], labels[:5]),
                "data_batch_2.bin": cifar_batch(images[5:7], labels[5:7]),
                "test_batch.bin": cifar_batch(images[7:], labels[7:]),
                "readme.html": b"",
            },
        )
        for folder in (tmp_path, inside):
            source = open_source(str(folder))
            assert source.sizes == {"train": 7, "test": 2}
            assert source.classes == CIFAR_CLASSES
            assert np.array_equal(read(source)[0], images[:7]) and read(source)[1] == labels[:7]
            assert np.array_equal(read(source, "test")[0], images[7:]) and read(source, "test")[1] == labels[7:]
        (inside / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")
        assert open_source(str(inside)).classes == tuple("abcdefghij")
        (inside / "batches.meta.txt").write_text("one\n")
        refused(inside, "batches.meta.txt", "1 names")
        (inside / "batches.meta.txt").unlink()
        assert np.array_equal(read(open_source(str(inside / "test_batch.bin")))[0], images[7:])

    def test_damage(self, tmp_path):
        content = cifar_batch(noise(3, 32, 32), [0, 1, 2])
        for name in ("data_batch_1.bin", "test_batch.bin"):
            write_files(tmp_path, {"data_batch_1.bin": content, "test_batch.bin": content})
            (tmp_path / name).write_bytes(content[:-1])
            refused(tmp_path, tmp_path / name, "cut short")
        (tmp_path / "test_batch.bin").write_bytes(cifar_batch(noise(1, 32, 32), [10]))
        (tmp_path / "data_batch_1.bin").write_bytes(content)
        refused(tmp_path, "test_batch.bin", "labels from 10 to 10")
        (tmp_path / "data_batch_1.bin").write_bytes(b"")
        refused(tmp_path, "no images")

    def test_is_never_unpacked(self, tmp_path):
        """A packed file whose size happens to be right would have held any number of records."""
        packed = gzip.compress(bytes(1 << 20))
        (tmp_path / "data_batch_1.bin").write_bytes(packed + bytes(-len(packed) % 3073))
        refused(tmp_path, "data_batch_1.bin", "to 31")

    def test_a_list_of_classes_is_short(self, tmp_path):
        (tmp_path / "data_batch_1.bin").write_bytes(cifar_batch(noise(2, 32, 32), [1, 2]))
        (tmp_path / "batches.meta.txt").write_bytes(b"name\n" * (1 << 20))
        refused(tmp_path, "batches.meta.txt", "13108 names, not 10")


class Trap:
    """What pickle would run when loaded."""

    def __reduce__(self):
        return (os.mkdir, ("trapped",))


class TestNpz:
    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_arrays(self, tmp_path, save, monkeypatch):
        for module in (arrays, npz):
            monkeypatch.setattr(module, "BLOCK", 500)
        path = tmp_path / "a.npz"
        images = noise(7, 6, 6)
        save(path, images=images, labels=[0, 1, 2, 1, 0, -1, 2])
        source = open_source(str(path))
        assert source.classes == ("0", "1", "2") and source.sizes == {"train": 7}
        assert np.array_equal(read(source)[0], images) and read(source)[1] == [0, 1, 2, 1, 0, -1, 2]
        save(path, images=images[..., 0])
        source = open_source(str(path))
        assert np.array_equal(read(source)[0], images[..., :1]) and source.classes == ()

    def test_keras_names(self, tmp_path):
        images = noise(5, 6, 6)
        np.savez(tmp_path / "a.npz", x_train=images[:3], y_train=[[0], [1], [4]], x_test=images[3:], y_test=[1, 0])
        source = open_source(str(tmp_path / "a.npz"))
        assert read(source)[1] == [0, 1, 4] and read(source, "test")[1] == [1, 0]
        assert np.array_equal(read(source, "test")[0], images[3:]) and len(source.classes) == 5

    @pytest.mark.parametrize(
        ("content", "mentions"),
        [
            ({"images": noise(2).transpose(0, 3, 1, 2)}, ("channels-first", "transpose(0, 2, 3, 1)")),
            ({"images": noise(2, 3, 3)}, ("channels-first",)),
            ({"images": noise(1)[0]}, ("(8, 8, 3)", "(N, H, W")),
            ({"images": noise(2, channels=4)}, ("(2, 8, 8, 4)",)),
            ({"images": noise(2) / 255}, ("float64", "(images * 255).round().astype(np.uint8)")),
            ({"images": noise(2).astype(int)}, ("int64", "images.astype(np.uint8)")),
            ({"images": np.asfortranarray(noise(2))}, ("Fortran",)),
            ({"images": noise(2), "labels": [0]}, ("labels", "2 images")),
            ({"images": noise(2), "labels": [0.0, 1.0]}, ("labels", "integer")),
            ({"images": noise(2), "labels": [-2, 1]}, ("labels", "-1 where unknown")),
            ({"images": noise(2), "labels": [1 << 20, 1]}, ("labels",)),
            ({"images": noise(2), "labels": [32_767, 1]}, ("labels", "0 to 32766")),
            ({"images": noise(2), "labels": [0, 1], "x_test": noise(3), "y_test": [0, -5, 1]}, ("y_test", "-1 where")),
            (
                {"x_train": noise(2), "y_train": [0, 1], "x_test": noise(3)},
                ("labels for its train", "none for its test"),
            ),
            ({"x_train": noise(2), "x_test": noise(3), "y_test": [0, 1, 1]}, ("labels for its test", "leave out")),
            ({"images": noise(0)}, ("images",)),
            ({"pictures": noise(2), "n": 1}, ("n, pictures", "`images`")),
        ],
    )
    def test_refused(self, tmp_path, content, mentions):
        np.savez(tmp_path / "a.npz", **content)
        refused(tmp_path / "a.npz", "a.npz", *mentions)

    @pytest.mark.parametrize("array", ["images", "labels"])
    def test_objects_are_not_loaded(self, tmp_path, monkeypatch, array):
        monkeypatch.chdir(tmp_path)
        np.savez("a.npz", **{"images": noise(2), array: np.array([Trap(), Trap()], object)})
        refused("a.npz", array, "Python objects")
        assert not Path("trapped").exists()

    def test_damage(self, tmp_path):
        path = tmp_path / "a.npz"
        np.savez(path, images=noise(20))
        content = path.read_bytes()
        path.write_bytes(content[:-100])
        refused(path, path, "damaged")
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        refused(path, path, "damaged")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'shape': (9")
        refused(path, path, "damaged")
        np.savez(path, images=noise(20))
        promise(path)
        refused(path, path, "cut short")
        np.savez(path, images=noise(20))
        promise(path, b"(19, 8, 8, 3)")
        refused(path, path, "longer")

    def test_a_promise_is_not_believed(self, tmp_path):
        """A header of a terabyte takes no memory."""
        path = tmp_path / "a.npz"
        np.savez(path, images=noise(20))
        promise(path, b"(2000000000, 8, 8, 3)")
        refused(path, path, "cut short")

    @pytest.mark.parametrize("shape", [b"(-1, 8, 8, 3)", b"(20, -8, -8, 3)", b"(True, 8, 8, 3)", b"(2.5, 8, 8, 3)"])
    def test_shapes_that_no_array_has(self, tmp_path, shape):
        """A negative size would read everything that a packed member holds."""
        path = tmp_path / "a.npz"
        np.savez(path, images=noise(20))
        promise(path, shape)
        refused(path, path)

    @pytest.mark.parametrize("header", [b"{'descr': (", b"'''", b"((((", b"{[1]: 2}", b"\xff", b"{'shape': 9L"])
    def test_a_header_that_is_no_python(self, tmp_path, header):
        path = tmp_path / "a.npz"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        refused(path, path, "damaged")

    def test_a_bomb_is_not_unpacked(self, tmp_path):
        path = tmp_path / "a.npz"
        path.write_bytes(zip_of("images.npy", deflate_bomb(1 << 28, npy_header((1 << 20, 16, 16))), (1 << 28) + 128))
        refused(path, path, "images is cut short")


def promise(path, shape=b"(21, 8, 8, 3)"):
    """Let the header of `images` (20, 8, 8, 3) promise another shape."""
    with zipfile.ZipFile(path) as archive:
        content = archive.read("images.npy")
    header = content[:128].replace(b"(20, 8, 8, 3)", shape)
    header = header.rstrip()[:127].ljust(127) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", header + content[128:])
