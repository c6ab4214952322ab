"""Plays a recipe on a domain for 20 steps, in one process or in several, and keeps what it ends with.

torchrun --nproc-per-node 2 -m tests.gan_core.runtime.play_together DOMAIN FILE RECIPE ...
"""

import sys

import numpy as np
import torch

from gan_core.recipes.build import build, make_parts
from gan_core.recipes.plan import settle
from gan_core.runtime import dist
from gan_core.runtime.randomness import reseed
from image_gan import domain as image
from image_gan.settings import IMAGE
from point_gan import domain as points
from point_gan.settings import POINTS
from seqgan_gp import domain as text
from seqgan_gp.settings import TEXT

CPU = torch.device("cpu")
STEPS, BATCH = 20, 8
DOMAINS = {
    "text": (TEXT, text.open_domain, dict(data="lines.txt", width=8, depth=1, seq_len=8)),
    "points": (POINTS, points.open_domain, dict(points=200, width=8)),
    "image": (IMAGE, image.open_domain, dict(data="images.npz", width=4, mirror=True, dequantise=True)),
}


def play(name, recipe, precision=torch.float64):
    """The weights and the state of the parts after STEPS steps with batches of BATCH."""
    kind, opens, given = DOMAINS[name]
    plan = settle(kind, given | {"recipe": recipe, "batch_size": BATCH, "precision": "fp32", "ema": 0.9})
    settings = plan.settings(kind)
    domain = opens(settings)
    parts = make_parts(plan.parts, plan.numbers)
    game = build(domain, parts, settings, CPU)
    for step in range(STEPS):
        reseed(0, "data", step)
        indices = np.arange(step * BATCH, (step + 1) * BATCH) % domain.data.num_examples
        real = domain.data.batch(indices[dist.own(BATCH)], CPU, 0).to(precision)
        game.critic_step(real)
        game.generator_step(BATCH // dist.size(), CPU, real if game.needs_reals else None)
    nets = {"generator": game.generator.net, "critic": game.critic.net, "average": game.generator.average}
    state = {f"{role}.{key}": value for role, net in nets.items() for key, value in net.state_dict().items()}
    return state | {f"{part.name}.{key}": value for part in parts for key, value in part.state_dict().items()}


def main(name, file, *recipes):
    torch.set_default_dtype(torch.float64)
    with dist.processes(CPU):
        found = {recipe: play(name, recipe) for recipe in recipes}
        if dist.rank() == 0:
            torch.save(found, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
