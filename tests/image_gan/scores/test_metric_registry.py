"""A metric of images is one file: its function stands in the report, the table and the scalars without another edit."""

import json
import sys

import numpy as np
import pytest

from image_gan.scores import metrics
from image_gan.scores.backbones import Backbone
from image_gan.scores.metrics import METRICS
from image_gan.scores.report import Scorer, chosen, gaussian_pixels, scalars, table
from tests.image_gan.shapes import draw, shapes

PLANTED = '''
from image_gan.scores.metrics.base import METRICS, Features


@METRICS("planted_distance", better="lower", beside=("real", "noise"))
def planted_distance(samples: Features, real: Features) -> float:
    """Distance between the means of the features."""
    return float(((samples.mean - real.mean) ** 2).sum() ** 0.5)


@METRICS("num_compared_twice", better="higher")
def num_compared_twice(samples: Features, real: Features) -> float:
    """Twice the number of features of either side."""
    return len(samples.values) + len(real.values)


@METRICS("of_logits", better="higher")
def of_logits(samples: Features, real: Features) -> float:
    """The greatest logit of the samples."""
    return float("nan") if samples.logits is None else float(samples.logits.max())
'''


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A module in a folder that is added to the package of metrics."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more/planted_metric.py").write_text(PLANTED)
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path / "more")])
    known = dict(METRICS._found)
    metrics.import_all(metrics)
    yield
    METRICS._found = known
    del sys.modules["image_gan.scores.metrics.planted_metric"]


def pooled(with_logits):
    """A backbone of four features, the means of the quarters of an image, and as many logits."""

    def embed(images):
        quarters = images.reshape(len(images), 2, 8, 2, 8).mean((2, 4)).reshape(-1, 4).astype(np.float32)
        return quarters, quarters / 100 if with_logits else None

    return Backbone("quarters", "", f"quarters {with_logits}", embed)


def far(images, others):
    means = [pooled(False).embed(some)[0].mean(0, dtype=np.float64) for some in (images, others)]
    return np.linalg.norm(means[0] - means[1])


@pytest.mark.parametrize("with_logits", [True, False])
def test_a_planted_metric_is_in_the_json_the_table_and_the_scalars(planted, cache, with_logits):
    images, samples = shapes(60, 40), draw(np.random.default_rng(5), 30, 16, 1)[0]
    report = Scorer(images, pooled(with_logits)).score(samples)
    assert json.loads(json.dumps(report)) == report
    found = report["scores"]
    assert list(found)[-3:] == ["planted_distance", "num_compared_twice", "of_logits"]
    assert found["planted_distance"]["value"] == pytest.approx(far(samples, images.train), rel=1e-6)
    assert found["planted_distance"]["better"] == "lower"
    assert found["planted_distance"]["real"] == pytest.approx(far(chosen(images.test, 30), images.train), rel=1e-6)
    assert report["noise"]["name"] == "Gaussian pixels"
    drawn = gaussian_pixels(images.train, 30)
    assert found["planted_distance"]["noise"] == pytest.approx(far(drawn, images.train), rel=1e-6)
    assert found["num_compared_twice"] == {"value": 60, "better": "higher", "real": None, "noise": None}
    largest = float((pooled(True).embed(samples)[1]).max())
    assert found["of_logits"]["value"] == (pytest.approx(largest) if with_logits else None)
    (row,) = [line.split() for line in table(report).splitlines() if line.startswith("planted_distance")]
    assert row == ["planted_distance", *(f"{found['planted_distance'][of]:.4g}" for of in ("value", "real", "noise"))]
    assert ("of_logits" in table(report)) == with_logits
    plotted = scalars(report)
    assert plotted["planted_distance/quarters"] == found["planted_distance"]["value"]
    assert plotted["num_compared_twice/quarters"] == 60 and ("of_logits/quarters" in plotted) == with_logits


def test_scores_that_are_cached_without_a_metric_are_measured_again(cache, request):
    images, samples = shapes(60, 40), draw(np.random.default_rng(5), 30, 16, 1)[0]
    before = Scorer(images, pooled(True)).score(samples)
    assert "planted_distance" not in before["scores"]
    request.getfixturevalue("planted")
    after = Scorer(images, pooled(True)).score(samples)
    assert after["scores"]["planted_distance"]["real"] is not None
    assert after | {"scores": before["scores"]} == before


def test_what_is_plotted_of_the_metrics_of_the_package(cache):
    images, samples = shapes(60, 40), draw(np.random.default_rng(5), 30, 16, 1)[0]
    report = Scorer(images, pooled(True)).score(samples)
    plotted = scalars(report)
    assert plotted["kid/quarters"] == report["kid"]["mean"] and plotted["frechet/quarters"] == report["frechet"]
    assert {name.partition("/")[0] for name in plotted} == {metric.name for metric in METRICS}
