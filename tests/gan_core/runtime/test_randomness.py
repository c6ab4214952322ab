import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_core.game.prior import BLOCK, Prior
from gan_core.runtime.randomness import derive, reseed, shuffled


@given(st.integers(1, 300), st.integers(0, 2**40), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_every_epoch_holds_every_example_once(size, seed, epoch):
    positions = np.arange(epoch * size, (epoch + 1) * size)
    assert sorted(shuffled(positions, size, seed)) == list(range(size))


def test_epochs_and_seeds_have_their_own_order():
    size = 1000
    orders = [shuffled(np.arange(size) + e * size, size, s) for e in range(3) for s in range(3)]
    assert len({o.tobytes() for o in orders}) == 9
    for order in orders:
        assert abs(np.corrcoef(order, np.arange(size))[0, 1]) < 0.15


def test_any_position_can_be_asked_for_alone():
    size = 30_000_000
    positions = np.array([0, 5, size - 1, size, 7 * size + 123])
    together = shuffled(positions, size, 3)
    assert together.tolist() == [int(shuffled(np.array([p]), size, 3)[0]) for p in positions]
    assert ((together >= 0) & (together < size)).all()


def test_purposes_and_steps_draw_apart():
    seeds = {derive(s, p, i) for s in range(5) for p in ("critic", "generator") for i in range(50)}
    assert len(seeds) == 500 and all(0 <= s < 2**63 for s in seeds)
    reseed(1, "critic", 3)
    first = torch.rand(3)
    torch.rand(100)
    reseed(1, "critic", 3)
    assert torch.equal(first, torch.rand(3))


@pytest.mark.parametrize("num", [1, 31, BLOCK, BLOCK + 1, 2 * BLOCK + 7])
@pytest.mark.parametrize("noise", ["normal", "uniform"])
def test_samples_do_not_depend_on_the_batch_size_and_are_exactly_as_many(num, noise):
    """Trap 14: floor(N / batch) * batch samples."""
    prior = Prior(5, noise)
    whole = torch.cat([latent.z for latent in prior.sequence(num, 9, num)])
    for size in (1, 7, 64, 5000):
        batches = [latent.z for latent in prior.sequence(num, 9, size)] if num < 100 or size > 1 else [whole]
        assert all(len(b) <= size or size == 1 for b in batches)
        assert torch.equal(torch.cat(batches), whole)
    assert len(whole) == num
    assert torch.equal(torch.cat([latent.z for latent in prior.sequence(num + 10, 9, 64)])[:num], whole)


def test_distributions():
    uniform = Prior(50, "uniform").draw(2000).z
    assert uniform.min() >= -1 and uniform.max() <= 1 and abs(float(uniform.std()) - 3**-0.5) < 0.01
    normal = Prior(50).draw(2000).z
    assert abs(float(normal.mean())) < 0.02 and abs(float(normal.std()) - 1) < 0.02
