"""Several processes train as one: the same weights, averages and controllers, whatever the recipe and the domain."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gan_core import dist
from gan_core.errors import UsageError
from gan_core.recipes import RECIPES
from tests.gan_core.play_together import main

ROOT = Path(__file__).parents[2]
# Of each kind that sees more than means: batch norm, controllers, pairs and a std over the batch, codes, labels.
COUPLED = {
    "text": ["wgan-gp", "began", "ebgan", "catgan"],
    "image": ["dcgan", "dragan", "infogan", "sgan", "projection"],
}


def together(processes, *args):
    """Run play_together in so many processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "-m", "tests.gan_core.play_together", *args], env=environment, capture_output=True, text=True
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
