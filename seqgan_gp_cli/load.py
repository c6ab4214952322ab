"""Opening a run to use what it learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gan_core import checkpoint
from gan_core.build import make_critic, make_generator, make_parts, make_prior, teaches_classes
from gan_core.critic import Critic
from gan_core.engine import pick_device
from gan_core.errors import CheckpointError
from gan_core.prior import Prior
from gan_core.run import read_config, run_folder
from gan_core.trained import Trained
from seqgan_gp_cli.domains import Entry, entry_of, plan_of


@dataclass(frozen=True)
class Loaded:
    """A trained game and its domain."""

    path: Path
    config: dict[str, Any]
    entry: Entry
    settings: Any
    checkpoint: checkpoint.Checkpoint
    domain: Any
    generator: torch.nn.Module
    critic: Critic | None
    prior: Prior
    device: torch.device
    taught: bool

    def trained(self, seed: int) -> Trained:
        """What was learned, to draw from by a seed."""
        return Trained(
            self.generator, self.critic, self.prior, seed, self.settings.batch_size, self.device, self.taught
        )


def load(run: str, ema: bool | None, device_name: str, with_data: bool = False) -> Loaded:
    """Load a run's newest whole checkpoint.

    ema: the running average (True), the trained weights (False), or whichever the run samples from (None).
    with_data: open the run's data and load its critic too, which scoring needs and sampling does not.

    Raises:
        CheckpointError: there is none, or it has no average.
    """
    path = run_folder(run)
    config = read_config(path)
    entry = entry_of(config, path)
    plan = plan_of(config, path)
    settings: Any = plan.settings(entry.kind)
    device = pick_device(device_name)
    found = checkpoint.newest(path / "checkpoints")
    domain = entry.open(settings) if with_data else entry.from_checkpoint(settings, found.folder)
    parts = make_parts(plan.parts, plan.numbers)
    generator = make_generator(domain, parts, settings)
    if ema and not settings.ema:
        raise CheckpointError(f"{path} keeps no running average: leave --ema out")
    weights = "generator.safetensors" if ema is False or not settings.ema else "ema.safetensors"
    checkpoint.load_weights(generator, found.folder / weights)
    critic = None
    if with_data:
        critic = make_critic(domain, parts, settings).to(device)
        checkpoint.load_weights(critic, found.folder / "critic.safetensors")
    prior = make_prior(domain, parts, settings)
    return Loaded(
        path, config, entry, settings, found, domain, generator.to(device), critic, prior, device,
        teaches_classes(parts, len(domain.labels)),
    )  # fmt: skip
