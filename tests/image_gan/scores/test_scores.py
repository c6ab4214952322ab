"""What a report holds, what it is compared with, and what is measured once."""

import json

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gan_core.errors import UsageError
from gan_core.storage.cache import cache_root
from image_gan.scores import classifier
from image_gan.scores import report as scores
from image_gan.scores.backbones import Backbone, open_backbone
from image_gan.scores.metrics import Features
from image_gan.scores.metrics.base import moments
from image_gan.scores.metrics.frechet import frechet
from image_gan.scores.metrics.kid import kernel_distance
from image_gan.scores.metrics.neighbourhoods import neighbourhoods
from image_gan.scores.report import Scorer, chosen, default_num, table
from tests.image_gan.shapes import draw, shapes


class Counted:
    """A backbone that remembers what it was shown."""

    def __init__(self, backbone):
        self.seen, embed = [], backbone.embed
        self.backbone = Backbone(
            backbone.name, backbone.note, backbone.fingerprint, lambda x: self.seen.append(len(x)) or embed(x), 100_000
        )


@pytest.fixture(autouse=True)
def own_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGAN_GP_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def images():
    return shapes(600, 200)


@pytest.fixture(scope="module")
def backbone(images):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "STEPS", 80)
        return open_backbone("classifier", images, "cpu")


@pytest.fixture(scope="module")
def samples(images):
    return draw(np.random.default_rng(5), 200, 16, 1)[0]


def test_scores_are_the_definition(images, backbone, samples):
    report = Scorer(images, backbone).score(samples)
    real, fake = backbone(images.train)[0], backbone(samples)[0]
    assert report["frechet"] == pytest.approx(frechet(*moments(real), *moments(fake)), rel=1e-9)
    compared = chosen(real, scores.MAX_COMPARED)[:200]
    compared, fake = Features(compared), Features(fake)
    assert report["kid"]["mean"] == kernel_distance(compared, fake)[0]
    assert {name: report[name] for name in ("precision", "density")}.items() <= neighbourhoods(compared, fake).items()
    sizes = {key: report[key] for key in ("num_samples", "num_reference", "num_compared", "num_features")}
    assert sizes == {"num_samples": 200, "num_reference": 600, "num_compared": 200, "num_features": 64}
    assert json.loads(json.dumps(report)) == report and report["backbone"] == "classifier"


def test_the_floor_is_what_held_out_images_score(images, backbone, samples):
    scorer = Scorer(images, backbone)
    report = scorer.score(samples)
    expected = scorer.score(images.test)
    assert report["floor"] == {"num": 200} | {key: expected[key] for key in report["floor"] if key != "num"}
    assert scorer.score(samples[:50])["floor"]["num"] == 50
    assert default_num(images) == 200


def test_samples_like_the_images_score_well_and_noise_does_not(images, backbone, samples):
    report = Scorer(images, backbone).score(samples)
    assert report["frechet"] < 3 * report["floor"]["frechet"] < report["noise"]["frechet"] / 10
    assert report["precision"] > 0.7 and report["coverage"] > 0.7


def test_the_best_noise_stands_beside_the_score(images, backbone, samples):
    dull = np.full((200, 16, 16, 1), 40, np.uint8)
    dull[:100] = images.train[:100]
    scorer = Scorer(images, backbone, {"untrained generator": dull})
    report = scorer.score(samples)
    assert report["noise"]["name"] == "untrained generator"
    assert report["noise"]["frechet"] == scorer.score(dull)["frechet"]
    assert Scorer(images, backbone).score(samples)["noise"]["name"].endswith("pixels")


def test_worse_images_score_worse(images, backbone):
    scorer = Scorer(images, backbone)
    rng = np.random.default_rng(3)
    noise = rng.normal(size=images.test.shape)
    noisy = [(images.test + level * noise).clip(0, 255).astype(np.uint8) for level in (0, 16, 32, 64, 128)]
    rising = [scorer.score(x)["frechet"] for x in noisy]
    assert rising == sorted(rising) and rising[-1] > 10 * rising[0]

    def blurred(image, radius):
        return np.asarray(Image.fromarray(image[..., 0]).filter(ImageFilter.GaussianBlur(radius)))[..., None]

    rising = [scorer.score(np.stack([blurred(x, r) for x in images.test]))["frechet"] for r in (0, 0.25, 0.5, 1)]
    assert rising == sorted(rising) and rising[-1] > 10 * rising[0]


def test_all_but_the_samples_is_measured_once(images, backbone, samples):
    first = Counted(backbone)
    report = Scorer(images, first.backbone, {"dull": samples // 2}).score(samples)
    assert sorted(first.seen) == [200] * 5 + [600]  # samples, floor, three of noise; the reference
    again = Counted(backbone)
    assert Scorer(images, again.backbone, {"dull": samples // 2}).score(samples) == report and again.seen == [200]
    other = Counted(backbone)
    Scorer(images, other.backbone, {"dull": samples // 4}).score(samples)
    assert other.seen == [200, 200]  # the samples and the new noise


@pytest.mark.parametrize("file", ["reference-*/reference.npz", "scores-*/scores.json"])
def test_what_is_damaged_is_measured_again(images, backbone, samples, file):
    report = Scorer(images, backbone).score(samples)
    for path in cache_root(None).glob(file):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    again = Counted(backbone)
    assert Scorer(images, again.backbone).score(samples) == report and len(again.seen) > 1


def test_other_images_and_other_backbones_share_nothing(images, backbone, samples):
    report = Scorer(images, backbone).score(samples)
    assert Scorer(shapes(600, 200, seed=1), backbone).score(samples)["frechet"] != report["frechet"]
    other = Backbone("half", "", "other", lambda x: (backbone.embed(x)[0][:, :32], None))
    found = Scorer(images, other).score(samples)
    assert found["num_features"] == 32 and found["inception_score"] is None
    assert "Inception Score" not in table(found)


def test_the_table_says_what_a_score_is_worth(images, backbone, samples):
    text = table(Scorer(images, backbone).score(samples[:50]))
    for part in (
        "Frechet distance (classifier)", "KID (classifier)", "50 samples against 600 training images", "test accuracy",
        "times below the best of noise", "times what real images score.", "biased upward", "d = 64 and n = 50",
        "50 samples are fewer than the 64 features", "KID is unbiased",
    ):  # fmt: skip
        assert part in text
    assert "FID" not in text and all(len(line) < 130 for line in text.splitlines()[1:-1])


def test_only_inception_makes_a_fid(images, backbone, samples):
    for name, called in (("inception", True), ("inception-0a1b2c3d", False)):
        named = Backbone(name, "", "some", backbone.embed)
        assert ("FID " in table(Scorer(images, named).score(samples))) is called


def test_a_floor_at_another_size_says_so(images, backbone):
    text = table(Scorer(images, backbone).score(images.train[:300]))
    assert "real (200)" in text and "(at 200, so too high to compare)" in text


def test_one_test_image_is_no_floor(images, backbone, samples):
    alone = shapes(600, 1)
    report = Scorer(alone, backbone).score(samples)
    assert report["floor"] is None and default_num(alone) == 2
    assert "what real images score" not in table(report)


@pytest.mark.parametrize(
    "samples, said",
    [
        (np.zeros((9, 8, 8, 1), np.uint8), "8 x 8 x 1 cannot be scored against images of 16 x 16 x 1"),
        (np.zeros((1, 16, 16, 1), np.uint8), "--num must be at least 2"),
    ],
)
def test_samples_that_cannot_be_scored(images, backbone, samples, said):
    with pytest.raises(UsageError, match=said):
        Scorer(images, backbone).score(samples)
