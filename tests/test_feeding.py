"""The benchmark of feeding, at sizes that take seconds."""

import re

import numpy as np
import pytest

from benchmarks import feeding
from image_gan.domain import ImageDomain
from image_gan.settings import IMAGE
from seqgan_gp.domain import TextDomain
from seqgan_gp.settings import TEXT


@pytest.mark.parametrize("name", ["text", "images"])
def test_a_row(name, data, here, monkeypatch):
    monkeypatch.setattr(feeding, "FED", 3)
    if name == "text":
        row = feeding.row(name, TEXT, TextDomain, 2, data="lines.txt", width=8, depth=1, batch_size=4)
    else:
        row = feeding.row(name, IMAGE, ImageDomain, 2, data="images.npz", width=8, g_width=8, batch_size=4)
    found = [float(number.replace(",", "")) for number in re.findall(r"[\d,]*\d\.?\d*", row)]
    assert row.count("|") == 7 and len(found) == 9 and all(number >= 0 for number in found)
    low, middle, high = found[7], found[6], found[8]
    assert low <= middle <= high


def test_a_batch_is_that_of_the_turn(data, here):
    from gan_core.options import settle

    domain = TextDomain.open(settle(TEXT, dict(data="lines.txt", batch_size=4, smoothing=0.0)).settings(TEXT))
    first, again, other = (feeding.batch(domain, 4, turn).x for turn in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
