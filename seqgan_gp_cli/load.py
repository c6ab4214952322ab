"""Loading a trained run for sampling or scoring."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from gan_core.errors import CheckpointError, GanError
from gan_core.game.prior import Prior
from gan_core.game.refusals import refuse_parts
from gan_core.game.trained import Trained
from gan_core.labels import Labels
from gan_core.networks.critic import Critic
from gan_core.parts.base import Part
from gan_core.recipes.build import make_critic, make_generator, make_parts, make_prior, teaches_classes
from gan_core.runtime.device import pick_device
from gan_core.training import checkpoint
from gan_core.training.run import read_config, run_folder
from seqgan_gp_cli.domains import Entry, entry_of, plan_of

T = TypeVar("T", bound=torch.nn.Module)

BATCH = 1024  # highest number of samples in a batch, whatever a config.json says
NUMBERS = 1 << 26  # highest number of values in a batch


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
    batch_size: int
    device: torch.device
    taught: bool

    def trained(self, seed: int) -> Trained:
        """The trained networks, for drawing samples by a seed."""
        return Trained(self.generator, self.critic, self.prior, seed, self.batch_size, self.device, self.taught)


def load(run: str, ema: bool | None, device_name: str, with_data: bool = False) -> Loaded:
    """Load a run's newest intact checkpoint.

    ema: the running average (True), the trained weights (False), or whichever the run samples from (None).
    with_data: whether to open the run's data and load its critic too, which only scoring needs.

    Raises:
        CheckpointError: there is no intact checkpoint, or it has no running average.
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
    check_parts(parts, domain.labels, path)

    def make() -> torch.nn.Module:
        return make_generator(domain, parts, settings)

    if ema and not settings.ema:
        raise CheckpointError(f"{path} keeps no running average: leave --ema out")
    weights = "generator.safetensors" if ema is False or not settings.ema else "ema.safetensors"
    generator = loaded(make, found.folder / weights)
    critic = None
    if with_data:
        critic = loaded(lambda: make_critic(domain, parts, settings), found.folder / "critic.safetensors").to(device)
    prior = make_prior(domain, parts, settings)
    batch_size = batch_size_of(make, prior, settings.batch_size, path)
    return Loaded(
        path, config, entry, settings, found, domain, generator.to(device), critic, prior, batch_size, device,
        teaches_classes(parts, len(domain.labels)),
    )  # fmt: skip


def check_parts(parts: list[Part], labels: Labels, path: Path) -> None:
    """Refuse a run whose parts contradict each other or its labels; a training command would not create it.

    Raises:
        CheckpointError: the parts contradict each other or the labels.
    """
    try:
        if len(labels) and not sum(labels.counts):
            raise CheckpointError("no example shows a label")
        refuse_parts(parts, labels)
    except GanError as error:
        raise CheckpointError(f"{path / 'config.json'} does not match its checkpoint: {error}") from error


def loaded(make: Callable[[], T], file: Path) -> T:
    """Make a network and load its weights from a file.

    Raises:
        CheckpointError: the file is missing, unreadable, or belongs to another network.
    """
    check_size(make, file)
    net = make()
    checkpoint.load_weights(net, file)
    return net


def check_networks(domain: Any, parts: list[Part], settings: Any, folder: Path) -> None:
    """Refuse networks that are larger than their weight files in a checkpoint, before memory is allocated.

    Raises:
        CheckpointError: a network is larger than its file.
    """
    check_size(lambda: make_generator(domain, parts, settings), folder / "generator.safetensors")
    check_size(lambda: make_critic(domain, parts, settings), folder / "critic.safetensors")


def check_size(make: Callable[[], torch.nn.Module], file: Path) -> None:
    """Refuse a network that is larger than its weight file, before memory is allocated.

    Raises:
        CheckpointError: the network is larger than the file.
    """
    with torch.device("meta"):  # no memory is allocated
        needed = sum(value.numel() * value.element_size() for value in make().state_dict().values())
    if file.is_file() and needed > file.stat().st_size:
        raise CheckpointError(f"{file} does not match this run's networks, which have {needed:,} bytes of weights")


def batch_size_of(make: Callable[[], torch.nn.Module], prior: Prior, wanted: int, path: Path) -> int:
    """The number of samples per batch: `wanted`, limited by BATCH and by NUMBERS values.

    Raises:
        CheckpointError: a single sample exceeds NUMBERS values.
    """
    with torch.device("meta"), torch.no_grad():
        latent = next(prior.sequence(1, 0, 1)).to(torch.device("meta"))
        numbers = make().eval()(latent).numel()
    if numbers > NUMBERS:
        raise CheckpointError(f"{path}: a sample of this run would have {numbers:,} numbers, more than {NUMBERS:,}")
    return max(1, min(wanted, BATCH, NUMBERS // numbers))
