import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_core.errors import UsageError
from image_gan.sources.open import open_source
from robustness.mutations import deflate_bomb, zip_of
from tests.image_gan.sets import (
    encoded,
    huge_png,
    noise,
    read,
    refused,
    write_files,
    write_zip,
)

FLAT = {"b.png": 1, "a.PNG": 0}
CLASSES = {"dog/1.png": 2, "cat/2.png": 1, "cat/deep/1.png": 0}
SPLITS = {"train/dog/1.png": 2, "train/cat/1.png": 1, "test/cat/1.png": 0, "train/3.png": 3}
CLUTTER = {"notes.txt": b"x", ".hidden.png": b"x", "__MACOSX/._a.png": b"x", ".thumbs/a.png": b"x"}


def as_folder(root, files):
    return write_files(root / "images", files)


def as_zip(root, files):
    return write_zip(root / "images.zip", files)


@pytest.fixture(params=[as_folder, as_zip], ids=["folder", "zip"])
def write(request, tmp_path):
    """Write image files as a folder or as a zip and return the path."""
    return lambda files: request.param(tmp_path, files)


class TestPictures:
    @pytest.mark.parametrize("above", ["", "archive/", "archive/v1/"])
    @pytest.mark.parametrize(
        ("layout", "classes", "train", "test"),
        [
            (FLAT, (), [(0, -1), (1, -1)], []),
            (CLASSES, ("cat", "dog"), [(1, 0), (0, 0), (2, 1)], []),
            (SPLITS, ("cat", "dog"), [(3, -1), (1, 0), (2, 1)], [(0, 0)]),
        ],
    )
    def test_layouts(self, write, above, layout, classes, train, test):
        images = noise(4, 6, 5)
        files = {f"{above}{path}": encoded(images[number]) for path, number in layout.items()}
        source = open_source(str(write(files | CLUTTER)))
        assert source.classes == classes
        assert source.sizes == ({"train": len(train)} | ({"test": len(test)} if test else {}))
        for split, want in (("train", train), ("test", test)):
            if want:
                back, labels = read(source, split)
                assert np.array_equal(back, images[[number for number, _ in want]])
                assert labels == [label for _, label in want]

    def test_train_and_test_beside_others_are_classes(self, write):
        files = {f"{name}/1.png": encoded(noise(1)[0]) for name in ("train", "test", "other")}
        source = open_source(str(write(files)))
        assert source.classes == ("other", "test", "train") and set(source.sizes) == {"train"}

    def test_sizes_and_modes_may_differ(self, write):
        files = {"a.png": encoded(noise(1, 3, 4)[0]), "b.jpg": encoded(Image.new("CMYK", (9, 2)), "JPEG")}
        files["c.tif"] = encoded(noise(1, 2, 2, 1)[0], "TIFF")
        shapes = [images.shape for images, _ in open_source(str(write(files))).blocks("train")]
        assert shapes == [(1, 3, 4, 3), (1, 2, 9, 3), (1, 2, 2, 1)]

    @pytest.mark.parametrize(
        ("bad", "mention"),
        [(encoded(noise(1, 32, 32)[0])[:-700], "cut short"), (b"", "damaged"), (huge_png(), "60000 x 60000")],
    )
    def test_bad_image_is_named_or_skipped(self, write, bad, mention):
        images = noise(2)
        path = write({"1.png": encoded(images[0]), "x/broken.png": bad, "z.png": encoded(images[1])})
        refused(path, path, "broken.png", mention, "--bad-images skip")
        source = open_source(str(path), bad_images="skip")
        back, _ = read(source)
        assert sorted(image.tobytes() for image in back) == sorted(image.tobytes() for image in images)
        assert source.counts == {"skipped": 1}
        assert len(source.fingerprint()) == 64

    def test_nothing_there(self, write):
        refused(write({"notes.txt": b"x", ".hidden.png": b"x"}), "no images", "--data fashion-mnist")

    def test_fingerprint_is_of_content_and_labels(self, tmp_path):
        a, b = (encoded(image) for image in noise(2))
        layouts = [{"x/1.png": a, "y/1.png": b}, {"x/9.png": a, "y/7.png": b}, {"x/1.png": b, "y/1.png": a}]
        layouts += [{"x/1.png": a, "z/1.png": b}, {"x/1.png": a, "x/2.png": b}, {"train/1.png": a, "test/1.png": b}]
        prints = []
        for number, files in enumerate(layouts):
            prints.append(open_source(str(write_files(tmp_path / str(number), files))).fingerprint())
        assert prints[0] == prints[1]
        assert len(set(prints)) == len(prints) - 1


class TestFolder:
    def test_empty(self, tmp_path):
        refused(tmp_path, tmp_path, "no images")

    def test_one_image_file(self, tmp_path):
        (tmp_path / "a.png").write_bytes(encoded(noise(1)[0]))
        refused(tmp_path / "a.png", "one image", "folder")

    def test_missing_and_unknown(self, tmp_path):
        refused(tmp_path / "missing", "missing", "does not exist")
        refused("nobody/nothing", "--data hf:nobody/nothing")
        refused("", "--data fashion-mnist")
        (tmp_path / "f").write_text("text")
        refused(tmp_path / "f", "no known kind")

    def test_no_permission(self, tmp_path, monkeypatch):
        """Tests may run as root, whom no permission stops: so the system's answer is made up."""
        write_files(tmp_path, {"cat/1.png": encoded(noise(1)[0])})

        def denied(path, *_, **__):
            raise PermissionError(13, "Permission denied", str(path))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "iterdir", denied)
            refused(tmp_path, tmp_path, "may not be read")
        real = os.scandir
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", lambda path: denied(path) if str(path).endswith("cat") else real(path))
            refused(tmp_path, tmp_path, "may not be read")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", denied)
            refused(tmp_path, "1.png", "may not be read", "--bad-images skip")

    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.png")
        refused(tmp_path, "pipe.png", "regular")


class TestZip:
    @pytest.mark.parametrize("name", ["/etc/a.png", "../a.png", "x/../../a.png", "C:\\a.png", "..\\a.png", "\\a.png"])
    def test_unsafe_names(self, tmp_path, name):
        path = write_zip(tmp_path / "z.zip", {"ok.png": encoded(noise(1)[0]), name: encoded(noise(1)[0])})
        refused(path, path, "unsafe name")
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["z.zip"]

    def test_declared_size_is_checked_before_unpacking(self, tmp_path):
        path = write_zip(tmp_path / "z.zip", {"a.png": bytes(3 << 20)})
        assert path.stat().st_size < 10_000
        refused(path, "a.png", "bytes", max_pixels=1000)

    def test_member_larger_than_declared(self, tmp_path):
        content = encoded(noise(1, 32, 32)[0], "BMP")
        path = write_zip(tmp_path / "z.zip", {"a.bmp": content})
        declared = len(content).to_bytes(4, "little")
        packed = path.read_bytes()
        assert packed.count(declared) >= 2  # in the member's own header and in the directory
        path.write_bytes(packed.replace(declared, (100).to_bytes(4, "little")))
        refused(path, "a.bmp", "damaged")

    def test_member_that_lies_about_its_size_takes_no_memory(self, tmp_path):
        path = tmp_path / "z.zip"
        path.write_bytes(zip_of("a.png", deflate_bomb(1 << 28), 1000))
        tracemalloc.start()
        try:
            refused(path, "a.png", "damaged")
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()

    def test_encrypted_and_damaged_members(self, tmp_path):
        path = write_zip(tmp_path / "z.zip", {"a.png": encoded(noise(1)[0]), "b.png": encoded(noise(1)[0])})
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag for encryption
        path.write_bytes(content)
        refused(path, "a.png")
        source = open_source(str(path), bad_images="skip")
        assert len(read(source)[0]) == 1 and source.counts["skipped"] == 1

    def test_no_zip(self, tmp_path):
        path = write_zip(tmp_path / "z.zip", {"a.png": encoded(noise(1)[0])})
        path.write_bytes(path.read_bytes()[:-30])
        refused(path, path, "damaged")
        refused(tmp_path / "no.zip", "does not exist")


def test_options():
    with pytest.raises(UsageError, match="--bad-images"):
        open_source("fashion-mnist", bad_images="ignore")
    with pytest.raises(UsageError, match="--max-pixels"):
        open_source("fashion-mnist", max_pixels=0)


def test_importing_brings_neither_torch_nor_pillow():
    modules = "image_gan.sources.open, image_gan.dataset.dataset"
    code = f"import sys, {modules}; print(*({{'torch', 'PIL', 'datasets'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "" and done.returncode == 0, done.stderr


def test_names_stay_on_one_line(tmp_path):
    refused(tmp_path / "new\nline", "new\\nline")
