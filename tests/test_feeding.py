"""The benchmark of feeding, at sizes that take seconds."""

import re

import numpy as np
import pytest
import torch

from benchmarks import feeding
from gan_core.recipes.plan import settle
from image_gan import domain as image
from image_gan.settings import IMAGE
from seqgan_gp import domain as text
from seqgan_gp.settings import TEXT

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["text", "images"])
def test_a_row(name, data, here, monkeypatch):
    monkeypatch.setattr(feeding, "FED", 3)
    sizes = {"width": 8, "batch_size": 4}
    if name == "text":
        row = feeding.fed_and_taken(name, TEXT, text.open_domain, 2, CPU, data="lines.txt", depth=1, **sizes)
    else:
        row = feeding.fed_and_taken(
            name, IMAGE, image.open_domain, 2, CPU, data="images.npz", generator_width=8, **sizes
        )
    assert row.what.startswith(f"{name}, ") and 0 < row.low <= row.value <= row.high
    found = [float(number.replace(",", "")) for number in re.findall(r"[\d,]*\d\.?\d*", row.note)]
    assert len(found) == 5 and min(found[:3]) > 0 and min(found[3:]) >= 0


def test_both_rows_at_the_published_sizes_but_for_the_width(data, here, monkeypatch):
    monkeypatch.setattr(feeding, "FED", 3)
    rows = feeding.measure(1, CPU, True, "lines.txt", "images.npz")
    assert [row.what.partition(",")[0] for row in rows] == ["text", "images"]


def test_a_batch_is_that_of_the_turn(data, here):
    domain = text.open_domain(settle(TEXT, dict(data="lines.txt", batch_size=4, smoothing=0.0)).settings(TEXT))
    first, again, other = (feeding.batch(domain, 4, turn, CPU).x for turn in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
