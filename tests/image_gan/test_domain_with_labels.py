"""Labels and codes through the image domain: what training sees, what samples show, what is scored and exported."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gan_core.errors import DataError, UsageError
from gan_core.game.prior import Prior
from gan_core.game.trained import Picture, Trained, each_class
from gan_core.recipes.build import build, make_parts
from gan_core.recipes.plan import settle
from gan_core.sample import Codes, Sample
from image_gan.dataset.dataset import open_images
from image_gan.domain import file_name, from_checkpoint, open_domain, pixels
from image_gan.domain import report as as_table
from image_gan.scores import classifier
from image_gan.settings import IMAGE

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def a_quick_classifier(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 60)


@pytest.fixture
def path(tmp_path):
    """240 images, 16 x 16, of three classes: a bright bar at the top, in the middle, at the bottom."""
    generator = np.random.default_rng(0)
    labels = np.arange(240) % 3
    images = generator.integers(0, 60, (240, 16, 16)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[6 * label : 6 * label + 3] += 180
    np.savez(tmp_path / "bars.npz", images=images, labels=labels)
    return tmp_path / "bars.npz"


def opened(path, recipe="acgan", **values):
    given = dict(data=str(path), recipe=recipe, width=4, z_dim=8, batch_size=6, threads=1, eval_num=30)
    plan = settle(IMAGE, given | values)
    return plan, open_domain(plan.settings(IMAGE))


class Shows(nn.Module):
    """A generator that shows real training images: those of the label that is asked for, or of the code."""

    def __init__(self, domain, by_code=False, turned=0):
        super().__init__()
        self.domain, self.by_code, self.turned = domain, by_code, turned

    def forward(self, latent):
        labels = latent.code[:, :3].argmax(1) if self.by_code else latent.y
        wanted = (labels + self.turned) % 3
        rows = [np.flatnonzero(self.domain.data.images.train_labels == int(y))[i % 20] for i, y in enumerate(wanted)]
        return self.domain.data.batch(np.array(rows), CPU, 0).x


class Reads(nn.Module):
    """A critic whose heads know nothing of images but what is given to them."""

    def __init__(self, **heads):
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Identity() for name in heads})
        self.answers = heads

    def forward(self, x, y=None):
        return x, {name: answer(x) for name, answer in self.answers.items()}


def place(x):
    """Which third of each image (B, 1, 16, 16) is the brightest, as logits (B, 3)."""
    return torch.stack([x[:, 0, start : start + 3].mean((1, 2)) for start in (0, 6, 12)], 1) * 20


def trained(generator, prior, critic=None, taught=False):
    return Trained(generator, critic, prior, 0, 16, CPU, taught)


def test_batches_show_their_labels(path):
    _, domain = opened(path)
    indices = np.array([5, 0, 7])
    np.testing.assert_array_equal(
        domain.data.batch(indices, CPU, 0).y.numpy(), domain.data.images.train_labels[indices]
    )
    assert (
        len(domain.labels) == 3
        and sum(domain.labels.counts) == domain.data.num_examples
        and not len(domain.data.labelled)
    )
    held = list(domain.data.held_out(10))
    assert sum(map(len, held)) == 10
    np.testing.assert_array_equal(pixels(held[0].x), domain.data.images.test[:10])
    np.testing.assert_array_equal(held[0].y.numpy(), domain.data.images.test_labels[:10])


def test_labels_are_hidden_from_training_and_from_nothing_else(path):
    _, domain = opened(path, labels_per_class=4)
    y = domain.data.batch(np.arange(domain.data.num_examples), CPU, 0).y.numpy()
    assert [np.count_nonzero(y == k) for k in range(3)] == [4, 4, 4] and domain.labels.counts == (4, 4, 4)
    assert domain.labels.hidden == domain.data.num_examples - 12
    np.testing.assert_array_equal(np.flatnonzero(y >= 0), domain.data.labelled)
    np.testing.assert_array_equal(y[domain.data.labelled], domain.data.images.train_labels[domain.data.labelled])
    assert (domain.data.images.train_labels >= 0).all()
    _, again = opened(path, labels_per_class=4)
    _, other = opened(path, labels_per_class=4, seed=1)
    assert np.array_equal(again.data.labelled, domain.data.labelled) and not np.array_equal(
        other.data.labelled, domain.data.labelled
    )


def test_labels_that_do_not_fit_are_refused(path):
    for options, error, sentence in (
        (dict(classes=2), DataError, "3 classes, more than --classes 2"),
        (dict(classes=4), DataError, "3 classes, fewer than --classes 4: lower it"),
        (dict(labels_per_class=10_000), UsageError, "--labels-per-class 10000"),
    ):
        with pytest.raises(error, match=sentence):
            opened(path, **options)
    plan, domain = opened(path, recipe="cgan", labels_per_class=4)
    with pytest.raises(UsageError, match="concat needs the label of every example"):
        build(domain, make_parts(plan.parts, plan.numbers), plan.settings(IMAGE), CPU)
    plan, domain = opened(path, recipe="sngan", generator_norm="conditional")
    with pytest.raises(UsageError, match="--generator-norm conditional is told labels"):
        build(domain, make_parts(plan.parts, plan.numbers), plan.settings(IMAGE), CPU)


@pytest.mark.parametrize("turned", [0, 1])
def test_conditional_samples_are_judged_by_what_they_show(path, turned):
    """A generator that shows what was asked for, and one that always shows the next class."""
    _, domain = opened(path)
    report = domain.scores.evaluate(trained(Shows(domain, turned=turned), Prior(8, shares=domain.labels.shares)))[
        "labels"
    ]
    assert report["classifier"]["accuracy"] > 0.9
    conditional, intra = report["conditional"], report["intra_frechet"]
    assert conditional["num"] == 30 and set(conditional["per_class"]) == set(domain.labels.names)
    if turned:
        assert conditional["accuracy"] < 0.1 and intra["mean"] > 20 * intra["floor"]
    else:
        assert conditional["accuracy"] > 0.9 and intra["mean"] < 20 * intra["floor"]
    text = as_table(domain.scores.evaluate(trained(Shows(domain), Prior(8, shares=domain.labels.shares))))
    assert "are what was asked for" in text and "Intra-class" in text


def test_a_critic_is_scored_on_test_images(path):
    _, domain = opened(path)
    generator, prior = Shows(domain), Prior(8, shares=domain.labels.shares)
    right, wrong = Reads(**{"class": place}), Reads(**{"class": lambda x: place(x).roll(1, 1)})
    assert domain.scores.evaluate(trained(generator, prior, right, True))["labels"]["critic"]["error"] == 0
    assert domain.scores.evaluate(trained(generator, prior, wrong, True))["labels"]["critic"]["error"] == 1
    untaught = domain.scores.evaluate(trained(generator, prior, wrong, False))
    assert untaught["labels"]["critic"]["matched_error"] == 0
    assert domain.scores.scalars(untaught)["labels/critic_error"] == 0


def test_codes_are_matched_with_classes(path):
    _, domain = opened(path)
    codes = Codes(1, 3, 1)
    critic = Reads(category=place, level=lambda x: torch.zeros(len(x), 1))
    report = domain.scores.evaluate(trained(Shows(domain, by_code=True, turned=1), Prior(8, codes=codes), critic))[
        "labels"
    ]
    samples, real = report["codes"]["samples"][0], report["codes"]["real"][0]
    assert samples["accuracy"] > 0.9 > samples["chance"]
    assert sorted(samples["matching"]) == [[0, 1], [1, 2], [2, 0]]  # the code k shows the class k + 1
    assert real["accuracy"] == 1
    assert report["codes"]["bits"]["category"] < np.log2(3) + 1e-6
    assert "conditional" not in report


def test_a_run_without_labels_or_codes_has_no_such_report(path):
    _, domain = opened(path, recipe="sngan")
    report = domain.scores.evaluate(untold(domain))
    assert "labels" not in report


def untold(domain):
    class Noise(nn.Module):
        def forward(self, latent):
            return torch.tanh(latent.z[:, :1].view(-1, 1, 1, 1).expand(-1, 1, 16, 16))

    return trained(Noise(), Prior(8))


def test_exported_samples_carry_their_labels_and_can_be_trained_on(path, tmp_path):
    _, domain = opened(path)
    asked = each_class(9, 3)
    samples = list(trained(Shows(domain), Prior(8, shares=domain.labels.shares)).draw(9, asked))
    for form in domain.samples.formats:
        domain.samples.export(samples, form, tmp_path / form)
    with np.load(tmp_path / "npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["labels"], asked.numpy())
        images = file["images"]
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == sorted(domain.labels.names)
    np.testing.assert_array_equal(np.sort(open_images(str(tmp_path / "folder")), 0), np.sort(images, 0))
    _, back = opened(tmp_path / "folder")
    assert back.labels.names == domain.labels.names


def test_names_of_classes_make_safe_folders():
    assert file_name("T-shirt/top") == "T-shirt_top" and file_name("..") == "_" and file_name("a\0b\n") == "a_b_"


def test_a_domain_without_data_knows_the_classes_of_its_checkpoint(path, tmp_path):
    plan, domain = opened(path, labels_per_class=4)
    domain.samples.save(tmp_path)
    loaded = from_checkpoint(plan.settings(IMAGE), tmp_path)
    assert loaded.labels == domain.labels


def test_pictures_are_by_class_or_in_columns(path, tmp_path):
    _, domain = opened(path)
    x = domain.data.batch(np.arange(6), CPU, 0).x
    sizes = []
    for sample, columns in ((Sample(x), None), (Sample(x, each_class(6, 3)), None), (Sample(x, each_class(6, 3)), 6)):
        with Image.open(domain.samples.show(tmp_path / "picture", Picture("", 0, [sample], columns), None)) as image:
            sizes.append(image.size)
    plain, by_class, row = sizes
    assert by_class[1] == plain[1] and by_class[0] > plain[0] + 20 and row[1] * 2 < by_class[1] and row[0] > plain[0]
