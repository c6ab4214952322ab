"""What is drawn from a trained game: exactly as many as asked for, of the labels and codes asked for."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gan_core.game.prior import Prior
from gan_core.game.trained import Trained, each_class
from gan_core.networks.modes import evaluating
from gan_core.sample import Codes
from tests.toy import CPU, game, labelled, recipe_game

CODES = Codes(2, 3, 2)


class Echo(nn.Module):
    """A generator that shows what it was given."""

    def forward(self, latent):
        assert not self.training
        parts = [latent.z, *(part for part in (latent.code,) if part is not None)]
        return torch.cat([*parts, latent.y.unsqueeze(1).float()] if latent.y is not None else parts, 1)


def trained(shares=(), codes=None, batch_size=7, seed=0):
    return Trained(Echo(), None, Prior(4, shares=shares, codes=codes), seed, batch_size, CPU)


@given(st.integers(1, 40), st.integers(1, 50))
def test_each_class_has_as_many_or_one_more(num_classes, num):
    y = each_class(num, num_classes)
    counts = torch.bincount(y, minlength=num_classes)
    assert len(y) == num and (y.diff() >= 0).all() and counts.max() - counts.min() <= 1


@pytest.mark.parametrize("num", [1, 7, 20])
def test_as_many_are_drawn_as_asked_for(num):
    batches = list(trained((0.5, 0.5), CODES).draw(num))
    assert sum(map(len, batches)) == num and all(len(batch) == 7 for batch in batches[:-1])
    for batch in batches:
        assert torch.equal(batch.x[:, -1].long(), batch.y) and torch.equal(batch.x[:, 4:-1], batch.code)


def test_labels_and_codes_that_are_asked_for_change_nothing_else():
    source = trained((0.2, 0.3, 0.5), CODES)
    drawn = torch.cat([batch.x for batch in source.draw(30)])
    y = each_class(30, 3)
    asked = torch.cat([batch.x for batch in source.draw(30, y, {1: 2, 2: -0.25})])
    assert torch.equal(asked[:, -1].long(), y)
    assert torch.equal(asked[:, 7:10], torch.tensor([0.0, 0, 1]).expand(30, 3))  # the second categorical code
    assert (asked[:, 10] == -0.25).all()  # the first continuous one
    kept = [0, 1, 2, 3, 4, 5, 6, 11]
    assert torch.equal(asked[:, kept], drawn[:, kept])


def test_along_a_row_of_a_traversal_one_code_changes_and_nothing_else():
    picture = trained(codes=CODES).traversal()
    x = torch.cat([batch.x for batch in picture.batches])
    assert picture.columns == 3 and picture.num == len(x) == 3 * 4 * 3
    columns = [range(4, 7), range(7, 10), [10], [11]]
    for row, values in enumerate(x.unflatten(0, (-1, 3))):
        own = list(columns[row // 3])
        others = [i for i in range(12) if i not in own]
        assert (values[:, others] == values[:1, others]).all()
        if row // 3 < 2:
            assert torch.equal(values[:, own], torch.eye(3))
        else:
            assert values[:, own].flatten().tolist() == [-1, 0, 1]


def test_pictures_are_by_class_and_of_codes_where_there_are_some():
    assert [p.num for p in trained().pictures()] == [64]
    (by_class,) = trained((0.5, 0.25, 0.25)).pictures()
    y = torch.cat([batch.y for batch in by_class.batches])
    assert by_class.num == 24 and torch.bincount(y).tolist() == [8, 8, 8]
    (many,) = trained((0.01,) * 100).pictures()
    assert torch.cat([batch.y for batch in many.batches]).unique().tolist() == list(range(16))
    assert [p.name for p in trained(codes=CODES).pictures()] == ["", "traversal"]


def test_asking_a_critic_leaves_it_and_the_generators_of_torch_as_they_were():
    played = recipe_game("acgan")
    played.critic.net.trunk.append(nn.Dropout(0.5))
    source = Trained(played.generator.net, played.critic.net, played.prior, 0, 8, CPU, True)
    before = torch.get_rng_state()
    (sample,) = source.draw(5)
    first, second = source.heads(sample), source.heads(sample)
    assert torch.equal(first["class"], second["class"]) and first["class"].shape == (5, 4)
    assert torch.equal(before, torch.get_rng_state()) and played.critic.net.training and played.generator.net.training
    assert source.has_head("class") and not source.has_head("category")


def test_a_conditional_critic_is_asked_with_the_label():
    played = game(["nonsaturating", "concat", "infogan"], labelled())
    source = Trained(played.generator.net, played.critic.net, played.prior, 0, 8, CPU)
    (sample,) = source.draw(6, torch.arange(6) % 4)
    other = type(sample)(sample.x, (sample.y + 1) % 4, sample.code)
    assert not torch.equal(source.heads(sample)["category"], source.heads(other)["category"])


def test_a_network_is_put_back_even_after_a_failure():
    net = nn.Dropout()
    with pytest.raises(RuntimeError), evaluating(net):
        assert not net.training
        raise RuntimeError
    assert net.training


def test_what_is_collected_is_what_is_drawn():
    calls = []
    trained = Trained(
        Echo(), None, Prior(4, codes=CODES), 0, 8, CPU, between=lambda: calls.append("between"),
        collected=lambda: calls.append("collected"),
    )  # fmt: skip
    found = trained.collect(20, lambda batch: {"x": batch.x.numpy(), "num": np.full(len(batch), len(batch))})
    assert np.array_equal(found["x"], torch.cat([batch.x for batch in trained.draw(20)]).numpy())
    assert found["num"].tolist() == [8] * 16 + [4] * 4
    assert calls == ["between"] * 3 and trained.is_scorer() and calls[-1] == "collected"


def test_drawing_that_is_given_up_leaves_the_generator_as_it_was():
    def stop():
        raise KeyboardInterrupt

    for how in ({"between": stop}, {}):
        generator = Echo().train()
        trained = Trained(generator, None, Prior(4, codes=CODES), 0, 8, CPU, **how)
        with pytest.raises(KeyboardInterrupt):
            trained.collect(20, lambda batch: stop())
        assert generator.training
