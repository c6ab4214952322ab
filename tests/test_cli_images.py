"""The command line on images: what works, what is printed, and one sentence for everything that does not."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_gan.scores import classifier
from tests.command import one_sentence
from tests.image_gan.sets import encoded, huge_png, noise, write_files, write_zip
from tests.image_gan.shapes import shapes

SMALL = [
    "--threads",
    1,
    "--width",
    4,
    "--z-dim",
    8,
    "--batch-size",
    8,
    "--steps",
    3,
    "--log-every",
    1,
    "--eval-num",
    20,
]


@pytest.fixture(autouse=True)
def a_quick_classifier(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 30)


@pytest.fixture
def data(here):
    """A labelled set of 160 images in an npz."""
    made = shapes(120, 40)
    arrays = dict(x_train=made.train, y_train=made.train_labels, x_test=made.test, y_test=made.test_labels)
    np.savez("shapes.npz", **arrays)
    return Path("shapes.npz")


@pytest.fixture
def image_run(data, call):
    """A run of three steps on a few images."""
    code, out, err = call("train-image", "--data", data, "--recipe", "dcgan", *SMALL)
    assert code == 0, err
    return Path("runs/00000-image-dcgan"), out


def test_a_run_is_printed_kept_and_resumed(image_run, call):
    path, out = image_run
    assert f"run:         {path}" in out and "train-image --resume" in out and "16x16 grey, 3 classes" in out
    assert "Frechet distance (classifier)" in out and "In short: " in out and "FID" not in out
    assert "mean score of real samples" in out and "step 3/3" in out
    with Image.open(path / "samples/000003.png") as samples, Image.open(path / "samples/real.png") as real:
        assert samples.size[0] == samples.size[1] and real.size[0] > 100
    there = {p.name for p in (path / "checkpoints/step-000003").iterdir()}
    nets = {f"{name}.safetensors" for name in ("generator", "ema", "critic")}
    assert (
        there == nets | {"state.pt", "images.json", "labels.json", "manifest.json"} and (path / "curves.png").is_file()
    )
    assert call("train-image", "--resume", path, "--steps", 6)[0] == 0
    straight = ("train-image", "--data", "shapes.npz", "--recipe", "dcgan", *SMALL, "--steps", 6, "--name", "straight")
    assert call(*straight)[0] == 0
    for name in ("generator", "ema", "critic"):
        file = f"checkpoints/step-000006/{name}.safetensors"
        assert (path / file).read_bytes() == (Path("runs/00001-straight") / file).read_bytes()


def test_resume_alone_takes_the_newest_run_of_images(image_run, call):
    Path("lines.txt").write_text("".join(f"line number {i} of many\n" for i in range(40)))
    text = ("--data", "lines.txt", "--width", 8, "--depth", 1, "--steps", 1, "--batch-size", 4, "--threads", 1)
    assert call("train-text", *text)[0] == 0
    code, out, _ = call("train-image", "--resume", "--steps", 4, "--animate")
    assert code == 0 and "resuming at step 3" in out and (image_run[0] / "samples/progress.gif").is_file()
    code, _, err = call("train-image", "--resume", "runs/00001-text-wgan-gp")
    assert code == 2 and "train-text" in one_sentence(err)


def test_samples_in_every_form_and_exactly_so_many(image_run, call):
    path, _ = image_run
    code, out, err = call("sample", path, "--num", 9)
    assert code == 0 and out == "" and f"9 samples of step 3 in {path / 'sampled.png'}" in err
    assert call("sample", path, "--num", 13, "--out", "images.npz")[0] == 0
    with np.load("images.npz", allow_pickle=False) as file:
        images = file["images"]
    assert images.shape == (13, 16, 16, 1) and images.dtype == np.uint8
    assert call("sample", path, "--num", 5, "--out", "folder", "--format", "folder")[0] == 0
    for i, name in enumerate(sorted(Path("folder").iterdir())):
        with Image.open(name) as image:
            np.testing.assert_array_equal(np.asarray(image), images[i, ..., 0])  # sample i, whatever the number
    code, _, err = call("sample", path, "--num", 2, "--out", "folder", "--format", "folder")
    assert code == 2 and "folder" in one_sentence(err) and len(list(Path("folder").iterdir())) == 5
    for args, word in ((("--out", "-"), "--out"), (("--format", "txt"), "png, folder, npz"), (("--num", 0), "--num")):
        code, out, err = call("sample", path, *args)
        assert (code, out) == (2, "") and word in one_sentence(err)


def test_scores_of_a_run_a_folder_an_npz_and_a_zip(image_run, data, call):
    path, _ = image_run
    code, out, err = call("evaluate", path, "--num", 20, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert out.count("\n") == 1 and report["backbone"] == "classifier" and report["num_samples"] == 20
    names = {"frechet", "kid", "precision", "recall", "density", "coverage", "floor", "noise", "inception_score"}
    assert names <= set(report) and report["floor"]["num"] == 20
    assert report["noise"]["name"] in ("uniform pixels", "Gaussian pixels", "untrained generator")
    assert json.loads((path / "summary.json").read_text())["evaluation"]["frechet"] == report["frechet"]
    assert call("sample", path, "--num", 20, "--out", "samples.npz")[0] == 0
    assert call("sample", path, "--num", 20, "--out", "samples", "--format", "folder")[0] == 0
    write_zip(Path("samples.zip"), {p.name: p.read_bytes() for p in Path("samples").iterdir()})
    scores = []
    for target in ("samples.npz", "samples", "samples.zip"):
        code, out, err = call("evaluate", target, "--data", data, "--json")
        assert code == 0, err
        scores.append(json.loads(out)["frechet"])
    assert scores == [pytest.approx(report["frechet"], rel=1e-6)] * 3
    code, out, _ = call("evaluate", path, "--backbone", "rotation")
    assert code == 0 and "Frechet distance (rotation)" in out


def test_what_cannot_be_scored(image_run, data, call):
    path, _ = image_run
    np.savez("wrong.npz", images=np.zeros((4, 12, 12, 1), np.uint8))
    for args, want, word in (
        ((path, "--protocol", "heldout"), 2, "--protocol"), ((path, "--seq-len", 3), 2, "--seq-len"),
        ((path, "--backbone", "nonesuch"), 2, "nonesuch"), (("shapes.npz",), 2, "--data"),
        ((path, "--num", 1), 2, "--num"), (("nowhere.npz", "--data", data), 3, "nowhere.npz"),
        ((path, "--backbone", "inception:nowhere.pth"), 2, "nowhere.pth"),
        (("shapes.npz", "--data", data, "--num", 5), 2, "--num"),
    ):  # fmt: skip
        code, out, err = call("evaluate", *args)
        assert (code, out) == (want, "") and word in one_sentence(err), (args, err)


def train(call, *args):
    code, _, err = call("train-image", *args, *SMALL)
    assert not Path("runs").exists()
    return code, one_sentence(err)


def test_bad_images_are_one_sentence_each(here, call):
    picture = encoded(noise(1)[0])
    write_files(here / "cut", {"a.png": picture, "b.png": picture[: len(picture) // 2], "c.png": encoded(noise(2)[1])})
    write_files(here / "bomb", {"a.png": picture, "b.png": huge_png()})
    write_files(here / "mixed", {"a.png": picture, "b.png": encoded(noise(1, 12, 12)[0])})
    write_files(here / "one", {"a.png": picture})
    (here / "empty").mkdir()
    write_zip(here / "up.zip", {"../a.png": picture, "b.png": picture})
    np.savez("short.npz", images=noise(4), labels=np.zeros(3, np.int64))
    (here / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03\0\0")
    for data, word in (
        ("nowhere", "nowhere"), ("cut", "b.png"), ("bomb", "--max-pixels"), ("mixed", "--size"), ("one", "one"),
        ("empty", "empty"), ("up.zip", ".."), ("short.npz", "labels"), ("t10k-images-idx3-ubyte", "cut"),
    ):  # fmt: skip
        code, sentence = train(call, "--data", data)
        assert code == 3 and word in sentence, sentence


def test_unreadable_images_are_skipped_on_request_and_counted(here, call):
    images = noise(30, 16, 16, 1)
    files = {f"{i:02d}.png": encoded(image) for i, image in enumerate(images)}
    write_files(here / "folder", files | {"bad.png": files["00.png"][:40]})
    code, out, err = call("train-image", "--data", "folder", "--bad-images", "skip", *SMALL)
    assert code == 0 and "1 unreadable" in out and "no labels" in out and "(rotation)" in out, err


@pytest.mark.parametrize("options, word", [
    (("--size", 30, "--arch", "dcgan"), "--size 28"), (("--size", 4), "--size"), (("--channels", 2), "--channels"),
    (("--recipe", "wgan-gp", "--critic-norm", "batch"), "batch norm"), (("--arch", "vit"), "--arch"),
    (("--plateau-patience", 9), "measure of convergence"), (("--began-gamma", 0.3), "began"), (("--skip",), "--skip"),
    (("--seq-len", 12), "--seq-len"), (("--size", 99999), "--size"),
])  # fmt: skip
def test_options_that_cannot_be(data, call, options, word):
    code, sentence = train(call, "--data", data, *options)
    assert code == 2 and word in sentence, sentence
