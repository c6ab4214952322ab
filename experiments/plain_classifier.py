"""What a semi-supervised critic must beat: its own trunk, trained on the labelled images alone.

    python -m experiments.plain_classifier [--recipe sgan] [--labels-per-class 100] [options of train-image]

The trunk is the one that `train-image --recipe ...` would make for its critic, and a linear layer over the classes; the
images, the seed and the labels that are kept are the run's too. It is scored on the test images at every hundredth
step, and its best score counts: that is more than it would be given credit for in earnest.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gan_core.domain import Domain
from gan_core.recipes.build import make_critic, make_parts
from gan_core.recipes.plan import settle
from gan_core.runtime.device import use_threads
from gan_core.runtime.randomness import reseed, shuffled
from image_gan.domain import open_domain
from image_gan.settings import IMAGE

CPU = torch.device("cpu")
BATCH, EVERY = 64, 100


def plain_classifier(given: dict[str, Any], steps: int = 2000, rate: float = 1e-3) -> dict[str, Any]:
    """The test errors of a plain classifier: the last one, and the best of all that were measured.

    given: as for `options.settle`; the recipe must have a critic with a head `class`.
    """
    plan = settle(IMAGE, given)
    settings: Any = plan.settings(IMAGE)
    domain = open_domain(settings)
    reseed(settings.seed, "plain classifier")
    net = make_critic(domain, make_parts(plan.parts, plan.numbers), settings)
    net.heads = nn.ModuleDict({"class": net.heads["class"]})
    optimiser = torch.optim.AdamW([*net.trunk.parameters(), *net.heads.parameters()], rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    known = domain.data.labelled if len(domain.data.labelled) else np.arange(domain.data.num_examples)
    errors = []
    for step in range(steps):
        net.train()
        positions = np.arange(step * BATCH, (step + 1) * BATCH)
        batch = domain.data.batch(known[shuffled(positions, len(known), settings.seed)], CPU, 0)
        loss = cross_entropy(net.heads["class"](net.trunk(batch.x)), batch.y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % EVERY == 0:
            errors.append(test_error(net, domain))
    return {"labels": len(known), "steps": steps, "error": errors[-1], "best_error": min(errors)}


@torch.no_grad()
def test_error(net: Any, domain: Domain) -> float:
    """The share of the test images that are classified wrongly."""
    net.eval()
    wrong = total = 0
    for batch in test_batches(domain):
        wrong += int((net.heads["class"](net.trunk(batch.x)).argmax(1) != batch.y).sum())
        total += len(batch)
    return wrong / total


def test_batches(domain: Domain) -> Iterator[Any]:
    """The labelled test images."""
    return domain.data.held_out(2000)


def main() -> None:
    """Print the errors as one JSON object."""
    use_threads(0)
    given: dict[str, Any] = {"recipe": "sgan", "labels_per_class": 100}
    for name, value in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        key = name.removeprefix("--").replace("-", "_")
        given[key] = int(value) if value.isdecimal() else value
    print(json.dumps(plain_classifier(given)))


if __name__ == "__main__":
    main()
