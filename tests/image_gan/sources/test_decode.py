import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_core.errors import DataError
from image_gan.choices import RESIZES
from image_gan.sources import decode as decoding
from image_gan.sources.decode import BadImageError, decode, fit, fit_block
from tests.image_gan.sets import encoded, huge_png, noise

PIXELS = 1 << 20


def refused(content, *mentions, max_pixels=PIXELS):
    with pytest.raises(BadImageError) as caught:
        decode(content, "cat.png", max_pixels)
    message = str(caught.value)
    assert isinstance(caught.value, DataError) and caught.value.exit_code == 3
    assert "\n" not in message
    for mention in ("cat.png", *mentions):
        assert mention in message


class TestModes:
    @pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "WEBP"])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_lossless_kinds_come_back(self, kind, channels):
        image = noise(1, 5, 7, channels)[0]
        options = {"lossless": True} if kind == "WEBP" else {}
        back = decode(encoded(image, kind, **options), "x", PIXELS)
        if kind == "WEBP" and channels == 1:  # the format has no grey
            assert (back == image).all() and back.shape[-1] == 3
        else:
            assert np.array_equal(back, image)
        assert back.dtype == np.uint8

    def test_jpeg_is_near(self):
        image = np.full((16, 16, 3), (200, 100, 50), np.uint8)
        assert np.abs(decode(encoded(image, "JPEG"), "x", PIXELS).astype(int) - image).max() <= 3

    def test_cmyk(self):
        cmyk = Image.new("CMYK", (4, 4), (0, 255, 255, 0))  # no cyan: red
        back = decode(encoded(cmyk, "TIFF"), "x", PIXELS)
        assert back.shape == (4, 4, 3)
        assert (back == (255, 0, 0)).all()

    def test_palette(self):
        palette = Image.fromarray(noise(1, 4, 4)[0]).convert("P", palette=Image.Palette.ADAPTIVE)
        want = np.asarray(palette.convert("RGB"))
        assert np.array_equal(decode(encoded(palette), "x", PIXELS), want)
        assert np.array_equal(decode(encoded(palette, "GIF"), "x", PIXELS), want)

    def test_transparent_palette_without_a_warning(self):
        image = Image.new("P", (2, 1))
        image.putpalette([10, 20, 30, 40, 50, 60])
        image.putdata([0, 1])
        content = encoded(image, transparency=b"\x00\xff")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert decode(content, "x", PIXELS).tolist() == [[[255, 255, 255], [40, 50, 60]]]

    def test_alpha_is_laid_on_white(self):
        pixels = np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [0, 0, 0, 51]]], np.uint8)
        back = decode(encoded(Image.fromarray(pixels, "RGBA")), "x", PIXELS)
        assert back.tolist() == [[[255, 255, 255], [10, 20, 30], [204, 204, 204]]]
        grey = np.array([[[10, 0], [10, 255], [0, 51]]], np.uint8)
        assert decode(encoded(Image.fromarray(grey, "LA")), "x", PIXELS).tolist() == [[[255], [10], [204]]]

    def test_one_bit(self):
        image = Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1")
        assert decode(encoded(image), "x", PIXELS).tolist() == [[[0], [255], [0]]]

    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
    def test_sixteen_bits_keep_the_upper_eight(self, kind):
        samples = np.array([[0, 255, 256, 0x1234, 0xFFFF]], np.uint16)
        back = decode(encoded(Image.fromarray(samples), kind), "x", PIXELS)
        assert back.tolist() == [[[0], [0], [1], [0x12], [0xFF]]]

    def test_other_depths_are_refused(self):
        refused(encoded(Image.new("F", (2, 2), 0.5), "TIFF"), "floating-point")
        refused(encoded(Image.new("I", (2, 2), 70_000), "TIFF"), "32 bits")

    @pytest.mark.parametrize(("orientation", "turned"), [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]), (6, np.rot90)])
    def test_exif_turns_it_upright(self, orientation, turned):
        image = noise(1, 3, 5)[0]
        exif = Image.Exif()
        exif[0x0112] = orientation
        back = decode(encoded(image, "PNG", exif=exif), "x", PIXELS)
        want = turned(image, -1) if turned is np.rot90 else turned(image)
        assert np.array_equal(back, want)

    def test_first_frame(self):
        first, second = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
        content = encoded(first, "GIF", save_all=True, append_images=[second])
        assert (decode(content, "x", PIXELS) == (255, 0, 0)).all()


class TestRefused:
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "PPM", "TIFF"])
    def test_truncated(self, kind):
        content = encoded(noise(1, 32, 32)[0], kind)
        refused(content[: len(content) // 2], "cut short", "--bad-images skip")

    @pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
    def test_no_image(self, content):
        refused(content, "not an image")

    def test_too_many_pixels(self):
        content = encoded(noise(1, 10, 10)[0])
        assert decode(content, "x", 100).shape == (10, 10, 3)
        refused(content, "10 x 10", "--max-pixels 99", max_pixels=99)
        refused(bytes((1 << 20) + 401), "bytes", max_pixels=100)

    def test_own_limit_stands_in_for_pillow_s(self, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        assert decode(encoded(noise(1, 10, 10)[0]), "x", 100).shape == (10, 10, 3)
        assert Image.MAX_IMAGE_PIXELS == 10

    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read where Linux shows it")
    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
    def test_strips_are_as_the_whole(self, monkeypatch, mode):
        image = Image.fromarray(noise(1, 13, 7, 4)[0], "RGBA").convert(mode)
        file = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
        whole = decode(file, "a", 1000)
        monkeypatch.setattr(decoding, "STRIP", 10)
        assert np.array_equal(decode(file, "a", 1000), whole)

    def test_bomb_takes_no_memory(self, tmp_path):
        """A header of 3.6 gigapixels is refused under 300 MB, by a process of its own.

        getrusage would not do: it counts what the parent held when it started the process.
        """
        (tmp_path / "bomb.png").write_bytes(huge_png())
        code = (
            "import sys\n"
            "from pathlib import Path\n"
            "from image_gan.sources.decode import BadImageError, decode\n"
            "try:\n"
            "    decode(Path(sys.argv[1]).read_bytes(), 'bomb.png', 50_000_000)\n"
            "except BadImageError as error:\n"
            "    print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0], error)\n"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "bomb.png")]
        done = subprocess.run(command, capture_output=True, text=True)
        kilobytes, _, message = done.stdout.partition(" ")
        assert "60000 x 60000" in message and "bomb.png" in message, done.stderr
        assert int(kilobytes) < 300_000


class TestFit:
    def test_nothing_is_resampled_at_the_right_size(self):
        images = noise(3, 8, 8)
        assert fit_block(images, 8, 3) is not None
        assert np.array_equal(fit_block(images, 8, 3), images)
        wide = noise(3, 8, 13)
        assert np.array_equal(fit_block(wide, 8, 3), wide[:, :, 2:10])
        tall = noise(3, 13, 8)
        assert np.array_equal(fit_block(tall, 8, 3), tall[:, 2:10])

    @pytest.mark.parametrize("resize", RESIZES)
    @pytest.mark.parametrize("channels", [1, 3])
    def test_is_pillow_s_filter(self, resize, channels):
        image = noise(1, 24, 30, channels)[0]
        pixels = image[:, 3:27]
        picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        want = np.asarray(picture.resize((7, 7), getattr(Image.Resampling, resize.upper()))).reshape(7, 7, channels)
        assert np.array_equal(fit(image, 7, channels, resize), want)

    @pytest.mark.parametrize("resize", RESIZES)
    def test_is_antialiased(self, resize):
        """A fine checkerboard becomes grey, not one of its colours."""
        board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
        assert np.abs(fit(board, 8, 1, resize).astype(int) - 128).max() <= 8

    def test_box_is_the_mean(self):
        image = noise(1, 8, 8, 1)[0]
        means = image.reshape(4, 2, 4, 2).astype(float).mean((1, 3))
        assert np.abs(fit(image, 4, 1, "box")[..., 0] - means).max() <= 1

    def test_channels(self):
        images = noise(4, 8, 8, 3)
        weighted = images @ np.array([0.299, 0.587, 0.114])
        grey = fit_block(images, 8, 1)
        assert grey.shape == (4, 8, 8, 1)
        assert np.abs(grey[..., 0] - weighted).max() < 1
        assert np.array_equal(fit_block(grey, 8, 3), grey.repeat(3, -1))
        assert np.array_equal(fit_block(grey.repeat(3, -1), 8, 1), grey)
