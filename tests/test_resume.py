"""Every recipe, on text, images and points: a run that is stopped and resumed ends as one that was not, bit for bit."""

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gan_core.recipes.published import RECIPES
from gan_core.training import checkpoint
from gan_core.training.run import read_lines

STEPS = 9
SMALL = [
    "--threads", "1", "--width", "4", "--critic-steps", "2", "--decay-steps", str(STEPS),
    "--ema", "0.9", "--log-every", "2", "--sample-every", "0", "--save-every", "0", "--keep", "1",
]  # fmt: skip
TEXT = ["train-text", "--data", "lines.txt", "--depth", "1", "--seq-len", "8", "--batch-size", "64"]
POINTS = ["train-points", "--points", "200", "--eval-num", "100", "--batch-size", "8"]
IMAGE = ["train-image", "--data", "images.npz", "--eval-num", "8", "--batch-size", "8"]


def ended(run):
    """All that a run leaves that does not tell the time: networks, state, losses and scores."""
    folder = checkpoint.newest(run / "checkpoints").folder
    state = torch.load(folder / "state.pt", weights_only=True)
    del state["seconds"]
    nets = {file.name: load_file(file) for file in sorted(folder.glob("*.safetensors"))}
    logged = [json.loads(line) for line in read_lines(run / "metrics.jsonl")]
    losses = [{k: v for k, v in line.items() if k not in ("seconds", "it/s")} for line in logged if "it/s" in line]
    return {"nets": nets, "state": state, "losses": losses, "scores": logged[-1]["scores"]}


def assert_same(a, b, where=""):
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for index, (one, other) in enumerate(zip(a, b, strict=True)):
            assert_same(one, other, f"{where}/{index}")
    elif isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b), where
    else:
        assert a == b, where


@pytest.mark.parametrize("stops", [1, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("command", [TEXT, IMAGE, POINTS], ids=["text", "image", "points"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_stopped_at_random_steps_ends_as_one_that_was_not(recipe, command, stops, data, call):
    command = [*command, "--recipe", recipe, *SMALL]
    assert call(*command, "--name", "straight", "--steps", STEPS)[0] == 0
    first, *others = sorted(random.Random(f"{recipe} {command[0]}").sample(range(1, STEPS), stops))
    assert call(*command, "--name", "stopped", "--steps", first)[0] == 0
    for step in [*others, STEPS]:
        code, out, _ = call(command[0], "--resume", "runs/00001-stopped", "--steps", step)
        assert code == 0 and "resuming at step" in out
    assert_same(ended(Path("runs/00001-stopped")), ended(Path("runs/00000-straight")))
