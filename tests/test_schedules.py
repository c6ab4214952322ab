"""Every kind of number that may follow a schedule does: it is what the formula says, resumes exactly, compiles once."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from gan_core.errors import UsageError
from gan_core.parts.base import REGISTRY, Constraint, Loss, Penalty
from gan_core.parts.fields import options_of
from gan_core.recipes.build import build, make_parts
from gan_core.recipes.plan import settle
from gan_core.recipes.settings import Settings
from gan_core.runtime.engine import Engine
from gan_core.schedules.base import cosine, linear, parse
from gan_core.training import checkpoint
from gan_core.training.run import Run
from seqgan_gp.settings import TEXT
from tests.command import one_sentence
from tests.test_resume import assert_same, ended
from tests.toy import CPU, ToyDomain, game, play, settings, trainer_of

STEPS = 10
# number -> the recipe's parts, a schedule, and where its value is read after a step
LR = lambda role: lambda g: getattr(g, role).optimiser.param_groups[0]["lr"]  # noqa: E731
CASES = {
    "generator_lr": (("wasserstein", "gp"), "linear:1e-3:0:10", LR("generator")),
    "critic_lr": (("wasserstein", "gp"), "cosine:1e-3:1e-4:8", LR("critic")),
    "beta1": (("wasserstein", "gp"), "linear:0.5:0:10", lambda g: g.critic.optimiser.param_groups[0]["betas"][0]),
    "beta2": (("wasserstein", "gp"), "linear:0.9:0.99:10", lambda g: g.generator.optimiser.param_groups[0]["betas"][1]),
    "ema": (("wasserstein", "gp"), "linear:0:0.9:10", lambda g: g.generator.decay),
    "gp.weight": (("wasserstein", "gp"), "cosine:10:1:8", lambda g: float(g.penalties[0].weight)),
    "r1.weight": (("hinge", "r1"), "exponential:10:1:8", lambda g: float(g.penalties[0].weight)),
    "dragan.spread": (("nonsaturating", "dragan"), "steps:0.5:0.1:8", lambda g: float(g.penalties[0].spread)),
    "began.gamma": (("began",), "linear:0.3:0.7:10", lambda g: float(g.losses[0].gamma)),
    "lsgan.b": (("lsgan",), "linear:1:0.9:10", lambda g: float(g.losses[0].b)),
    "clip.bound": (("wasserstein", "clip"), "linear:0.1:0.01:10", lambda g: float(g.critic.constraints[0].bound)),
}


@pytest.fixture
def make(tmp_path):
    runs = []

    def making(name, key, text, **values):
        parts = CASES[key][0]
        value = parse(text)
        numbers = {key: value} if "." in key else {}
        chosen = settings(**dict(log_every=2, sample_every=0, save_every=0, steps=STEPS) | values)
        chosen = chosen if "." in key else dataclasses.replace(chosen, **{key: value})
        domain = ToyDomain()
        config = {"domain": "toy", "recipe": "wgan-gp", "preset": "small", "numbers": {}}
        runs.append(Run.create(tmp_path, name, config))
        return trainer_of(build(domain, make_parts(parts, numbers), chosen, CPU), domain, runs[-1], chosen)

    yield making
    for run in runs:
        run.close()


def left(training):
    folder = checkpoint.newest(training.recorders[0].run.checkpoints).folder
    return [(folder / name).read_bytes() for name in ("generator.safetensors", "critic.safetensors", "ema.safetensors")]


@pytest.mark.parametrize("key", CASES)
def test_a_scheduled_number_has_its_value_and_resumes_from_its_middle(key, make):
    _, text, read = CASES[key]
    straight = make("straight", key, text)
    straight.train(math.inf)
    assert read(straight.game) == pytest.approx(parse(text)(STEPS - 1), rel=1e-6)
    stopped = make("stopped", key, text, steps=4)
    stopped.train(math.inf)
    assert read(stopped.game) == pytest.approx(parse(text)(3), rel=1e-6)
    again = make("stopped", key, text)
    again.resume(checkpoint.newest(stopped.recorders[0].run.checkpoints))
    again.train(math.inf)
    assert left(again) == left(straight)
    constant = make("constant", key, f"constant:{parse(text)(0)!r}:1")
    constant.train(math.inf)
    assert left(constant) != left(straight)  # it makes a difference


def test_a_constant_schedule_equals_the_number():
    values = {"gp.weight": 7.0}
    plain = game(["wasserstein", "gp"], numbers=values)
    scheduled = game(["wasserstein", "gp"], numbers={"gp.weight": parse("constant:7:1")})
    assert play(plain, 3, ToyDomain()) == play(scheduled, 3, ToyDomain())


@pytest.mark.parametrize(("parts", "key"), [(["wasserstein", "gp"], "gp.weight"), (["began"], "began.gamma")])
def test_a_compiled_step_is_compiled_once_for_all_values(parts, key, monkeypatch):
    torch._dynamo.reset()
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    monkeypatch.setattr(Engine, "_compiler", lambda self: {"backend": count})
    numbers = {key: parse("linear:0.9:0.1:4")}
    compiled, eager = game(parts, numbers=numbers, compile=True), game(parts, numbers=numbers)
    logs = [play(one, 4, ToyDomain()) for one in (compiled, eager)]
    assert len(graphs) == 2  # the critic's step and the generator's
    for mine, its in zip(*logs, strict=True):
        assert mine == pytest.approx(its, rel=1e-4, abs=1e-6)


FIXED = {  # floats of parts that no schedule may take the place of, and why
    "catgan.supervised": "0 leaves the labels out, which settles what is built",
}


def test_every_number_that_a_part_reads_each_step_may_vary():
    for name, part in REGISTRY.items():
        if not part.__module__.startswith("gan_core.") or not issubclass(part, Loss | Penalty | Constraint):
            continue
        for option in options_of(part):
            if option.type is float:
                assert option.metadata["varies"] == (f"{name}.{option.name}" not in FIXED), f"{name}.{option.name}"
    vary = {option.name for option in options_of(Settings) if option.metadata["varies"]}
    assert vary == {"generator_lr", "critic_lr", "beta1", "beta2", "ema"}


class TestOptions:
    def test_settled_from_text_and_from_python(self):
        numbers = settle(TEXT, {"gp.weight": cosine(10, 1, steps=50)}).numbers
        assert numbers["gp.weight"] == cosine(10, 1, steps=50)
        plan = settle(TEXT, {"smoothing": linear(0.2, 0, steps=9)})
        assert plan.written()["smoothing"] == "linear:0.2:0:9" and plan.settings(TEXT).smoothing(3) > 0

    def test_lr_decay_is_short_for_a_schedule(self):
        chosen = Settings(lr_decay="cosine", decay_steps=10, critic_lr=2e-4)
        assert chosen.rates("critic")["lr"] == cosine(2e-4, 0, steps=10)
        with pytest.raises(UsageError, match="a schedule of its own"):
            Settings(lr_decay="linear", critic_lr=linear(1, 0, steps=3)).rates("critic")

    SMALL = ("train-text", "--data", "lines.txt", "--width", 4, "--depth", 1, "--seq-len", 8, "--batch-size", 8,
             "--threads", 1, "--critic-steps", 1, "--log-every", 1, "--sample-every", 0, "--save-every", 0)  # fmt: skip

    def test_on_the_command_line_and_in_a_file(self, call, data):
        scheduled = ("--schedule", "gp-weight=cosine:10:1:6", "--schedule", "smoothing=linear:0.5:0:6")
        assert call(*self.SMALL, *scheduled, "--steps", 6, "--name", "straight")[0] == 0
        config = json.loads(Path("runs/00000-straight/config.json").read_text())
        assert config["numbers"]["gp.weight"] == "cosine:10:1:6"
        Path("options.toml").write_text('[schedule]\ngp-weight = "cosine:10:1:6"\nsmoothing = "linear:0.5:0:6"\n')
        assert call(*self.SMALL, "--config", "options.toml", "--steps", 3, "--name", "stopped")[0] == 0
        assert call("train-text", "--resume", "runs/00001-stopped", "--steps", 6)[0] == 0
        assert_same(ended(Path("runs/00001-stopped")), ended(Path("runs/00000-straight")))

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (("--schedule", "gp-weight"), "is not of the form OPTION=KIND:FROM:TO:STEPS"),
            (("--schedule", "gp-wait=linear:1:0:5"), "did you mean --gp-weight"),
            (("--schedule", "gp-weight=linear:1:-1:5"), "--gp-weight -1.0 is out of range"),
            (("--schedule", "gp-weight=ramp:1:0:5"), "there is no schedule called 'ramp'"),
            (("--schedule", "width=linear:8:16:5"), "--width cannot follow a schedule"),
            (("--schedule", "r1-weight=linear:1:0:5"), "--r1-weight is an option of r1, which is not in this run"),
            (("--schedule", "gp-weight=linear:1:0:5", "--gp-weight", 3), "contradict each other"),
            (("--schedule", "critic-lr=linear:1:0:5", "--lr-decay", "linear"), "follows a schedule of its own"),
        ],
    )
    def test_misuse(self, given, message, call, data):
        code, _, err = call(*self.SMALL, *given, "--steps", 1)
        assert code == 2 and message in one_sentence(err), err
