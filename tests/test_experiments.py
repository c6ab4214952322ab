"""The experiments: tables say what reports say; the slow tests make the runs and hold them to their promise."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from experiments.labels import ROWS, measure, table
from experiments.plain_classifier import plain_classifier
from experiments.unrolled_ring import RING, main, score, summary
from experiments.unrolled_ring import table as ring_table

SCORES = {
    "classifier": {"accuracy": 0.905},
    "conditional": {"accuracy": 0.87654, "chance": 0.1},
    "intra_frechet": {"mean": 3.21, "floor": 0.47},
    "critic": {"error": 0.16, "chance": 0.1, "categories": 20, "majority_error": 0.3, "matched_error": 0.5},
    "codes": {
        "categories": 10,
        "samples": [{"accuracy": 0.6, "chance": 0.125}],
        "real": [{"accuracy": 0.55, "chance": 0.125}],
        "bits": {"category": 3.25},
    },
}


def test_the_table_says_what_was_measured():
    plain = {"error": 0.18, "best_error": 0.175}
    report = {"command": "C", "steps": 1234, "seconds": 90.0, "labels": SCORES, "plain": plain}
    lines = table(dict.fromkeys(ROWS, report), seed=3).splitlines()
    rows = dict(zip(ROWS, lines[2:], strict=False))
    assert all(row.startswith("| `C` |") and row.endswith("| 1,234 | 1.5 |") for row in rows.values())
    assert (
        "| 87.7% |" in rows["cgan"] and "90.5%" in rows["cgan"] and "3.21" in rows["cgan"] and "10.0%" in rows["cgan"]
    )
    assert "| 16.0% |" in rows["sgan"] and "18.0%" in rows["sgan"] and "17.5%" in rows["sgan"]
    assert "| 60.0% |" in rows["infogan"] and "55.0%" in rows["infogan"] and "12.5%" in rows["infogan"]
    assert "| 30.0% |" in rows["catgan-unsupervised"] and "50.0%" in rows["catgan-unsupervised"]
    assert torch.__version__ in lines[-1] and "--seed 3" in lines[-1]


def test_a_plain_classifier_learns_from_the_labels_that_are_kept():
    given = {"recipe": "sgan", "width": 4, "labels_per_class": 5}
    report = plain_classifier(given, steps=100)
    assert report["labels"] == 50 and report["steps"] == 100
    assert 0.2 < report["best_error"] <= report["error"] < 0.85


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cgan", "acgan", "wgan-gp-acgan", "projection"])
def test_samples_show_what_was_asked_for(name, tmp_path):
    assert measure(name, ROWS[name], tmp_path, 0)["labels"]["conditional"]["accuracy"] >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgan", "catgan"])
def test_unlabelled_images_help_a_critic(name, tmp_path):
    report = measure(name, ROWS[name], tmp_path, 0)
    assert report["labels"]["critic"]["error"] < min(report["plain"]["error"], report["plain"]["best_error"])


@pytest.mark.slow
def test_a_code_comes_to_mean_classes(tmp_path):
    (code,) = measure("infogan", ROWS["infogan"], tmp_path, 0)["labels"]["codes"]["samples"]
    assert code["accuracy"] > 3 * code["chance"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text-wgan-gp-concat", "text-wgan-gp-acgan"])
def test_sentences_say_what_was_asked_for(name, tmp_path):
    conditional = measure(name, ROWS[name], tmp_path, 0)["labels"]["conditional"]
    assert conditional["accuracy"] > 2 * conditional["chance"] and conditional["num"] == 2000


def test_a_run_that_is_there_is_read_and_no_other_of_a_like_name(tmp_path, monkeypatch):
    def made(name, accuracy):
        folder = tmp_path / "runs" / name
        (folder / "samples").mkdir(parents=True)
        labels = {"conditional": {"accuracy": accuracy}}
        summary = {"steps": 3, "seconds": 1.0, "evaluation": {"labels": labels}}
        (folder / "summary.json").write_text(json.dumps(summary))

    def train(command, **_):
        made(f"00001-{command[-1]}", 0.9)

    made("00000-text-wgan-gp-acgan-0", 0.5)
    monkeypatch.setattr(subprocess, "run", train)
    for _ in range(2):
        report = measure("wgan-gp-acgan", ROWS["wgan-gp-acgan"], tmp_path, 0)
        assert report["labels"]["conditional"]["accuracy"] == 0.9
        monkeypatch.setattr(subprocess, "run", None)


def test_modes_of_the_ring_are_counted_by_their_share_and_by_the_distance_of_samples():
    x = np.repeat(RING.modes, 100, axis=0)
    assert score(x)["modes"] == 8 and score(x)["high_quality"] == 1
    assert score(x + np.array([0.061, 0]))["modes"] == 0 and score(x + np.array([0.059, 0]))["modes"] == 8
    x[11:100], x[100:109] = RING.modes[7], 0
    found = score(x)
    assert found["modes"] == 8 and found["high_quality"] == pytest.approx(791 / 800)
    x[9:100] = RING.modes[7]  # the first mode has 9 of 800 samples, less than a tenth of its share
    assert score(x)["modes"] == 7


def test_the_rings_table_says_what_was_measured():
    shares = [[0.5, 0, 0, 0, 0, 0, 0, 0], [0, 0.5, 0.5, 0, 0, 0, 0, 0], [0, 0.9, 0, 0, 0, 0, 0, 0.001]]
    history = [{"modes": n, "high_quality": 0.25 * n, "shares": s} for n, s in zip((1, 2, 1), shares, strict=True)]
    report = {"recipe": "gan", "seed": 0, "steps": 2500, "seconds": 12.0, "history": history}
    assert summary(report) == {"modes": 1, "high_quality": 0.25, "most": 2, "ever": 3, "seconds": 12}
    better = report | {"history": [{"modes": 8, "high_quality": 0.5, "shares": [0.06] * 8}]}
    lines = ring_table([report, better, report, better | {"recipe": "unrolled"}]).splitlines()
    assert lines[2] == "| `gan` | 1, 8, 1 | 1 | 25% | 2 | 3 | 12 |" and "2,500 steps" in lines[-1]
    assert lines[3] == "| `unrolled` | 8 | 8 | 50% | 8 | 8 | 12 |"


def test_the_ring_writes_a_table_numbers_and_a_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["unrolled_ring", "--steps", "2", "--seeds", "1", "--outdir", str(tmp_path)])
    main()
    reports = json.loads((tmp_path / "results.json").read_text())
    assert [(r["recipe"], [s["step"] for s in r["history"]]) for r in reports] == [
        ("gan", [0, 1, 2]), ("unrolled", [0, 1, 2])
    ]  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "table.md", "ring.png"}
