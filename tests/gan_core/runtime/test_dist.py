"""Several processes train as one: the same weights, averages and controllers, whatever the recipe and the domain."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributed import TCPStore

from gan_core.errors import UsageError
from gan_core.recipes.published import RECIPES
from gan_core.runtime import dist
from image_gan.scores import classifier
from tests.gan_core.runtime import evaluate_together
from tests.gan_core.runtime.play_together import main

ROOT = Path(__file__).parents[3]
# Of each kind that sees more than means: batch norm, controllers, pairs and a std over the batch, codes, labels.
COUPLED = {
    "text": ["wgan-gp", "began", "ebgan", "catgan"],
    "image": ["dcgan", "unrolled", "dragan", "infogan", "sgan", "projection"],
    "points": ["wgan-lp", "r3gan"],
}


def together(processes, *args, module="play_together"):
    """Run a module of tests in so many processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "-m", f"tests.gan_core.runtime.{module}", *args],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def agree(domain, recipes):
    together(2, domain, "two.pt", *recipes)
    before = torch.get_default_dtype()
    try:
        main(domain, "one.pt", *recipes)
    finally:
        torch.set_default_dtype(before)
    one, two = (torch.load(name, weights_only=True) for name in ("one.pt", "two.pt"))
    assert set(one) == set(recipes)
    for recipe in recipes:
        assert one[recipe].keys() == two[recipe].keys()
        for name, value in one[recipe].items():
            torch.testing.assert_close(two[recipe][name], value, rtol=1e-5, atol=1e-5, msg=f"{recipe} {name}")


@pytest.mark.parametrize("domain", COUPLED)
def test_two_processes_with_half_the_batch_each_equal_one(domain, data):
    agree(domain, COUPLED[domain])


@pytest.mark.slow
@pytest.mark.parametrize("domain", COUPLED)
def test_two_processes_equal_one_for_every_recipe(domain, data):
    agree(domain, list(RECIPES))


def test_restarts_on_several_machines_are_refused(monkeypatch):
    for name in ("WORLD_SIZE", "GROUP_WORLD_SIZE", "TORCHELASTIC_MAX_RESTARTS"):
        monkeypatch.setenv(name, "2")
    with pytest.raises(UsageError, match="--max-restarts"), dist.processes(torch.device("cpu")):
        pass


def test_processes_that_are_started_again_do_not_listen_to_those_before():
    """torchrun keeps one store for all its restarts: who is early must not take the address of one that is no more."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    join = "with dist.processes(torch.device('cpu')): print(dist.largest(dist.rank()))"
    code = f"import torch; from gan_core.runtime import dist\n{join}"

    def start(rank, restarts):
        about = {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
        about |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": str(restarts)}
        environment = os.environ | about
        return subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )

    for restarts, late in ((0, 0.0), (1, 3.0)):
        first = start(0, restarts)
        time.sleep(late)  # the first finds what the second of before has left
        both = [first, start(1, restarts)]
        try:
            assert [process.communicate(timeout=60)[0] for process in both] == ["1\n", "1\n"]
        finally:
            for process in both:
                process.kill()


@pytest.mark.parametrize("numbers", ["13", pytest.param("01234", marks=pytest.mark.slow)])
def test_two_processes_give_the_scores_of_one(data, monkeypatch, numbers):
    """Exactly: of text and images, of labels and codes, where shares are uneven too."""
    monkeypatch.setattr(classifier, "STEPS", 20)
    together(2, "scores", "two.json", *numbers, module="evaluate_together")
    evaluate_together.main("one.json", *numbers)
    one, two = (json.loads(Path(name).read_text()) for name in ("one.json", "two.json"))
    assert one == two and len(one) == len(numbers)
    for number, found in zip(numbers, one, strict=True):
        assert ("labels" in found) == (number in "134")
        assert number != "3" or found["labels"]["intra_frechet"]["per_class"]


def test_a_signal_while_samples_are_drawn_or_scored_stops_all_processes(here):
    """Nobody waits for a process that has gone: in the middle of a run, at its last step and after it."""
    together(2, "stops", ".", module="evaluate_together")
    first, second = (json.loads(Path(f"{rank}.json").read_text()) for rank in (0, 1))
    for number, case in enumerate([(4, 143), (6, 143), (6, 143)] * 3):
        assert first[number] == [*case, False]
        if number == 8:  # the first one scores alone after the last step: the other one has ended
            assert second[number][0] == 6
        else:
            assert second[number][:2] == [*case]
    assert [found[:2] for found in (*first[9:], *second[9:])] == [[6, 0]] * 6
    assert all(scored for _, _, scored in first[9:])


def test_rows_of_processes_are_joined_in_order():
    arrays = {"x": np.arange(6, dtype=np.float32).reshape(3, 2), "y": np.array([5, 6, 7], np.int64)}
    other = {"x": np.array([[9, 8]], np.float32), "y": np.array([4], np.int64)}
    shares = [b"".join(a.tobytes() for a in part.values()) for part in (arrays, {}, other)]
    found = dist.joined_shares(arrays, [np.frombuffer(share, np.uint8) for share in shares])
    assert found["x"].tolist() == [[0, 1], [2, 3], [4, 5], [9, 8]] and found["y"].tolist() == [5, 6, 7, 4]
    assert dist.to_first(arrays) is arrays


def test_alone_nothing_changes():
    x = torch.randn(4, 3)
    assert dist.gathered(x) is x and dist.own(8) == slice(0, 8) and (dist.size(), dist.rank()) == (1, 0)
    torch.manual_seed(0)
    drawn = dist.drawn(torch.rand, 4, 3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(4, 3))


def test_a_batch_that_cannot_be_shared_out_is_refused(monkeypatch):
    monkeypatch.setattr(dist, "size", lambda: 3)
    dist.check_batch(6)
    with pytest.raises(UsageError, match="--batch-size 64 does not divide evenly among 3 processes"):
        dist.check_batch(64)
