"""Kills, stops, damages, cadences and divergence on the real command line: a few here, the full numbers when slow."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gan_core.training import checkpoint
from robustness.reliability import CHECKS, DOMAINS, Bench
from tests.command import one_sentence

FEW = {"kills": 2, "stops": 2, "damages": 8}
FULL = {"resumes": 5, "kills": 50, "stops": 10, "damages": 200, "cadences": 50}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("reliability"), seed=1)


def found_nothing_wrong(found):
    assert re.match(r"\d+: |every ", found) and not re.search(r"OTHER|SILENTLY", found), found


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("check", FEW)
def test_a_few(check, domain, bench):
    found_nothing_wrong(CHECKS[check](bench, domain, FEW[check]))


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("check", FULL)
def test_the_full_numbers(check, domain, bench):
    found_nothing_wrong(CHECKS[check](bench, domain, FULL[check]))


@pytest.mark.parametrize("command", [["train-text"], ["train-image", "--arch", "mlp"]], ids=["text", "image"])
def test_a_run_that_diverges_is_given_up_and_keeps_its_checkpoints(command, call):
    drawn = np.random.default_rng(0)
    Path("lines.txt").write_text("".join("".join(drawn.choice(list("abcd"), 8)) + "\n" for _ in range(60)))
    np.savez("images.npz", images=drawn.integers(0, 256, (40, 8, 8)).astype(np.uint8))
    data = ["--data", "lines.txt" if command[0] == "train-text" else "images.npz"]
    small = ["--width", "4", "--batch-size", "4", "--precision", "fp32", "--threads", "1", "--save-every", "1"]
    given = [
        "--recipe",
        "lsgan",
        *small,
        "--steps",
        "90",
        "--generator-lr",
        "1e25",
        "--critic-lr",
        "1e25",
        "--eval-every",
        "0",
    ]
    code, _, err = call(*command, *data, *given)
    run = next(Path("runs").iterdir())
    assert code == 5 and re.search(r"training diverged: no finite gradient in 20 steps in a row", one_sentence(err))
    found = json.loads((run / "diverged.json").read_text())
    assert found["steps in a row that were not finite"] == 20
    kept = checkpoint.newest(run / "checkpoints").folder
    nets = [load_file(file) for file in kept.glob("*.safetensors")]
    assert nets and all(torch.isfinite(value).all() for net in nets for value in net.values())
    assert call("inspect", run)[0] == 0
