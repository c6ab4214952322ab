"""Images as a domain: reals and samples on one scale, and every recipe trains, saves, resumes, samples and scores."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from gan_core.errors import UsageError
from gan_core.recipes.build import build, make_generator, make_parts
from gan_core.recipes.plan import settle
from gan_core.recipes.published import RECIPES
from gan_core.runtime.randomness import reseed
from gan_core.sample import Sample
from gan_core.training import checkpoint
from gan_core.training.run import Run
from image_gan.domain import from_checkpoint, open_domain, pixels
from image_gan.scores import classifier
from image_gan.settings import IMAGE
from tests.toy import trainer_of

CPU = torch.device("cpu")
TINY = dict(width=4, z_dim=8, batch_size=4, steps=3, log_every=1, sample_every=0, save_every=0, eval_num=16, threads=1)


@pytest.fixture(autouse=True)
def a_quick_classifier(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 30)


@pytest.fixture
def path(tmp_path):
    """Sixty images of discs, 16 x 16, in two classes."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    labels = np.arange(60) % 2
    centres, radii = generator.uniform(5, 11, (60, 2)), np.where(labels, 6, 3) + generator.uniform(-0.5, 0.5, 60)
    distance = np.hypot(rows - centres[:, :1, None], columns - centres[:, 1:, None])
    images = np.where(distance < radii[:, None, None], 220, 20).astype(np.uint8)
    np.savez(tmp_path / "discs.npz", images=images[..., None], labels=labels)
    return tmp_path / "discs.npz"


def planned(path, recipe="dcgan", **values):
    return settle(IMAGE, {"data": str(path), "recipe": recipe, **TINY, **values})


def opened(path, recipe="dcgan", **values):
    chosen = planned(path, recipe, **values).settings(IMAGE)
    return chosen, open_domain(chosen)


def trained(folder, name, plan, until=math.inf, source=None):
    """Train a plan in a run of its own; returns the trainer."""
    chosen = plan.settings(IMAGE)
    domain = open_domain(chosen)
    game = build(domain, make_parts(plan.parts, plan.numbers), chosen, CPU)
    run = Run.create(folder, name, {"domain": "image", "recipe": plan.recipe, "preset": "small", "numbers": {}})
    trainer = trainer_of(game, domain, run, chosen)
    try:
        if source is not None:
            trainer.resume(source)
        trainer.train(until)
    finally:
        run.close()
    return trainer


def test_reals_and_samples_are_on_one_scale(path):
    _, domain = opened(path)
    indices = np.array([0, 3, 3])
    x = domain.data.batch(indices, CPU, 0).x
    assert x.shape == (3, 1, 16, 16) and x.is_contiguous(memory_format=torch.channels_last)
    assert x.min() >= -1 and x.max() <= 1
    np.testing.assert_array_equal(pixels(x), domain.data.images.train[indices])
    every = torch.arange(256.0).view(1, 1, 16, 16) / 127.5 - 1
    np.testing.assert_array_equal(pixels(every).ravel(), np.arange(256))
    np.testing.assert_array_equal(pixels(torch.tensor([-3.0, 3.0]).view(1, 1, 1, 2)).ravel(), [0, 255])


def test_dequantised_reals_fill_the_levels_and_stay_in_range(path):
    _, domain = opened(path, dequantise=True)
    x = domain.data.batch(np.arange(40), CPU, 0).x
    assert x.min() >= -1 and x.max() < 1 and len(x.unique()) > 1000
    assert abs(pixels(x).astype(int) - domain.data.images.train[:40]).max() <= 1


def test_about_half_of_the_images_are_mirrored_by_the_step(path):
    _, plain = opened(path)
    _, domain = opened(path, mirror=True)
    straight = plain.data.batch(np.arange(40), CPU, 0).x
    reseed(0, "data for the critic", 5)
    shown = domain.data.batch(np.arange(40), CPU, 0).x
    same = (shown == straight).flatten(1).all(1)
    turned = (shown == straight.flip(3)).flatten(1).all(1)
    assert (same | turned).all() and 8 < turned.sum() < 32
    reseed(0, "data for the critic", 5)
    assert torch.equal(domain.data.batch(np.arange(40), CPU, 0).x, shown)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_trains_resumes_samples_and_scores(recipe, path, tmp_path):
    plan = planned(path, recipe)
    straight = trained(tmp_path, "straight", plan)
    assert straight.failures == 0 and math.isfinite(straight.evaluation["frechet"])
    first = trained(tmp_path, "first", planned(path, recipe, steps=2))
    on = trained(tmp_path, "on", plan, source=checkpoint.newest(first.recorders[0].run.checkpoints))
    folders = [checkpoint.newest(t.recorders[0].run.checkpoints).folder for t in (straight, on)]
    for file in ("generator.safetensors", "ema.safetensors", "critic.safetensors"):
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()
    chosen = plan.settings(IMAGE)
    domain = from_checkpoint(chosen, folders[0])
    net = make_generator(domain, make_parts(plan.parts, plan.numbers), chosen)
    checkpoint.load_weights(net, folders[0] / "ema.safetensors")
    pictures = sorted(path.name for path in straight.recorders[0].run.samples.glob("*.png"))
    assert pictures == ["000003.png", "real.png", *(["traversal-000003.png"] if recipe == "infogan" else [])]


@pytest.mark.parametrize("extra", [["weight-norm"], ["orthonormal-term"], ["orthonormal-projection"]], ids=str)
@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
def test_the_comparators_of_sngan_train(extra, norm, path, tmp_path):
    plan = planned(path, "sngan", without=["spectral"], add=extra, critic_norm=norm, arch="resnet")
    assert trained(tmp_path, "run", plan).failures == 0


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("arch", ["mlp", "dcgan", "resnet", "sn-cnn", "began"])
def test_every_architecture_plays_every_recipe(arch, recipe, path):
    plan = planned(path, recipe, arch=arch, critic_norm="none", generator_norm="none" if arch == "began" else "batch")
    chosen = plan.settings(IMAGE)
    domain = open_domain(chosen)
    game = build(domain, make_parts(plan.parts, plan.numbers), chosen, CPU)
    before = [p.clone() for p in game.critic.net.parameters()]
    real = domain.data.batch(np.arange(4), CPU, 0)
    terms = game.critic_step(real) | game.generator_step(4, CPU, real if game.needs_reals else None)
    assert all(torch.isfinite(torch.as_tensor(value)) for value in terms.values())
    assert any(not torch.equal(a, b) for a, b in zip(before, game.critic.net.parameters(), strict=True))


def test_batch_norm_under_a_penalty_is_refused(path):
    plan = planned(path, "wgan-gp", critic_norm="batch")
    chosen = plan.settings(IMAGE)
    with pytest.raises(UsageError, match="batch norm"):
        build(open_domain(chosen), make_parts(plan.parts, plan.numbers), chosen, CPU)


def test_samples_are_exported_in_every_form(path, tmp_path):
    _, domain = opened(path)
    x = domain.data.batch(np.arange(5), CPU, 0).x
    images = domain.data.images.train[:5]
    for form in domain.samples.formats:
        domain.samples.export(iter([Sample(x[:3]), Sample(x[3:])]), form, tmp_path / form)
    with np.load(tmp_path / "npz", allow_pickle=False) as file:
        assert set(file) == {"images"}
        np.testing.assert_array_equal(file["images"], images)
    files = sorted((tmp_path / "folder").iterdir())
    assert [file.name for file in files] == [f"{i:06d}.png" for i in range(5)]
    for file, image in zip(files, images, strict=True):
        with Image.open(file) as picture:
            np.testing.assert_array_equal(np.asarray(picture), image[..., 0])


def test_progress_is_seen_from_fixed_noise_and_animated_on_request(path, tmp_path):
    trainer = trained(tmp_path, "run", planned(path, sample_every=1, steps=3, generator_lr=0.0, ema=0.0, animate=True))
    names = sorted(p.name for p in trainer.recorders[0].run.samples.iterdir())
    assert names == ["000001.png", "000002.png", "000003.png", "progress.gif", "real.png"]
    with Image.open(trainer.recorders[0].run.samples / "progress.gif") as image:
        assert image.is_animated or image.n_frames >= 1
    metrics = [json.loads(line) for line in (trainer.recorders[0].run.path / "metrics.jsonl").read_text().splitlines()]
    assert metrics[-1]["evaluation"]["backbone"]


@pytest.mark.parametrize("size", [32, 64])
def test_began_trains_and_its_measure_falls(size):
    """k moves by its formula, and is in the checkpoint."""
    rates = {"generator_lr": 2e-3, "critic_lr": 2e-3, "began.gamma": 0.6, "began.rate": 0.05}
    plan = planned("fashion-mnist", "began", size=size, **rates)
    chosen = plan.settings(IMAGE)
    domain = open_domain(chosen)
    game = build(domain, make_parts(plan.parts, plan.numbers), chosen, CPU)
    (began,) = game.losses
    measures, balances = [], []
    for step in range(60):
        k = float(began.k)
        terms = game.critic_step(domain.data.batch((np.arange(4) + 4 * step) % domain.data.num_examples, CPU, 0))
        real, fake = float(terms["critic/real"]), float(terms["critic/fake"])
        assert float(began.k) == pytest.approx(min(max(k + 0.05 * (0.6 * real - fake), 0), 1), abs=1e-6)
        measures.append(float(began.m_global))
        balances.append(float(began.k))
        assert measures[-1] == pytest.approx(real + abs(0.6 * real - fake), rel=1e-5)
        game.generator_step(4, CPU)
    assert np.mean(measures[-10:]) < 0.7 * np.mean(measures[:10]) and max(balances) > 0
    assert game.state_dict()["parts"]["began"]["k"] == began.k


# Parameters of the published networks, by hand: see tests/image_gan/test_networks.py for the tables.
PUBLISHED = {
    "gan": (7_157_760, 7_079_936 + 513),
    "dcgan": (12_658_435, 11_019_904 + 4 * 4 * 1024 + 1),
    "wgan-gp": (1_204_483, 1_053_696 + 129),
    "sngan": (4_276_739, 1_053_696 + 129),
    "began": (1_716_611, 11_803_776 + 64 * (8 * 8 * 4 * 128 + 1) + 1_716_611),
}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_runs_three_steps_at_its_published_size(recipe, tmp_path):
    plan = settle(IMAGE, {"preset": "paper", "recipe": recipe})
    chosen = plan.settings(IMAGE)
    domain = open_domain(chosen)
    game = build(domain, make_parts(plan.parts, plan.numbers), chosen, CPU)
    counts = tuple(sum(p.numel() for p in player.net.parameters()) for player in (game.generator, game.critic))
    if recipe in PUBLISHED:
        assert counts == PUBLISHED[recipe]
    run = Run.create(tmp_path, "run", {"domain": "image", "recipe": recipe, "preset": "paper", "numbers": {}})
    trainer = trainer_of(game, domain, run, chosen)
    for _ in range(3):
        trainer._step()
    run.close()
    assert trainer.failures == 0 and game.step == 3


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_trains_two_hundred_steps_on_the_built_in_images(recipe, tmp_path):
    plan = settle(IMAGE, {"recipe": recipe, "steps": 200, "width": 16, "sample_every": 0, "eval_num": 500})
    trainer = trained(tmp_path, "run", plan)
    assert trainer.failures == 0 and math.isfinite(trainer.evaluation["frechet"])
