"""Points: where they come from, how they are scored, and what a run of them leaves."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import linprog

from gan_core.errors import DataError, UsageError
from point_gan.domain import compared
from point_gan.pictures import extent_of
from point_gan.scores import METRICS, Real
from point_gan.scores.wasserstein import wasserstein
from point_gan.sources import GRID, RING, SHAPES, open_points, read_points
from tests.command import one_sentence

SMALL = ("--points", 200, "--eval-num", 200, "--width", 8, "--batch-size", 16, "--threads", 1, "--critic-steps", 1)


class TestShapes:
    def test_the_ring(self):
        assert np.allclose(np.linalg.norm(RING, axis=1), 2) and len(RING) == 8
        points = open_points("8gaussians", 40_000, 0.1, 0)
        for mode in range(8):
            own = points.train[points.y == mode]
            assert len(own) == pytest.approx(5_000, rel=0.06)
            assert np.allclose(own.mean(0), RING[mode], atol=2e-3) and own.std(0) == pytest.approx(0.02, rel=0.05)

    def test_the_grid(self):
        assert sorted(map(tuple, GRID)) == [(x, y) for x in range(-2, 3) for y in range(-2, 3)]
        points = open_points("25gaussians", 25_000, 0.1, 0)
        assert (points.train - points.modes[points.y]).std() == pytest.approx(0.05, rel=0.02)

    def test_the_swiss_roll_lies_on_its_spiral(self):
        points = open_points("swiss-roll", 5_000, 0.1, 0).train * 7.5
        radius = np.linalg.norm(points, axis=1)
        turned = (radius - np.arctan2(points[:, 1], points[:, 0])) / (2 * np.pi)
        assert np.abs(turned - turned.round()).mean() < 0.05  # noise of 0.25 off r = t
        assert radius.min() > 1.5 * np.pi - 1.5 and radius.max() < 4.5 * np.pi + 1.5

    def test_the_moons(self):
        points = open_points("moons", 5_000, 0.1, 0)
        centres = np.where(points.y[:, None] == 0, [-0.5, -0.25], [0.5, 0.25])
        distance = np.linalg.norm(points.train - centres, axis=1)
        assert distance.mean() == pytest.approx(1, abs=0.01) and distance.std() == pytest.approx(0.05, rel=0.1)

    @pytest.mark.parametrize("name", SHAPES)
    def test_drawn_by_the_seed_and_held_out_apart(self, name):
        one, same, other = (open_points(name, 500, 0.2, seed) for seed in (0, 0, 1))
        assert one.fingerprint == same.fingerprint != other.fingerprint
        assert len(one.train) == 500 and len(one.heldout) == 125
        assert not {tuple(p) for p in one.train.tolist()} & {tuple(p) for p in one.heldout.tolist()}


class TestFiles:
    @pytest.mark.parametrize("text", ["x,y\n1,2\n3,4\n", "1 2\n3  4\n", "a;b\n1;2\n\n3;4\n", "\ufeff1\t2\n3\t4"])
    def test_csv(self, text, here):
        more = "".join(text.splitlines(True)[-1].strip() + "\n" for _ in range(10))
        Path("points.csv").write_text(text.rstrip("\n") + "\n" + more)
        np.testing.assert_array_equal(read_points("points.csv")[:2], [[1, 2], [3, 4]])

    def test_in_the_units_of_the_data(self, here):
        values = np.random.default_rng(0).normal([1000, -5], [30, 2], (400, 2))
        np.save("points.npy", values)
        points = open_points("points.npy", 0, 0.25, 0)
        assert len(points.train) == 300 and np.abs(points.train).max() < 6 and not len(points.modes)
        found = np.concatenate([points.train, points.heldout]) * points.scale + points.centre
        np.testing.assert_allclose(sorted(found[:, 0]), sorted(values[:, 0]), rtol=1e-5)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.csv", b"1,2\n3,x\n", r"row 2 \(3,x\) is not two numbers"), ("a.csv", b"1,2,3\n", "is not two numbers"),
            ("a.csv", b"1,nan\n" * 20, "not finite"), ("a.csv", b"1,2\n" * 3, "fewer than 10"), ("a.csv", b"", "has 0"),
            ("a.csv", b"\xff\xfe\x00", "neither .npy nor text"), ("a.npy", b"\x93NUMPY", r"no \.npy file of numbers"),
            ("a.npy", b"", "no .npy file"), ("a.csv", b"1,2\n" * 20, "a column with one value only"),
        ],
    )  # fmt: skip
    def test_unusable(self, name, content, message, here):
        Path(name).write_bytes(content)
        with pytest.raises(DataError, match=message) as error:
            open_points(name, 0, 0.1, 0)
        assert "\n" not in str(error.value)

    def test_an_array_of_another_form_or_with_a_pickle(self, here):
        np.save("a.npy", np.zeros((20, 3)))
        with pytest.raises(DataError, match=r"holds float64 \(20, 3\), and points are numbers \(N, 2\)"):
            read_points("a.npy")
        np.save("a.npy", np.array([{}, {}]), allow_pickle=True)
        with pytest.raises(DataError, match=r"no \.npy file of numbers"):
            read_points("a.npy")

    def test_a_name_that_does_not_exist(self, here):
        with pytest.raises(UsageError, match="choose from 8gaussians, 25gaussians, swiss-roll, moons"):
            read_points("nine")


class TestScores:
    def test_wasserstein_is_optimal_transport(self):
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(7, 2)), rng.normal(1, 2, size=(7, 2))
        costs = np.linalg.norm(a[:, None] - b[None], axis=2)
        rows = [np.kron(np.eye(7)[i], np.ones(7)) for i in range(7)] + [np.tile(np.eye(7)[i], 7) for i in range(7)]
        exact = linprog(costs.ravel(), A_eq=np.array(rows), b_eq=np.full(14, 1 / 7)).fun
        assert wasserstein(a, b) == pytest.approx(exact, rel=1e-9)
        assert wasserstein(a, a[::-1]) == 0 and wasserstein(a, a + np.array([3, 4])) == pytest.approx(5)

    def test_modes(self):
        """70 samples on mode 0, 20 on mode 1, 1 on mode 2, 9 far from all and nearest to mode 3."""
        samples = np.concatenate([np.repeat(RING[:3], [70, 20, 1], 0), np.repeat(RING[3:4] + 0.1, 9, 0)])
        found = {m.name: m.function(samples, Real(RING, RING, 0.02)) for m in METRICS if m.name != "Wasserstein-1"}
        assert found["modes covered"] == 2 and found["high quality"] == pytest.approx(0.91)
        shares = np.array([0.7, 0.2, 0.01, 0.09])
        assert found["reverse KL"] == pytest.approx(sum(p * math.log(p * 8) for p in shares))

    def test_perfect_samples_score_as_real_ones_do(self):
        points, more = (open_points("8gaussians", 5_000, 0.5, seed) for seed in (0, 1))
        scores = compared(more.train[:2_500], points)["scores"]
        assert scores["modes covered"]["samples"] == scores["modes covered"]["floor"] == 8
        assert scores["high quality"]["samples"] == pytest.approx(1 - math.exp(-4.5), abs=0.01)  # Rayleigh within 3
        for name in ("reverse KL", "Wasserstein-1"):
            assert scores[name]["samples"] < 2 * scores[name]["floor"] + 0.05

    def test_data_without_modes_has_no_scores_of_them(self):
        points = open_points("swiss-roll", 500, 0.2, 0)
        assert set(compared(points.train[:100], points)["scores"]) == {"Wasserstein-1"}


def test_a_picture_shows_all_real_points():
    low, high = extent_of(RING)
    assert (low < RING.min(0)).all() and (high > RING.max(0)).all() and np.ptp(high - low) == 0


class TestCommands:
    def test_train_sample_and_score(self, call):
        code, out, _ = call("train-points", *SMALL, "--steps", 4, "--sample-every", 2, "--save-every", 2)
        assert code == 0 and "8gaussians (a ring of 8 Gaussians" in out and "modes covered" in out and "real" in out
        run = Path("runs/00000-points-wgan-gp")
        assert {p.name for p in (run / "samples").iterdir()} == {"real.png", "000002.png", "000004.png", "progress.gif"}
        with Image.open(run / "samples/000004.png") as image:
            colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
            assert (
                image.size == (450, 450) and len(np.unique(colours, axis=0)) > 100
            )  # a surface lies behind the points
        with Image.open(run / "samples/progress.gif") as image:
            assert image.n_frames == 2
        summary = json.loads((run / "summary.json").read_text())
        assert summary["domain"] == "points" and summary["parameters"]["critic"] == 3 * 8 + 2 * 72 + 9
        assert set(summary["evaluation"]["scores"]) == {"modes covered", "high quality", "reverse KL", "Wasserstein-1"}
        for form in ("npy", "csv", "png"):
            assert call("sample", run, "--num", 30, "--out", f"out.{form}")[0] == 0
        table = np.loadtxt("out.csv", delimiter=",", skiprows=1)
        np.testing.assert_allclose(table, np.load("out.npy"), rtol=1e-5, atol=1e-5)
        assert table.shape == (30, 2)
        assert call("sample", run, "--num", 2)[1].count("\n") == 0  # a picture, as no other form was asked for
        code, out, _ = call("evaluate", run, "--num", 100, "--json")
        assert code == 0 and json.loads(out)["num_samples"] == 100
        code, out, _ = call("evaluate", "out.npy", "--data", "8gaussians", "--json")
        assert code == 0 and json.loads(out)["scores"]["modes covered"]["floor"] == 8
        assert call("inspect", run)[0] == 0

    def test_a_users_file_comes_back_in_its_units(self, call):
        values = np.random.default_rng(0).normal([500, 20], [10, 3], (300, 2))
        np.savetxt("mine.csv", values, delimiter=",", header="length,width", comments="")
        assert call("train-points", "--data", "mine.csv", *SMALL, "--steps", 2, "--sample-every", 0)[0] == 0
        assert call("sample", "runs/00000-points-wgan-gp", "--num", 50, "--out", "out.npy")[0] == 0
        assert np.abs(np.load("out.npy").mean(0) - [500, 20]).max() < 60

    @pytest.mark.parametrize("recipe", ["gan", "began", "cgan", "acgan", "projection", "catgan", "infogan", "r3gan"])
    def test_recipes_with_energies_labels_and_codes(self, recipe, call):
        code, _, err = call("train-points", "--recipe", recipe, *SMALL, "--steps", 1)
        assert code == 0, err

    @pytest.mark.parametrize(
        ("args", "code", "words"),
        [
            (("train-points", "--data", "nine"), 2, "8gaussians"),
            (("train-points", "--data", "nine.csv"), 3, "nine.csv"),
            (("train-points", "--recipe", "cgan", "--data", "swiss-roll"), 2, "labels"),
            (("train-points", "--add", "gp", "--recipe", "wgan-gp"), 2, "gp"),
            (("evaluate", "nine.npy", "--data", "8gaussians"), 3, "nine.npy"),
            (("evaluate", "nine.npy"), 2, "--data is missing"),
        ],
    )
    def test_misuse(self, args, code, words, call):
        given, _, err = call(*args, *(SMALL if args[0] == "train-points" else ()))
        assert given == code and words in one_sentence(err), err
