"""The loop on a toy domain: what it writes, that it resumes, stops on signals and time, and gives up on divergence."""

import json
import math
import os
import signal

import pytest
import torch

from gan_core.errors import DivergedError, UsageError
from gan_core.game.plateau import ReduceOnPlateau
from gan_core.recipes.build import build, make_parts
from gan_core.recipes.published import RECIPES
from gan_core.sample import Sample
from gan_core.training import checkpoint
from gan_core.training.loop import PATIENCE
from gan_core.training.recorder import headline, legend
from gan_core.training.run import Run, newest_run, read_config
from gan_core.training.signals import Stopped
from tests.toy import CPU, ToyDomain, domain_of, labelled, play, recipe_game, settings, trainer_of

CONFIG = {"domain": "toy", "recipe": "wgan-gp", "preset": "small", "numbers": {}}


@pytest.fixture
def create(tmp_path):
    """Makes runs, and closes them after the test."""
    made = []

    def make(name="run"):
        made.append(Run.create(tmp_path, name, CONFIG))
        return made[-1]

    yield make
    for run in made:
        run.close()


def trainer(run, parts=("wasserstein", "gp"), domain=None, **values):
    chosen = settings(**(dict(log_every=2, sample_every=5, save_every=3, steps=10) | values))
    domain = domain or ToyDomain()
    return trainer_of(build(domain, make_parts(parts, {}), chosen, CPU), domain, run, chosen)


def final(run):
    folder = checkpoint.newest(run.checkpoints).folder
    return {
        name: (folder / name).read_bytes()
        for name in ("generator.safetensors", "ema.safetensors", "critic.safetensors")
    }


def lines(run):
    drop = ("seconds", "it/s")
    read = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in drop} for line in read]


def test_a_run_directory_holds_what_the_design_says(create):
    run = create("toy-wgan-gp")
    assert run.path.name == "00000-toy-wgan-gp" and read_config(run.path) == CONFIG
    training = trainer(run)
    training.train(math.inf)
    training.summarise(CONFIG)
    assert {p.name for p in run.samples.iterdir()} == {"real.txt", "000005.txt", "000010.txt"}
    assert {p.name for p in run.checkpoints.iterdir()} == {"step-000009", "step-000010"}
    assert any((run.path / "tensorboard").iterdir())
    logged = lines(run)
    assert [line["step"] for line in logged] == [2, 4, 6, 8, 10, 10]
    assert {"critic/wasserstein", "critic/gp", "generator/wasserstein", "gp/gradient_norm"} <= set(logged[0])
    assert logged[-1]["evaluation"]["radius"] > 0
    summary = json.loads((run.path / "summary.json").read_text())
    assert set(summary) == {"domain", "recipe", "preset", "steps", "seconds", "parameters", "evaluation"}
    assert summary["steps"] == 10 and set(summary["parameters"]) == {"generator", "critic"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_stop_and_resume_equals_an_uninterrupted_run(create, recipe):
    parts, domain = RECIPES[recipe].parts, domain_of(recipe)
    straight = create("straight")
    trainer(straight, parts, domain).train(math.inf)
    for stop in (1, 4, 7):
        run = create(f"stopped-{stop}")
        trainer(run, parts, domain, steps=stop).train(math.inf)
        again = trainer(run, parts, domain)
        again.resume(checkpoint.newest(run.checkpoints))
        again.train(math.inf)
        assert final(run) == final(straight)
        wanted = [line for line in lines(straight) if "evaluation" not in line]
        assert [line for line in lines(run) if "evaluation" not in line] == wanted


def test_cadences_do_not_change_training(create):
    finals = []
    for every in (1, 50):
        run = create("run")
        trainer(run, log_every=every, sample_every=every, eval_every=every, save_every=every).train(math.inf)
        finals.append(final(run))
    assert finals[0] == finals[1]


def interrupt_at(training, at, number):
    step = training._step

    def stepping():
        step()
        if training.game.step == at:
            os.kill(os.getpid(), number)

    training._step = stepping


def test_signals_finish_the_step_save_and_stop(create):
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        run = create("run")
        training = trainer(run)
        interrupt_at(training, 4, number)
        before = signal.getsignal(number)
        with pytest.raises(Stopped) as stopped:
            training.train(math.inf)
        assert stopped.value.code == code
        assert checkpoint.newest(run.checkpoints).step == 4
        assert signal.getsignal(number) == before


def test_max_time_stops_saved_and_scored(create):
    run = create("run")
    training = trainer(run, steps=10**6)
    training.train(0.3)
    assert 0 < training.game.step < 10**6
    assert checkpoint.newest(run.checkpoints).step == training.game.step
    assert training.evaluation


def test_divergence_is_given_up_without_losing_the_last_checkpoint(create):
    class Broken(ToyDomain):
        def batch(self, indices, device, step=0):
            good = super().batch(indices, device)
            return good if self.calls() < 12 else Sample(good.x * float("nan"))

        count = 0

        def calls(self):
            self.count += 1
            return self.count

    run = create("run")
    training = trainer(run, domain=Broken(), steps=1000)
    with pytest.raises(DivergedError, match=f"{PATIENCE} steps in a row"):
        training.train(math.inf)
    assert all(torch.isfinite(p).all() for p in training.game.critic.net.parameters())
    restored = trainer(run, steps=1000)
    checkpoint.restore(checkpoint.newest(run.checkpoints), restored.game)


def test_learning_rates_decay_as_named(create):
    for decay, share in (("none", 1.0), ("linear", 0.3), ("cosine", 0.5 * (1 + math.cos(0.7 * math.pi)))):
        run = create("run")
        training = trainer(run, lr_decay=decay, steps=8, decay_steps=10)  # the last one is step 7, counted from 0
        training.train(math.inf)
        assert training.game.critic.optimiser.param_groups[0]["lr"] == pytest.approx(1e-3 * share)


def test_runs_are_numbered_named_and_locked(create, tmp_path):
    first, second = (create("a") for _ in range(2))
    assert [run.path.name for run in (first, second)] == ["00000-a", "00001-a"]
    with pytest.raises(UsageError, match="another process"):
        Run(first.path)
    first.close()
    Run(first.path).close()
    assert newest_run(tmp_path, "toy") == second.path
    for name in ("../up", "a/b", "", "x" * 101, "a\nb"):
        with pytest.raises(UsageError, match="--name"):
            create(name)


def test_metrics_beyond_the_checkpoint_are_forgotten(create):
    run = create("run")
    for step in (1, 2, 3):
        run.metrics(step, {"x": step}, {})
    run.close()
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "x"')  # cut short by a kill
    again = Run(run.path)
    again.forget_after(2)
    again.metrics(3, {"x": 30}, {})
    again.close()
    assert lines(run) == [{"step": 1, "x": 1}, {"step": 2, "x": 2}, {"step": 3, "x": 30}]


def test_rates_are_reduced_on_a_plateau(create):
    plateau = ReduceOnPlateau(patience=2)
    factors = []
    for measure in (4, 4, 3, 3, 3, 3, 2, 2, 5, 5):  # means 4, 3, 3, 2, 5: the third and the fifth do not fall
        plateau.watch(torch.tensor(float(measure)))
        factors.append(plateau.factor)
    assert factors == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]
    run = create("plateau")
    training = trainer(run, ["began"], plateau_patience=1, steps=30, generator_lr=0.0, critic_lr=0.0)
    training.train(math.inf)  # nothing learns, so the measure never falls below its lowest for long
    rate = training.game.generator.optimiser.param_groups[0]["lr"]
    assert training.game.plateau.factor < 1 and rate == 0.0
    again = trainer(run, ["began"], plateau_patience=1, generator_lr=0.0, critic_lr=0.0)
    again.resume(checkpoint.newest(run.checkpoints))
    ours, theirs = again.game.plateau, training.game.plateau
    assert (ours.factor, ours.lowest) == (theirs.factor, theirs.lowest)
    ours.watch(torch.tensor(math.inf))
    assert ours.factor == theirs.factor / 2


def test_a_plateau_without_a_measure_is_refused(create):
    with pytest.raises(UsageError, match="measure of convergence"):
        trainer(create(), plateau_patience=1)


@pytest.mark.parametrize("parts", [("wasserstein", "gp"), ("relativistic", "r1", "r2")])
def test_the_generator_may_have_a_larger_batch(create, parts):
    training = trainer(create(), parts, generator_batch_multiple=3)
    sizes = []
    training.game.generator.net.register_forward_hook(lambda net, inputs, output: sizes.append(len(output)))
    training._step()
    assert sizes == [8, 8, 24]


def test_what_is_shown_has_a_meaning():
    for name, recipe in RECIPES.items():
        game = recipe_game(name)
        shown = headline(game.parts, dict.fromkeys(play(game, 1, domain_of(name))[0], 0.0))
        explained = {line.partition(":")[0] for line in legend(game.parts)}
        assert {key.rpartition("/")[2] for key in shown} - {"critic", "generator"} <= explained, (name, recipe)
        assert len(shown) >= 3


@pytest.mark.parametrize("parts", [("sgan",), ("catgan",), ("nonsaturating", "acgan")], ids=" ".join)
def test_a_run_that_sees_some_labels_resumes_as_one_that_was_never_stopped(create, parts):
    domain = labelled(hidden=0.9)
    values = dict(labelled_share=0.5)
    straight, stopped = create("straight"), create("stopped")
    trainer(straight, parts, domain, **values).train(math.inf)
    trainer(stopped, parts, domain, steps=4, **values).train(math.inf)
    again = trainer(stopped, parts, domain, **values)
    again.resume(checkpoint.newest(stopped.checkpoints))
    again.train(math.inf)
    assert final(stopped) == final(straight)


def test_a_share_of_each_batch_of_the_critic_shows_its_label(create):
    domain = labelled(hidden=0.9)
    seen = []
    training = trainer(create(), ("sgan",), domain, labelled_share=0.5, steps=3)
    step = training.game.critic_step
    training.game.critic_step = lambda real: seen.append(real.y) or step(real)
    training.train(math.inf)
    assert len(seen) == 6 and all((y[:4] >= 0).all() for y in seen)
    shown = torch.cat([y[:4] for y in seen])
    assert len(domain.labelled) >= len(shown) and torch.bincount(shown, minlength=4).max() < len(shown)
    rest = torch.cat([y[4:] for y in seen])
    assert (rest < 0).float().mean() > 0.7  # the others come as they do in the data


def test_pictures_show_classes_in_turn_and_codes_swept(create):
    run = create("labelled")
    trainer(run, ("nonsaturating", "acgan"), labelled(), steps=1).train(math.inf)
    assert {p.name for p in run.samples.iterdir()} == {"real.txt", "000001.txt"}
    assert len((run.samples / "000001.txt").read_text().splitlines()) == 4 * 8
    run = create("coded")
    trainer(run, ("nonsaturating", "infogan"), steps=1).train(math.inf)
    assert {p.name for p in run.samples.iterdir()} == {"real.txt", "000001.txt", "traversal-000001.txt"}
    assert len((run.samples / "traversal-000001.txt").read_text().splitlines()) == 3 * 3 * 10


def test_a_schedule_goes_on_as_it_began_wherever_a_run_is_stopped(create):
    values = dict(lr_decay="linear", decay_steps=10)
    straight, stopped = create("straight"), create("stopped")
    trainer(straight, **values).train(math.inf)
    trainer(stopped, steps=4, **values).train(math.inf)
    again = trainer(stopped, **values)
    again.resume(checkpoint.newest(stopped.checkpoints))
    again.train(math.inf)
    assert final(stopped) == final(straight)
    beyond = trainer(create("beyond"), **values | dict(steps=12))
    beyond.train(math.inf)
    assert beyond.game.critic.optimiser.param_groups[0]["lr"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("eval_every", [4, 0])
def test_a_signal_ends_the_scoring_and_not_the_step(create, number, eval_every):
    """In the middle of a run, or after its last step; the resumed run ends as one that was not stopped."""
    finished = []

    class Slow(ToyDomain):
        def evaluate(self, trained):
            if len(finished) < 1:
                finished.append("begun")
                os.kill(os.getpid(), number)
                finished.append("not interrupted")
            return super().evaluate(trained)

    straight, stopped = create("straight"), create("stopped")
    trainer(straight, eval_every=eval_every).train(math.inf)
    training = trainer(stopped, domain=Slow(), eval_every=eval_every)
    with pytest.raises(Stopped) as caught:
        training.train(math.inf)
    assert caught.value.code == 128 + number and finished == ["begun"]
    assert checkpoint.newest(stopped.checkpoints).step == training.game.step == (eval_every or 10)
    again = trainer(stopped, eval_every=eval_every)
    again.resume(checkpoint.latest(stopped.checkpoints))
    again.train(math.inf)
    assert final(stopped) == final(straight) and again.evaluation
    losses = [[line for line in lines(run) if "evaluation" not in line] for run in (straight, stopped)]
    assert losses[0] == losses[1]


def test_a_signal_while_the_last_samples_are_written_still_counts(create):
    run = create("run")
    training = trainer(run, sample_every=0)
    sample = training._sample

    def sampling():
        os.kill(os.getpid(), signal.SIGTERM)
        sample()

    training._sample = sampling
    with pytest.raises(Stopped):
        training.train(math.inf)
    assert (run.samples / "000010.txt").exists() and training.evaluation


def test_a_run_without_a_checkpoint_begins_again(create):
    def interrupted():
        raise KeyboardInterrupt

    straight, killed = create("straight"), create("killed")
    trainer(straight).train(math.inf)
    first = trainer(killed)
    first.save = interrupted
    with pytest.raises(KeyboardInterrupt):
        first.train(math.inf)
    again = trainer(killed)
    assert lines(killed)
    again.resume(checkpoint.latest(killed.checkpoints))
    assert again.game.step == 0 and not lines(killed)
    again.train(math.inf)
    assert final(killed) == final(straight) and lines(killed) == lines(straight)


def test_metrics_last_as_long_as_the_checkpoint(create, monkeypatch):
    """They are flushed to the disk before a checkpoint is written."""
    run = create("run")
    order = []
    fsync, save = os.fsync, checkpoint.save
    monkeypatch.setattr(os, "fsync", lambda handle: order.append(os.fstat(handle).st_ino) or fsync(handle))
    monkeypatch.setattr(checkpoint, "save", lambda *args: order.append("save") or save(*args))
    trainer(run, steps=3).train(math.inf)
    metrics = (run.path / "metrics.jsonl").stat().st_ino
    assert order[: order.index("save")] == [metrics]
