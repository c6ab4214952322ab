"""Evaluates runs in one process or in several, and is stopped by signals meanwhile.

torchrun --nproc-per-node 2 -m tests.gan_core.runtime.evaluate_together scores FILE NUMBER ...
torchrun --nproc-per-node 2 -m tests.gan_core.runtime.evaluate_together stops FOLDER
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from gan_core.game.trained import Trained
from gan_core.recipes.build import build, make_parts, teaches_classes
from gan_core.recipes.plan import settle
from gan_core.runtime import dist
from gan_core.training.loop import Trainer
from gan_core.training.run import Run
from gan_core.training.signals import Stopped
from image_gan.scores import classifier
from tests.gan_core.runtime.play_together import CPU, DOMAINS
from tests.toy import ToyDomain, settings, trainer_of

# Of each domain: plain scores; labels asked for, or codes, with what judges them.
RUNS = [("text", "wgan-gp"), ("text", "infogan"), ("image", "dcgan"), ("image", "projection"), ("image", "infogan")]


def scores(name, recipe):
    """The evaluation of a run that has not begun."""
    kind, opens, given = DOMAINS[name]
    more = {"eval_num": 20} if name == "image" else {}
    plan = settle(kind, given | more | {"recipe": recipe, "batch_size": 8, "precision": "fp32"})
    chosen = plan.settings(kind)
    domain = opens(chosen)
    parts = make_parts(plan.parts, plan.numbers)
    game = build(domain, parts, chosen, CPU)
    taught = teaches_classes(parts, len(domain.labels))
    trained = Trained(game.generator.best, game.critic.net, game.prior, 0, chosen.batch_size, CPU, taught)
    return domain.scores.evaluate(trained)


def main(file, *numbers):
    """Write the evaluations of some RUNS."""
    classifier.STEPS = 20
    with dist.processes(CPU):
        found = [scores(*RUNS[int(number)]) for number in numbers]
        if dist.rank() == 0:
            Path(file).write_text(json.dumps(found))
        else:
            assert found == [{}] * len(numbers)


class Signalled(ToyDomain):
    """Sends a signal to one process while it is evaluated for the first time; `where`: "drawing" or "scoring"."""

    def __init__(self, where, rank):
        super().__init__()
        self.where, self.rank, self.told = where, rank, False

    def tell(self, where):
        if where == self.where and dist.rank() == self.rank and not self.told:
            self.told = True
            os.kill(os.getpid(), signal.SIGTERM)

    def evaluate(self, trained):
        def read(batch):
            self.tell("drawing")
            return {"x": batch.x.numpy()}

        drawn = trained.collect(100, read)
        if not trained.is_scorer():
            return {}
        self.tell("scoring")
        if self.told:
            time.sleep(100)
        return {"radius": float(np.linalg.norm(drawn["x"]))}


def stopped(folder, where, rank, eval_every):
    """At which step a run stops, by which code, and whether it was scored."""
    domain, chosen = Signalled(where, rank), settings(steps=6, eval_every=eval_every, log_every=2, sample_every=0)
    game = build(domain, make_parts(["wasserstein", "gp"], {}), chosen, CPU)
    if dist.rank():
        training = Trainer(game, domain, chosen, CPU)
    else:
        config = {"domain": "toy", "recipe": "wgan-gp", "preset": "small", "numbers": {}}
        training = trainer_of(game, domain, Run.create(Path(folder), "stopped", config), chosen)
    try:
        training.train(float("inf"))
    except Stopped as stop:
        return [game.step, stop.code, bool(training.evaluation)]
    return [game.step, 0, bool(training.evaluation)]


def stops(folder):
    """Write how each process ends where a signal comes to one of them, wherever it is."""
    with dist.processes(CPU):
        cases = [("drawing", 0), ("drawing", 1), ("scoring", 0), ("nowhere", 0)]
        found = [stopped(folder, where, rank, every) for where, rank in cases for every in (4, 6, 0)]
        Path(folder, f"{dist.rank()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"scores": main, "stops": stops}[sys.argv[1]](*sys.argv[2:])
