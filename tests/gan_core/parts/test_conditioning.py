"""How labels and codes reach the networks, against formulas; and what the generator starts from."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from gan_core.game.prior import BLOCK, Prior
from gan_core.networks.conditional import ConcatEntry, Generator, LabelEntry, ProjectionEntry, one_hot
from gan_core.networks.critic import ScoringCritic, judge, judge_both
from gan_core.parts.constraints import SpectralNorm
from gan_core.sample import Codes, Latent, Sample
from tests.toy import CPU, ToyDomain, game, labelled

SHAPES = [(5,), (2, 3), (2, 3, 4)]  # of one sample: rank 2, 3 and 4 with the batch
WAYS = ["concat", "projection"]


def tensor(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def critic_of(way, shape, classes=3, features=4):
    """A critic of that way, in float64."""
    channels = shape[0] + (classes if way == "concat" else 0)
    trunk = nn.Sequential(nn.Flatten(), nn.Linear(channels * int(np.prod(shape[1:])), features), nn.Tanh())
    entry = {"concat": lambda: ConcatEntry(classes), "projection": lambda: ProjectionEntry(classes, features)}[way]()
    return ScoringCritic(trunk, features, {}, labels=entry).double()


class TestWays:
    def test_one_hot_has_a_row_of_zeros_for_an_unknown_label(self):
        wanted = [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
        rows = one_hot(torch.tensor([2, -1, 0]), 3)
        assert rows.tolist() == wanted and rows.dtype == torch.float32

    def test_no_entry_changes_nothing(self):
        x = tensor(4, 2, 3)
        assert LabelEntry().enter(x, None) is x and LabelEntry().bonus(x, torch.zeros(4)) == 0

    @pytest.mark.parametrize("shape", SHAPES)
    def test_concat_adds_a_plane_a_class(self, shape):
        x, y = tensor(4, *shape), torch.tensor([2, 0, -1, 1])
        seen = ConcatEntry(3).enter(x, y).numpy()
        assert seen.shape == (4, shape[0] + 3, *shape[1:])
        np.testing.assert_array_equal(seen[:, : shape[0]], x.numpy())
        for i in range(4):
            for k in range(3):
                assert (seen[i, shape[0] + k] == float(y[i] == k)).all()

    @pytest.mark.parametrize("shape", SHAPES)
    def test_a_concat_critic_equals_one_whose_input_is_joined_by_hand(self, shape):
        critic, x, y = critic_of("concat", shape), tensor(4, *shape), torch.tensor([2, 0, 2, 1])
        planes = np.zeros((4, 3, *shape[1:]))
        planes[np.arange(4), y.numpy()] = 1
        joined = torch.tensor(np.concatenate([x.numpy(), planes], axis=1))
        by_hand = critic.heads["score"](critic.trunk(joined)).squeeze(1)
        torch.testing.assert_close(judge(critic, Sample(x, y)).score, by_hand, rtol=1e-14, atol=0)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_projection_adds_the_inner_product_of_features_and_embedding(self, shape):
        critic, x, y = critic_of("projection", shape), tensor(4, *shape), torch.tensor([2, 0, -1, 1])
        phi, v = critic.trunk(x).detach().numpy(), critic.labels.embed.weight.detach().numpy()
        head = critic.heads["score"]
        psi = phi @ head.weight.detach().numpy()[0] + float(head.bias.detach())
        wanted = [psi[i] + (phi[i] @ v[y[i]] if y[i] >= 0 else 0.0) for i in range(4)]
        np.testing.assert_allclose(judge(critic, Sample(x, y)).score.detach().numpy(), wanted, rtol=1e-13)

    def test_an_unknown_label_trains_no_embedding(self):
        critic, x = critic_of("projection", (2, 3)), tensor(4, 2, 3)
        judge(critic, Sample(x, torch.tensor([-1, -1, 1, -1]))).score.sum().backward()
        slope = critic.labels.embed.weight.grad
        assert torch.equal(slope[[0, 2]], torch.zeros(2, 4, dtype=torch.float64)) and (slope[1] != 0).all()

    @pytest.mark.parametrize("way", WAYS)
    def test_another_label_is_another_score(self, way):
        critic, x = critic_of(way, (2, 3)), tensor(4, 2, 3)
        scores = [judge(critic, Sample(x, torch.full((4,), k))).score for k in range(3)]
        assert all((scores[a] != scores[b]).all() for a, b in ((0, 1), (0, 2), (1, 2)))

    @pytest.mark.parametrize("way", WAYS)
    def test_scores_depend_on_their_own_sample_and_label_alone(self, way):
        critic, x, y = critic_of(way, (2, 3)), tensor(4, 2, 3).requires_grad_(), torch.tensor([2, 0, 2, 1])
        scores = judge(critic, Sample(x, y)).score
        for i in range(4):
            alone = judge(critic, Sample(x[i : i + 1], y[i : i + 1])).score
            torch.testing.assert_close(alone[0], scores[i], rtol=1e-13, atol=1e-15)
            (slope,) = torch.autograd.grad(scores[i], x, retain_graph=True)
            assert (slope[i] != 0).any() and (slope[torch.arange(4) != i] == 0).all()

    @pytest.mark.parametrize("way", WAYS)
    def test_the_gradient_is_by_the_sample_alone_and_equals_autograds(self, way):
        critic, x, y = critic_of(way, (2, 3)), tensor(4, 2, 3).requires_grad_(), torch.tensor([2, 0, 2, 1])
        (by_hand,) = torch.autograd.grad(judge(critic, Sample(x, y)).score.sum(), x)
        gradient = judge(critic, Sample(x.detach(), y), gradient=True).gradient
        assert gradient.shape == x.shape
        torch.testing.assert_close(gradient, by_hand, rtol=1e-13, atol=1e-15)

    def test_the_gradient_of_critics_without_a_trunk_is_their_weights(self):
        """w where the label only moves the score, and w + V_y where it is projected on."""
        x, y = tensor(4, 2, 3), torch.tensor([2, 0, -1, 1])
        critic = ScoringCritic(nn.Flatten(), 6, {}, labels=ProjectionEntry(3, 6)).double()
        w, v = critic.heads["score"].weight.detach()[0], critic.labels.embed.weight.detach()
        wanted = torch.stack([w + v[2], w + v[0], w, w + v[1]]).view(4, 2, 3)
        torch.testing.assert_close(judge(critic, Sample(x, y), gradient=True).gradient, wanted, rtol=1e-14, atol=0)
        critic = ScoringCritic(nn.Flatten(), 15, {}, labels=ConcatEntry(3)).double()
        wanted = critic.heads["score"].weight.detach()[0, :6].view(2, 3).expand(4, 2, 3)
        torch.testing.assert_close(judge(critic, Sample(x, y), gradient=True).gradient, wanted, rtol=1e-14, atol=0)

    @pytest.mark.parametrize("way", WAYS)
    def test_joined_verdicts_keep_each_its_labels(self, way):
        critic = critic_of(way, (2, 3))
        real, fake = (Sample(tensor(4, 2, 3), torch.tensor(y)) for y in ([2, 0, 2, 1], [1, 1, 0, 2]))
        for joined, sample in zip(judge_both(critic, real, fake), (real, fake), strict=True):
            torch.testing.assert_close(joined.score, judge(critic, sample).score, rtol=1e-13, atol=1e-15)

    def test_an_autoencoder_is_shown_the_label_and_reconstructs_the_sample(self):
        critic = game(["began", "concat"], labelled()).critic.net
        x = torch.randn(3, 2, 3)
        scores = []
        for k in range(4):
            y = torch.full((3,), k)
            code = critic.encode(critic.trunk(torch.cat([x, one_hot(y, 4).unsqueeze(2).expand(-1, -1, 3)], 1)))
            error = (x - critic.decoder(code)).abs().mean((1, 2))
            scores.append(judge(critic, Sample(x, y)).score)
            torch.testing.assert_close(scores[-1], error)
        assert not torch.equal(scores[0], scores[1])


class TestGame:
    def test_a_spectral_norm_holds_the_embedding(self):
        played = game(["hinge", "spectral", "projection"], labelled())
        net = played.critic.net
        SpectralNorm(iterations=500).enforce(net)
        weight = net.labels.embed.weight.detach().numpy()
        assert weight.shape == (4, 16)
        assert np.linalg.svd(weight, compute_uv=False)[0] == pytest.approx(1, abs=1e-5)
        assert np.linalg.norm(net.labels.embed.parametrizations.weight.original.detach()) != pytest.approx(1, abs=1e-2)
        played.critic_step(labelled().batch(np.arange(8), CPU))
        assert net.labels.embed.parametrizations.weight.original.grad.abs().sum() > 0

    @pytest.mark.parametrize("way", WAYS)
    def test_pairs_and_what_lies_between_them_have_one_label(self, way):
        domain = labelled()
        played = game(["wasserstein", "gp", "r1", "r2", way], domain)
        seen = []
        played.critic.net.register_forward_hook(lambda module, inputs, output: seen.append(inputs))
        real = domain.batch(np.arange(8), CPU)
        played.critic_step(real)
        assert len(set(real.y.tolist())) > 2
        joined, between = seen
        assert torch.equal(joined[0][:8], real.x) and torch.equal(joined[1], torch.cat([real.y, real.y]))
        assert torch.equal(between[1], real.y) and between[0].shape == real.x.shape
        e = ((between[0] - joined[0][8:]) / (real.x - joined[0][8:])).flatten(1)
        torch.testing.assert_close(e, e[:, :1].expand_as(e), rtol=1e-3, atol=1e-3)  # between the two of its own pair

    def test_the_generator_makes_what_it_is_told(self):
        domain = labelled()
        played = game(["hinge", "projection"], domain)
        told = []
        played.generator.net.register_forward_hook(lambda module, inputs, output: told.append(inputs[0].y))
        real = domain.batch(np.arange(8), CPU)
        played.critic_step(real)
        assert torch.equal(told[0], real.y)
        played.generator_step(64, CPU)
        assert set(told[1].tolist()) == {0, 1, 2, 3}

    def test_labels_that_are_hidden_are_drawn_for_the_pair(self):
        domain = labelled(hidden=0.5)
        played = game(["hinge", "acgan"], domain)
        told = []
        played.generator.net.register_forward_hook(lambda module, inputs, output: told.append(inputs[0].y))
        real = domain.batch(np.arange(64), CPU)
        played.critic_step(real)
        shown = real.y >= 0
        assert 20 < int(shown.sum()) < 44
        assert torch.equal(told[0][shown], real.y[shown]) and (told[0] >= 0).all()
        assert len(set(told[0][~shown].tolist())) == 4

    def test_in_a_step_with_reals_the_pair_has_one_label_too(self):
        domain = labelled()
        played = game(["relativistic", "projection"], domain)
        seen = []
        played.critic.net.register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
        real = domain.batch(np.arange(8), CPU)
        played.generator_step(8, CPU, real)
        assert torch.equal(seen[0], torch.cat([real.y, real.y]))

    def test_a_critic_that_is_shown_no_labels_judges_as_without_them(self):
        with_labels, without = game(["wasserstein", "gp"], labelled()), game(["wasserstein", "gp"])
        terms = [played.critic_step(domain.batch(np.arange(8), CPU)) for played, domain in (
            (with_labels, labelled()), (without, ToyDomain()))]  # fmt: skip
        assert {name: float(value) for name, value in terms[0].items()} == {n: float(v) for n, v in terms[1].items()}


class Recorder(nn.Module):
    """A network that returns what it is given."""

    def forward(self, row, y=None):
        self.row, self.y = row, y
        return row


class TestGenerator:
    def test_it_joins_noise_code_and_label_in_that_order(self):
        z, code, y = torch.randn(2, 3), torch.tensor([[0.0, 1.0, 0.3], [1.0, 0.0, -0.6]]), torch.tensor([2, 0])
        row = Generator(Recorder(), 3)(Latent(z, y, code))
        np.testing.assert_array_equal(row, np.concatenate([z, code, np.eye(3, dtype=np.float32)[[2, 0]]], axis=1))
        assert torch.equal(Generator(Recorder(), 3)(Latent(z, y)), row[:, [0, 1, 2, 6, 7, 8]])
        assert torch.equal(Generator(Recorder())(Latent(z, None, code)), row[:, :6])
        assert torch.equal(Generator(Recorder())(Latent(z)), z)

    def test_labels_that_enter_by_normalisation_are_not_in_the_row(self):
        net = Recorder()
        z, y = torch.randn(2, 3), torch.tensor([2, 0])
        assert torch.equal(Generator(net, 3, by_norm=True)(Latent(z, y)), z) and net.y is y

    def test_the_builder_gives_it_the_width_and_the_labels(self):
        plain = game(["hinge", "projection", "infogan"], labelled()).generator.net
        assert plain.net[0].in_features == 4 + 12 + 4
        tilted = game(["hinge", "projection"], labelled(labels_by_norm=True)).generator.net
        z = torch.randn(1, 4)
        made = [tilted(Latent(z, torch.tensor([k]))) for k in range(4)]
        assert tilted.net.net[0].in_features == 4 and not torch.equal(made[0], made[1])


SHARES = (0.1, 0.2, 0.7)
CODES = Codes(2, 3, 2)


class TestPrior:
    @pytest.mark.parametrize("drawn", [
        lambda prior, n: prior.draw(n).y,
        lambda prior, n: torch.cat([latent.y for latent in prior.sequence(n, 0, 4096)]),
    ])  # fmt: skip
    def test_labels_have_the_shares_of_the_data(self, drawn):
        n = 20_000
        counts = np.bincount(drawn(Prior(2, "normal", SHARES), n), minlength=3)
        assert counts.sum() == n and stats.chisquare(counts, np.array(SHARES) * n).pvalue > 1e-3

    def test_labels_are_taken_over_where_they_are_known(self):
        prior = Prior(2, "normal", SHARES)
        like = torch.arange(3000) % 4 - 1
        y = prior.draw(3000, like=like).y
        assert torch.equal(y[like >= 0], like[like >= 0])
        counts = np.bincount(y[like < 0], minlength=3)
        assert counts.sum() == 750 and stats.chisquare(counts, np.array(SHARES) * 750).pvalue > 1e-3
        assert Prior(2).draw(8, like=torch.zeros(8)).y is None

    @pytest.mark.parametrize("noise", ["normal", "uniform"])
    def test_the_noise_is_the_same_with_and_without_labels_and_codes(self, noise):
        priors = [Prior(3, noise, shares, codes) for shares in ((), SHARES) for codes in (None, CODES)]
        drawn = []
        for prior in priors:
            torch.manual_seed(3)
            drawn.append((prior.draw(5).z, torch.cat([latent.z for latent in prior.sequence(1500, 3, 7)])))
        assert all(torch.equal(a, b) for other in drawn[1:] for a, b in zip(drawn[0], other, strict=True))
        labels = [torch.cat([latent.y for latent in prior.sequence(1500, 3, 7)]) for prior in priors[2:]]
        assert torch.equal(*labels)

    @given(st.integers(1, 2600), st.integers(1, 2600), st.integers(0, 3))
    @settings(max_examples=25, deadline=None)
    def test_row_i_of_a_sequence_depends_on_the_seed_and_i_alone(self, num, batch_size, seed):
        prior = Prior(3, "normal", SHARES, CODES)
        batches = list(prior.sequence(num, seed, batch_size))
        assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
        assert 1 <= len(batches[-1]) <= batch_size and sum(map(len, batches)) == num
        (whole,) = prior.sequence(2 * BLOCK + 600, seed, 2 * BLOCK + 600)
        for part in ("z", "y", "code"):
            assert torch.equal(torch.cat([getattr(b, part) for b in batches]), getattr(whole, part)[:num])

    def test_two_seeds_and_two_blocks_differ(self):
        prior = Prior(3, "normal", SHARES, CODES)
        (one,), (other,) = prior.sequence(2 * BLOCK, 0, 2 * BLOCK), prior.sequence(2 * BLOCK, 1, 2 * BLOCK)
        for part in ("z", "y", "code"):
            a, b = getattr(one, part), getattr(other, part)
            assert not torch.equal(a, b) and not torch.equal(a[:BLOCK], a[BLOCK:])

    def test_a_sequence_takes_the_labels_and_codes_that_it_is_given(self):
        prior = Prior(3, "normal", SHARES, CODES)
        y, code = torch.arange(1500) % 3, CODES.draw(1500)
        given, drawn = list(prior.sequence(1500, 0, 400, y, code)), list(prior.sequence(1500, 0, 400))
        assert torch.equal(torch.cat([b.y for b in given]), y) and torch.equal(torch.cat([b.code for b in given]), code)
        assert all(torch.equal(a.z, b.z) for a, b in zip(given, drawn, strict=True))

    def test_drawing_leaves_the_default_generator_alone(self):
        before = torch.get_rng_state()
        list(Prior(3, "normal", SHARES, CODES).sequence(100, 0, 7))
        assert torch.equal(before, torch.get_rng_state())


class TestCodes:
    def test_they_are_one_hot_and_then_levels(self):
        codes = CODES.draw(3000)
        assert codes.shape == (3000, CODES.width) == (3000, 2 * 3 + 2) and CODES.num == 4
        for c in range(2):
            one = codes[:, 3 * c : 3 * c + 3]
            assert set(one.unique().tolist()) == {0.0, 1.0} and (one.sum(1) == 1).all()
            assert stats.chisquare(one.sum(0).numpy()).pvalue > 1e-3
            assert torch.equal(CODES.categories_of(codes)[:, c], one.argmax(1))
        levels = codes[:, 6:].numpy()
        assert stats.kstest(levels.ravel(), stats.uniform(-1, 2).cdf).pvalue > 1e-3
        assert abs(np.corrcoef(levels.T)[0, 1]) < 0.1

    def test_one_of_them_can_be_fixed(self):
        codes = CODES.draw(50)
        before = codes.clone()
        second = CODES.fixed(codes, 1, 2.0)
        assert torch.equal(codes, before) and (CODES.categories_of(second)[:, 1] == 2).all()
        assert (second[:, 3:6].sum(1) == 1).all() and torch.equal(second[:, [0, 1, 2, 6, 7]], codes[:, [0, 1, 2, 6, 7]])
        last = CODES.fixed(codes, 3, -0.25)
        assert (last[:, 7] == -0.25).all() and torch.equal(last[:, :7], codes[:, :7])

    def test_there_may_be_none_of_a_kind(self):
        assert Codes(0, 10, 2).draw(5).shape == (5, 2) and Codes(1, 10, 0).draw(5).shape == (5, 10)
        assert Codes(0, 10, 2).categories_of(Codes(0, 10, 2).draw(5)).shape == (5, 0)
        assert (Codes(0, 10, 2).fixed(torch.zeros(5, 2), 1, 0.5)[:, 1] == 0.5).all()
