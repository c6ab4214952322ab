"""Labels and codes on the command line: training, `sample --label` and `--code`, `evaluate`, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from image_gan.scores import classifier
from tests.command import one_sentence

TINY = ["--steps", "2", "--width", "4", "--z-dim", "4", "--batch-size", "4", "--log-every", "0", "--threads", "1"]


@pytest.fixture(autouse=True)
def a_quick_classifier(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 30)


@pytest.fixture
def images(here):
    """A folder of pictures, a sub-folder a class."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "grey", "light")):
        (here / "pictures" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(80 * label, 80 * label + 60, (16, 16)).astype(np.uint8)
            Image.fromarray(pixels).save(here / "pictures" / name / f"{i}.png")
    return here / "pictures"


@pytest.fixture
def lines(here):
    """A folder of text, a file a class."""
    (here / "words").mkdir()
    for name, word in (("greeting", "hello"), ("parting", "goodbye")):
        (here / "words" / f"{name}.txt").write_text("".join(f"{word} number {i}\n" for i in range(60)))
    return here / "words"


@pytest.fixture
def image_run(images, call):
    code, _, err = call("train-image", "--data", images, "--recipe", "acgan", *TINY, "--eval-num", "20")
    assert code == 0, err
    return "runs/00000-image-acgan"


@pytest.fixture
def text_run(lines, call):
    code, _, err = call(
        "train-text", "--data", lines, "--recipe", "wgan-gp", "--add", "concat", *TINY, "--seq-len", "16"
    )
    assert code == 0, err
    return "runs/00000-text-wgan-gp"


def test_images_are_drawn_by_class(image_run, call, here):
    code, _, err = call("sample", image_run, "--label", "each", "--num", "7", "--out", "all.npz")
    assert code == 0, err
    with np.load(here / "all.npz", allow_pickle=False) as file:
        assert file["labels"].tolist() == [0, 0, 0, 1, 1, 2, 2] and file["images"].shape == (7, 16, 16, 1)
    code, _, err = call("sample", image_run, "--label", "light", "--num", "5", "--out", "light.npz")
    with np.load(here / "light.npz", allow_pickle=False) as file:
        assert file["labels"].tolist() == [2] * 5
    assert call("sample", image_run, "--label", "2", "--num", "5", "--out", "two.npz")[0] == 0
    assert (here / "two.npz").read_bytes() == (here / "light.npz").read_bytes()
    code, _, err = call("sample", image_run, "--label", "each", "--out", "grid.png")
    assert "24 samples" in err
    assert call("sample", image_run, "--label", "each", "--out", "by-class", "--format", "folder")[0] == 0
    assert sorted(p.name for p in (here / "by-class").iterdir()) == ["dark", "grey", "light"]
    assert call("train-image", "--data", "by-class", "--recipe", "cgan", *TINY, "--dry-run")[0] == 0


def test_a_sample_depends_on_its_seed_and_number_alone(image_run, call, here):
    drawn = []
    for num in (3, 9):
        assert call("sample", image_run, "--num", num, "--out", f"{num}.npz")[0] == 0
        with np.load(here / f"{num}.npz", allow_pickle=False) as file:
            drawn.append((file["images"][:3], file["labels"][:3]))
    assert np.abs(drawn[0][0].astype(int) - drawn[1][0]).max() <= 1 and np.array_equal(drawn[0][1], drawn[1][1])


def test_sentences_are_drawn_by_class(text_run, call):
    code, out, err = call("sample", text_run, "--label", "each", "--num", "5")
    assert code == 0, err
    assert [line.partition("\t")[0] for line in out.splitlines()] == ["greeting"] * 3 + ["parting"] * 2
    code, out, _ = call("sample", text_run, "--label", "parting", "--num", "4")
    assert len(out.splitlines()) == 4 and "\t" not in out
    code, out, _ = call("sample", text_run, "--num", "4", "--format", "jsonl")
    assert all(json.loads(line)["label"] in ("greeting", "parting") for line in out.splitlines())


def test_runs_are_scored_by_their_labels(image_run, text_run, call):
    for run, name in ((image_run, "classifier"), (text_run.replace("00000", "00001"), "n-grams")):
        code, out, err = call("evaluate", run, "--json", "--num", "20")
        assert code == 0, err
        report = json.loads(out)["labels"]
        assert report["classifier"]["name"] == name and 0 <= report["conditional"]["accuracy"] <= 1
        code, out, _ = call("evaluate", run, "--num", "20")
        assert "are what was asked for" in out
        code, out, _ = call("inspect", run)
        assert "are what was asked for" in out


def test_codes_are_set_and_swept(images, call, here):
    code, _, err = call("train-image", "--data", images, "--recipe", "infogan", *TINY, "--infogan-categories", "3")
    assert code == 0, err
    run = "runs/00000-image-infogan"
    assert (here / run / "samples/traversal-000002.png").is_file()
    fixed = ("--code", "0=2", "--code", "1=-0.5", "--code", "2=0")
    for name in ("a", "b"):
        assert call("sample", run, *fixed, "--num", "6", "--out", f"{name}.npz")[0] == 0
    assert (here / "a.npz").read_bytes() == (here / "b.npz").read_bytes()
    assert call("sample", run, "--code", "0=1", "--num", "6", "--out", "c.npz")[0] == 0
    code, _, err = call("sample", run, "--code", "each")
    assert code == 0 and "27 samples" in err  # three codes, three rows each, three categories
    for given, sentence in (
        (["--code", "0=3"], "code 0 has the values 0 to 2"),
        (["--code", "0=1.5"], "code 0 has the values 0 to 2"),
        (["--code", "3=1"], "the codes of this run are 0 to 2"),
        (["--code", "1=99"], "from -1 to 1"),
        (["--code", "x"], "not of the form K=VALUE"),
        (["--code", "each", "--num", "3"], "leave --num"),
        (["--label", "dark"], "--label is for a run that was told labels"),
    ):
        code, _, err = call("sample", run, *given)
        assert code == 2 and sentence in one_sentence(err)


def test_a_code_of_many_values_takes_them_all(images, call):
    given = ("--infogan-categories", "15", "--infogan-continuous", "0")
    assert call("train-image", "--data", images, "--recipe", "infogan", *TINY, *given)[0] == 0
    assert call("sample", "runs/00000-image-infogan", "--code", "0=14", "--num", "2", "--out", "a.npz")[0] == 0
    assert call("sample", "runs/00000-image-infogan", "--code", "0=15", "--num", "2", "--out", "a.npz")[0] == 2


def test_labels_that_do_not_exist_are_refused(image_run, call):
    for given, sentence in (
        (["--label", "pink"], "--label pink is no class of this run: choose from dark, grey, light"),
        (["--label", "3"], "--label 3 is no class"),
        (["--code", "0=1"], "--code is for a run that has codes"),
    ):
        code, _, err = call("sample", image_run, *given)
        assert code == 2 and sentence in one_sentence(err)


@pytest.mark.parametrize(
    ("given", "code", "sentence"),
    [
        (["--recipe", "cgan", "--classes", "2"], 3, "3 classes, more than --classes 2"),
        (["--recipe", "cgan", "--classes", "5"], 3, "fewer than --classes 5"),
        (["--recipe", "cgan", "--labels-per-class", "5"], 2, "leave --labels-per-class out"),
        (["--recipe", "sgan", "--labels-per-class", "5000"], 2, "--labels-per-class 5000"),
        (["--recipe", "sngan", "--generator-norm", "conditional"], 2, "--generator-norm batch"),
        (["--recipe", "cgan", "--add", "acgan"], 2, "--without"),
        (["--recipe", "catgan", "--add", "gp"], 2, "use r1"),
        (["--recipe", "catgan", "--catgan-categories", "2"], 2, "--catgan-categories"),
    ],
)
def test_what_cannot_be_trained_is_refused(images, call, given, code, sentence):
    got, _, err = call("train-image", "--data", images, *given, *TINY)
    assert got == code and sentence in one_sentence(err)


def test_data_without_labels_is_refused(here, call):
    (here / "plain.txt").write_text("".join(f"line {i}\n" for i in range(40)))
    code, _, err = call("train-text", "--data", "plain.txt", "--recipe", "acgan", *TINY)
    assert code == 2 and "give labelled --data" in one_sentence(err)


def test_a_resumed_run_keeps_its_labels(images, call, here):
    given = ("train-image", "--data", images, "--recipe", "sgan", "--labels-per-class", "3", *TINY, "--eval-num", "20")
    assert call(*given)[0] == 0
    assert call("train-image", "--resume", "--steps", "4")[0] == 0
    code, _, err = call("train-image", "--resume", "--labels-per-class", "4")
    assert code == 4 and "--labels-per-class 4 (the run has 3)" in one_sentence(err)
