"""Distances class by class against the plain one on each subset, and what the classifier finds in images."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from gan_core.errors import UsageError
from gan_core.storage.cache import cache_root
from image_gan.scores import classifier
from image_gan.scores.backbones import Backbone
from image_gan.scores.classifier import count_right, trained
from image_gan.scores.intra_class import IntraClass, table
from image_gan.scores.metrics.base import moments
from image_gan.scores.metrics.frechet import frechet
from image_gan.scores.report import chosen
from tests.image_gan.shapes import draw, shapes


@pytest.fixture(autouse=True)
def own_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGAN_GP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(classifier, "STEPS", 40)


@pytest.fixture(scope="module")
def images():
    return shapes(600, 200)


@pytest.fixture(scope="module")
def samples():
    return draw(np.random.default_rng(5), 300, 16, 1)


def pooled(images):
    """Features (N, 16): the means of blocks of pixels."""
    return images.reshape(len(images), 4, 4, 4, 4, -1).mean((2, 4, 5)).reshape(len(images), 16), None


POOLED = Backbone("pooled", "", "pooled", pooled)


@pytest.mark.parametrize("num", [90, 300])  # fewer, and more, of a class than test images
def test_each_class_is_the_plain_distance_on_its_subset(images, samples, num):
    x, y = (values[:num] for values in samples)
    report = IntraClass(images, POOLED).score(x, y)
    assert list(report["per_class"]) == list(images.classes)
    for label, scores in enumerate(report["per_class"].values()):
        real, test = images.train[images.train_labels == label], images.test[images.test_labels == label]
        features = [pooled(some)[0].astype(np.float32) for some in (real, x[y == label], chosen(test, sum(y == label)))]
        reference, own, held_out = (moments(some) for some in features)
        assert scores["frechet"] == pytest.approx(frechet(*reference, *own), rel=1e-6)
        assert scores["floor"] == pytest.approx(frechet(*reference, *held_out), rel=1e-6)
        counts = [scores[key] for key in ("num", "num_floor", "num_reference")]
        assert counts == [sum(y == label), min(sum(y == label), len(test)), len(real)]
    for key, each in (("mean", "frechet"), ("floor", "floor")):
        assert report[key] == pytest.approx(np.mean([scores[each] for scores in report["per_class"].values()]))
    assert json.loads(json.dumps(report)) == report and report["backbone"] == "pooled"


def test_samples_of_other_classes_are_far(images, samples):
    x, y = samples
    intra = IntraClass(images, POOLED)
    rightly = intra.score(x, y)["mean"]
    assert rightly < 0.1 * intra.score(x, np.random.default_rng(0).permutation(y))["mean"]
    one_each = x[[np.flatnonzero(y == label)[0] for label in y]]  # one image a class
    assert rightly < 0.1 * intra.score(one_each, y)["mean"]


def test_only_classes_that_can_be_measured_are(images, samples):
    x, y = samples
    some = np.flatnonzero(y != 1)
    report = IntraClass(images, POOLED).score(x[some], y[some])
    assert list(report["per_class"]) == ["square", "disc"]
    hidden = dataclasses.replace(images, test_labels=np.full(200, -1, np.int16), fingerprint="hidden")
    report = IntraClass(hidden, POOLED).score(x, y)
    assert report["floor"] is None and report["per_class"]["disc"]["num_floor"] == 0
    assert "real test images" not in table({"intra_frechet": report})
    assert IntraClass(images, POOLED).score(x, np.full(300, -1)) is None
    with pytest.raises(UsageError, match="8 x 16 x 1 cannot be scored against images of 16 x 16 x 1"):
        IntraClass(images, POOLED).score(x[:, :8], y)


def test_real_images_are_measured_once(images, samples):
    seen = []
    counted = dataclasses.replace(POOLED, embed=lambda x: seen.append(len(x)) or pooled(x), batch=100_000)
    first = IntraClass(images, counted).score(*samples)
    sides = (images.train_labels, images.test_labels)
    assert seen == [300, *(np.count_nonzero(labels == k) for k in range(3) for labels in sides)]
    seen.clear()
    assert IntraClass(images, counted).score(*samples) == first and seen == [300]
    for path in cache_root(None).glob("intra-*/reference.npz"):
        path.write_bytes(path.read_bytes()[:-1])
    seen.clear()
    assert IntraClass(images, counted).score(*samples) == first and len(seen) == 7
    seen.clear()
    other = dataclasses.replace(counted, fingerprint="other")
    assert IntraClass(images, other).score(*samples) == first and len(seen) == 7


def test_the_table_tells_of_the_bias(images, samples):
    x, y = samples
    few = np.concatenate([np.flatnonzero(y == label)[:10] for label in range(3)])
    text = table({"intra_frechet": IntraClass(images, POOLED).score(x[few], y[few])})
    for part in (
        "Intra-class Frechet distance (pooled), mean of 3 classes", "real test images", "biased upward",
        "d = 16 and n = 10 of a class", "10 are fewer than the features",
    ):  # fmt: skip
        assert part in text
    assert "fewer" not in table({"intra_frechet": IntraClass(images, POOLED).score(x, y)})
    assert table({}) == ""


def test_the_classifier_names_what_images_show(images):
    result = trained("classifier", images, torch.device("cpu"))
    found = result.classes_of(images.test)
    assert found.dtype == np.int64 and (found == images.test_labels).mean() == result.accuracy > 0.9
    right, total = count_right(result.net, "classifier", images)
    assert (found == images.test_labels).sum() == right and total == 200
    assert np.array_equal(
        np.concatenate([result.classes_of(images.test[:7]), result.classes_of(images.test[7:])]), found
    )
    assert result.classes_of(images.test[:0]).shape == (0,)
