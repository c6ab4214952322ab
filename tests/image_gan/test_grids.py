"""Grids and animations: every image is where it belongs, and nothing is cut off."""

import numpy as np
import pytest

from image_gan.grids import GAP, LEGIBLE, UNKNOWN, as_image, grid, grid_by_label, named, shortened


@pytest.mark.parametrize(
    "num, columns, shape", [(1, None, (1, 1)), (9, None, (3, 3)), (5, 4, (2, 4)), (64, None, (8, 8))]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_stand_row_by_row_on_white(num, columns, shape, channels):
    images = np.random.default_rng(0).integers(0, 255, (num, 60, 60, channels), np.uint8)
    page = np.array(grid(images, columns)).reshape(shape[0] * (60 + GAP) - GAP, shape[1] * (60 + GAP) - GAP, channels)
    for i, image in enumerate(images):
        top, left = i // shape[1] * (60 + GAP), i % shape[1] * (60 + GAP)
        np.testing.assert_array_equal(page[top : top + 60, left : left + 60], image)
        page[top : top + 60, left : left + 60] = 255
    assert (page == 255).all()


def test_small_images_are_enlarged_by_a_whole_factor():
    image = np.random.default_rng(0).integers(0, 255, (1, 20, 20, 1), np.uint8)
    page = np.asarray(grid(image))
    factor = LEGIBLE // 20
    assert page.shape == (20 * factor, 20 * factor)
    np.testing.assert_array_equal(page[::factor, ::factor], image[0, ..., 0])


def cells(picture, size, columns, rows):
    """The cells (rows, columns, H, W, C) of a grid, and the pixels at its left."""
    page = np.array(picture)
    page = page.reshape(*page.shape[:2], -1)
    width = columns * (size + GAP) - GAP
    assert page.shape[0] == rows * (size + GAP) - GAP and page.shape[1] >= width
    left = page.shape[1] - width
    tops, lefts = (range(0, n * (size + GAP), size + GAP) for n in (rows, columns))
    found = [[page[top : top + size, left + x : left + x + size] for x in lefts] for top in tops]
    return np.array(found), page[:, :left]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_a_label_in_their_order_and_white_where_it_is_shorter(channels):
    images = np.random.default_rng(0).integers(0, 255, (7, 60, 60, channels), np.uint8)
    labels = np.array([4, 0, 4, 2, 0, 4, 2])
    found, margin = cells(grid_by_label(images, labels, ["a", "b", "c", "d", "e"]), 60, 3, 3)
    white = np.full((60, 60, channels), 255)
    rows = [[images[1], images[4], white], [images[3], images[6], white], [images[0], images[2], images[5]]]
    np.testing.assert_array_equal(found, rows)
    _, expected = cells(grid(np.zeros((9, 60, 60, channels), np.uint8), 3, ["a", "c", "e"]), 60, 3, 3)
    np.testing.assert_array_equal(margin, expected)  # labels 1 and 3 have neither a row nor a name


def test_images_without_a_label_come_first_and_those_of_one_label_in_a_square():
    images = np.random.default_rng(0).integers(0, 255, (9, 60, 60, 1), np.uint8)
    found, margin = cells(grid_by_label(images, np.array([0] * 4 + [-1] * 5), ["a"]), 60, 5, 2)
    np.testing.assert_array_equal(found[0], images[4:])
    np.testing.assert_array_equal(found[1, :4], images[:4])
    assert margin.shape == cells(grid(images, 5, [UNKNOWN, "a"]), 60, 5, 2)[1].shape
    found, _ = cells(grid_by_label(images, np.zeros(9, int), ["a"]), 60, 3, 3)
    np.testing.assert_array_equal(found.reshape(images.shape), images)


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (64, 3), (256, 1)])
def test_names_stand_whole_at_the_middle_of_their_rows(size, channels):
    """Ink, row by row: legible in size, on no image, at the same distance from the first, none where no name is."""
    names = ["HEX", "", "EMBROIDERED H"]
    images = np.zeros((6, size, size, channels), np.uint8)
    shown = size * max(1, LEGIBLE // size)
    gap = GAP * shown // size
    bare, picture = grid(images, 2), grid(images, 2, names)
    assert picture.mode == bare.mode and picture.height == bare.height
    left = picture.width - bare.width
    np.testing.assert_array_equal(np.array(picture)[:, left:], np.array(bare))
    margin = np.array(picture.convert("L"))[:, :left]
    ends = []
    for row, name in enumerate(names):
        y, x = np.nonzero(margin[row * (shown + gap) : row * (shown + gap) + shown] < 128)
        assert (len(y) > 0) == bool(name)
        if name:
            assert 8 <= y.max() - y.min() + 1 <= shown * 0.4  # capitals, in pixels
            assert abs((y.max() + y.min() + 1) / 2 - shown / 2) <= max(2, shown / 32)
            assert x.min() >= 4
            ends.append(left - x.max())
    assert max(ends) - min(ends) <= 2 and min(ends) >= 4


def test_names_are_cut_and_their_control_characters_left_out():
    assert shortened("T-shirt/top") == "T-shirt/top" and shortened("a" * 14) == "a" * 14
    assert shortened("an excessively long name") == "an excessivel…"
    assert shortened("twelve words of it") == "twelve words…"
    picture = as_image(np.zeros((30, 30, 1), np.uint8))
    for clean, other in (("[31mred", "\x1b[31mr\ned"), ("an excessivel…", "an excessively long name")):
        assert named(picture, [clean], 30, 32).tobytes() == named(picture, [other], 30, 32).tobytes()
