"""A tiny data set that looks like something: squares, stripes and discs, wherever they fall."""

import numpy as np

from image_gan.dataset.dataset import ImageSet


def shapes(num=600, test=200, size=16, channels=1, seed=0, labelled=True):
    rng = np.random.default_rng(seed)
    images, labels = draw(rng, num + test, size, channels)
    if not labelled:
        labels[:] = -1
    return ImageSet(
        train=images[:num], test=images[num:], train_labels=labels[:num], test_labels=labels[num:],
        classes=("square", "stripes", "disc") if labelled else (), fingerprint=f"{num}{size}{channels}{seed}{labelled}",
        description="shapes", counts={},
    )  # fmt: skip


def draw(rng, num, size, channels):
    labels = rng.integers(0, 3, num).astype(np.int16)
    y, x = np.mgrid[:size, :size]
    images = np.empty((num, size, size, channels), np.uint8)
    for image, label in zip(images, labels, strict=True):
        cy, cx, r = *rng.uniform(0.35, 0.65, 2) * size, rng.uniform(0.2, 0.35) * size
        mask = (
            np.maximum(abs(y - cy), abs(x - cx)) < r,
            (y + int(cy)) % 4 < 2,
            np.hypot(y - cy, x - cx) < r,
        )[label]
        image[:] = (np.where(mask, rng.integers(150, 256), 40) + rng.normal(0, 8, mask.shape)).clip(0, 255)[..., None]
    return images, labels
