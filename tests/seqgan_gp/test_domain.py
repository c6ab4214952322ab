"""Text as a domain: reals are one-hot on the device, samples are what was emitted, the tokenizer travels."""

import numpy as np
import pytest
import torch

from gan_core.labels import Labels
from gan_core.recipes.build import build, make_parts
from gan_core.recipes.plan import settle
from gan_core.recipes.published import RECIPES
from gan_core.sample import Sample
from seqgan_gp.domain import TextSamples, from_checkpoint, ids_of, open_domain
from seqgan_gp.settings import TEXT
from tests.seqgan_gp.sets import ENGLISH

CPU = torch.device("cpu")


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "lines.txt"
    file.write_text("".join(f"{line}\n" for line in ENGLISH))
    return file


def settings(path, **values):
    small = dict(data=str(path), width=8, depth=1, batch_size=4, seq_len=12, vocab_size=30)
    return settle(TEXT, small | values).settings(TEXT)


def test_reals_are_one_hot(path):
    domain = open_domain(settings(path, smoothing=0.0))
    indices = np.array([0, 3, 3])
    x = domain.data.batch(indices, CPU, 0).x
    assert x.shape == (3, domain.samples.tokenizer.size, 12) and x.dtype == torch.float32
    assert set(x.unique().tolist()) == {0.0, 1.0} and (x.sum(1) == 1).all()
    np.testing.assert_array_equal(x.argmax(1).numpy(), domain.data.corpus.train[indices])


def test_reals_are_smoothed_on_request_and_never_by_the_published_presets(path):
    domain = open_domain(settings(path, smoothing=0.2))
    plain, x = (
        open_domain(settings(path, smoothing=0.0)).batch(np.arange(3), CPU).x,
        domain.data.batch(np.arange(3), CPU, 0).x,
    )
    torch.testing.assert_close(x, 0.8 * plain + 0.2 / domain.samples.tokenizer.size)
    torch.testing.assert_close(x.sum(1), torch.ones(3, 12))
    assert torch.equal(x.argmax(1), plain.argmax(1))
    for preset in ("paper", "ttur"):
        assert settle(TEXT, {"preset": preset}).numbers["smoothing"] == 0


def test_the_critic_is_shown_the_softmax_itself(path):
    """No sampling, no temperature and no rounding between the generator and the critic, in either step."""
    domain = open_domain(settings(path))
    game = build(domain, make_parts(["wasserstein", "gp"], {}), settings(path), CPU)
    emitted, seen = [], []
    game.generator.net.register_forward_hook(lambda module, inputs, output: emitted.append(output.detach()))
    game.critic.net.trunk.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    game.critic_step(domain.data.batch(np.arange(4), CPU, 0))
    assert torch.equal(seen[0][4:], emitted[0])
    game.generator_step(4, CPU)
    assert torch.equal(seen[-1].detach(), emitted[1])


def test_same_noise_same_text_after_loading(path, tmp_path):
    """Trap 12."""
    domain = open_domain(settings(path))
    net = domain.networks.decoder(128)
    domain.samples.save(tmp_path)
    loaded = from_checkpoint(settings(path), tmp_path)
    made = [Sample(net(torch.randn(5, 128)))]
    text = domain.samples.preview(made)
    assert loaded.samples.preview(made) == text
    tokenizer = domain.samples.tokenizer
    faulty = TextSamples(type(tokenizer)(tokenizer.vocabulary[::-1].copy()), Labels())
    assert faulty.preview(made) != text


def test_ids_are_the_likeliest_symbols():
    x = torch.rand(6, 5, 7)
    np.testing.assert_array_equal(ids_of([Sample(x[:4]), Sample(x[4:])]), x.argmax(1).numpy())


def test_backticks_are_not_padding(path):
    """Trap 13."""
    path.write_text("a `quoted` word\n``twice``\nno quotes here\nand ` none\n" * 5)
    domain = open_domain(settings(path, seq_len=20))
    rows = np.unique(np.concatenate([domain.data.corpus.train, domain.data.corpus.heldout]), axis=0)
    assert set(domain.samples.tokenizer.decode(rows)) == {
        "a `quoted` word",
        "``twice``",
        "no quotes here",
        "and ` none",
    }


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_trains_two_hundred_steps_on_the_built_in_sentences(recipe, tmp_path):
    from gan_core.errors import DivergedError
    from gan_core.training.run import Run
    from tests.toy import trainer_of

    plan = settle(TEXT, {"recipe": recipe, "steps": 200, "width": 32, "sample_every": 0, "save_every": 0})
    chosen = plan.settings(TEXT)
    domain = open_domain(chosen)
    game = build(domain, make_parts(plan.parts, plan.numbers), chosen, CPU)
    run = Run.create(tmp_path, "run", {"domain": "text", "recipe": recipe, "preset": "small", "numbers": {}})
    try:
        trainer = trainer_of(game, domain, run, chosen)
        trainer.train(float("inf"))
    except DivergedError as error:
        pytest.fail(str(error))
    finally:
        run.close()
    assert trainer.failures == 0 and trainer.evaluation["wgan-gp"]["js"]["1"] < 1
