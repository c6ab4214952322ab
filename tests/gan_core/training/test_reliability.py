"""A run loses nothing: every item of its state counts, what is not finite is not kept, and leftovers are swept away."""

import copy
import json
import math

import pytest
import torch
from torch import nn

from gan_core.errors import DivergedError, GanError
from gan_core.recipes.build import build, make_parts
from gan_core.sample import Sample
from gan_core.storage.sealed import DamagedError
from gan_core.training import checkpoint
from gan_core.training.loop import PATIENCE
from gan_core.training.run import Run
from tests.toy import CPU, ToyDomain, game, play, settings, trainer_of

CONFIG = {"domain": "toy", "recipe": "began", "preset": "small", "numbers": {}}
# Everything that a run's next steps depend on, its losses in metrics.jsonl and its learning rates included.
ITEMS = {
    "generator weights": lambda t, new: t.game.generator.net.load_state_dict(new.game.generator.net.state_dict()),
    "critic weights": lambda t, new: t.game.critic.net.load_state_dict(new.game.critic.net.state_dict()),
    "average": lambda t, new: t.game.generator.average.load_state_dict(new.game.generator.average.state_dict()),
    "steps of the average": lambda t, new: setattr(t.game.generator, "steps", 0),
    "generator's optimiser": lambda t, new: t.game.generator.optimiser.load_state_dict(fresh(new, "generator")),
    "critic's optimiser": lambda t, new: t.game.critic.optimiser.load_state_dict(fresh(new, "critic")),
    "k": lambda t, new: t.game.losses[0].k.fill_(0.0),
    "step": lambda t, new: setattr(t.game, "step", t.game.step - 1),
    "means": lambda t, new: t.means.read(),
    "plateau": lambda t, new: t.game.plateau.load_state_dict(new.game.plateau.state_dict()),
}


MADE: list[Run] = []


@pytest.fixture(autouse=True)
def closed_runs():
    yield
    while MADE:
        MADE.pop().close()


def fresh(new, role):
    return copy.deepcopy(getattr(new.game, role).optimiser.state_dict())


def trainer(folder, name, **values):
    rates = dict(plateau_patience=2, generator_lr=1e-2, critic_lr=1e-2, ema=0.9)
    chosen = settings(**(dict(log_every=3, sample_every=0, save_every=0, steps=12) | rates | values))
    domain = ToyDomain()
    parts = make_parts(["began", "gp"], {"began.rate": 0.05, "began.gamma": 1.0})
    MADE.append(Run.create(folder, name, CONFIG))
    return trainer_of(build(domain, parts, chosen, CPU), domain, MADE[-1], chosen)


def outcome(training):
    """All that a finished run leaves: weights, and the losses that it logged."""
    folder = checkpoint.newest(training.recorders[0].run.checkpoints).folder
    names = ("generator.safetensors", "ema.safetensors", "critic.safetensors")
    logged = [json.loads(line) for line in (training.recorders[0].run.path / "metrics.jsonl").read_text().splitlines()]
    losses = [
        {k: v for k, v in line.items() if k not in ("seconds", "it/s")} for line in logged if "critic/total" in line
    ]
    return [(folder / name).read_bytes() for name in names], losses


@pytest.fixture
def straight(tmp_path):
    training = trainer(tmp_path, "straight")
    training.train(math.inf)
    return outcome(training)


@pytest.mark.parametrize("dropped", [None, *ITEMS])
def test_every_item_of_state_counts(tmp_path, straight, dropped):
    """Stopped within a log window and resumed, a run ends as one that was not; without an item it does not."""
    first = trainer(tmp_path, "first", steps=7)
    first.train(math.inf)
    on = trainer(tmp_path, "on")
    new = trainer(tmp_path, "new")
    on.resume(checkpoint.newest(first.recorders[0].run.checkpoints))
    (on.recorders[0].run.path / "metrics.jsonl").write_text((first.recorders[0].run.path / "metrics.jsonl").read_text())
    on.recorders[0].run.forget_after(7)
    if dropped is not None:
        ITEMS[dropped](on, new)
    on.train(math.inf)
    assert (outcome(on) == straight) == (dropped is None)


@pytest.mark.parametrize("role", ["critic", "generator"])
def test_a_step_that_is_not_taken_leaves_nothing_behind(role):
    """Not in batch norm's statistics, nor in a controller, nor anywhere else."""
    domain = ToyDomain(norm=nn.BatchNorm1d)
    played = game(["wasserstein"] if role == "generator" else ["nonsaturating"], domain)
    play(played, 2, domain)
    nets = (played.generator.net, played.critic.net)
    before = [copy.deepcopy(net.state_dict()) for net in nets]
    bad = Sample(torch.full((8, *domain.shape), math.nan))
    if role == "critic":
        terms = played.critic_step(bad)
    else:
        hook = played.critic.net.register_forward_hook(
            lambda module, inputs, output: (output[0], {**output[1], "score": output[1]["score"] * math.nan})
        )
        terms = played.generator_step(8, CPU)
        hook.remove()
    assert float(terms[f"{role}/skipped"]) == 1
    for net, state in zip(nets, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_a_controller_does_not_follow_what_is_not_finite():
    played = game(["began"], numbers={"began.rate": 0.1})
    domain = ToyDomain()
    play(played, 3, domain)
    k, m = played.losses[0].k.clone(), played.losses[0].m_global.clone()
    played.critic_step(Sample(torch.full((8, *domain.shape), math.inf)))
    assert torch.equal(played.losses[0].k, k) and torch.equal(played.losses[0].m_global, m)


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    training = trainer(tmp_path, "run", steps=3)
    training.train(math.inf)
    good = checkpoint.newest(training.recorders[0].run.checkpoints)
    training.game.step += 1
    for net in (training.game.generator.net, training.game.critic.net, training.game.generator.average):
        parameter = next(net.parameters())
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter.view(-1)[0] = math.inf
        with pytest.raises(DivergedError, match="is not finite at step 4, which was not saved"):
            training.save()
        parameter.data.copy_(kept)
    assert checkpoint.newest(training.recorders[0].run.checkpoints) == good
    training.save()
    assert checkpoint.newest(training.recorders[0].run.checkpoints).step == 4


def test_a_run_that_is_given_up_says_what_it_found(tmp_path):
    training = trainer(tmp_path, "run", steps=100)
    training.data.batch = lambda indices, device, step=0: Sample(torch.full((len(indices), 2, 3), math.nan))
    with pytest.raises(DivergedError, match=r"diverged\.json"):
        training.train(math.inf)
    found = json.loads((training.recorders[0].run.path / "diverged.json").read_text())
    assert found["steps in a row that were not finite"] == PATIENCE == found["step"]
    assert found["parameters whose gradient is not finite"]["critic"] and found["learning rates"]["critic"] > 0
    logged = [json.loads(line) for line in (training.recorders[0].run.path / "metrics.jsonl").read_text().splitlines()]
    assert all(
        line["critic/skipped"] == 1 and "critic/total" not in line for line in logged if "critic/skipped" in line
    )


def test_a_disk_that_does_not_give_back_what_is_written_costs_no_old_checkpoint(tmp_path, monkeypatch):
    training = trainer(tmp_path, "run", steps=3, keep=1)
    training.train(math.inf)

    def fails(folder):
        raise DamagedError(f"{folder} is damaged")

    training.game.step += 1
    monkeypatch.setattr(checkpoint, "verify", fails)
    with pytest.raises(GanError, match="check the disk; older checkpoints were kept"):
        training.save()
    monkeypatch.undo()
    assert {path.name for path in training.recorders[0].run.checkpoints.iterdir()} == {"step-000003", "step-000004"}


def test_what_killed_processes_left_is_swept_away(tmp_path):
    training = trainer(tmp_path, "run", steps=3)
    for name in (".step-000002.123.tmp", ".step-000001.old"):
        (training.recorders[0].run.checkpoints / name).mkdir(parents=True)
        (training.recorders[0].run.checkpoints / name / "state.pt").write_text("half")
    training.train(math.inf)
    assert {path.name for path in training.recorders[0].run.checkpoints.iterdir()} == {"step-000003"}
