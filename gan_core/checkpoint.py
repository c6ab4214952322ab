"""Checkpoints: whole, checksummed, and enough to go on from.

`step-000500/` holds generator.safetensors, ema.safetensors (where there is an average), critic.safetensors,
state.pt (optimisers, controllers, counters), what the domain needs to decode, and manifest.json with the SHA-256
of each. Nothing is unpickled: weights are safetensors and state.pt is read with weights_only.
"""

import pickle
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from gan_core.errors import CheckpointError, DivergedError, GanError
from gan_core.files import DamagedError, sealed_folder, verify
from gan_core.game import Game


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint."""

    folder: Path
    step: int


def save(folder: Path, game: Game, domain: Any, extra: dict[str, Any], keep: int) -> Checkpoint:
    """Write a checkpoint of a game into the folder of checkpoints and drop all but the `keep` newest.

    The new one is read back before an older one is dropped, so the last good one never is.

    Raises:
        DivergedError: a weight is not finite; nothing is written.
        GanError: the disk does not give back what was written; the older ones stay.
    """
    refuse_non_finite(game)
    sweep(folder)
    target = folder / f"step-{game.step:06d}"
    with sealed_folder(target, step=game.step, torch=torch.__version__) as temporary:
        save_file(tensors(game.generator.net), temporary / "generator.safetensors")
        if game.generator.average is not None:
            save_file(tensors(game.generator.average), temporary / "ema.safetensors")
        save_file(tensors(game.critic.net), temporary / "critic.safetensors")
        torch.save({"game": game.state_dict(), **extra}, temporary / "state.pt")
        domain.save(temporary)
    try:
        verify(target)
    except DamagedError as error:
        raise GanError(f"{error}, just after it was written: check the disk; older checkpoints were kept") from error
    for old in sorted(folder.glob("step-*"), key=step_of)[:-keep]:
        leaving = old.with_name(f".{old.name}.old")  # a kill now leaves no half of a checkpoint behind
        old.rename(leaving)
        shutil.rmtree(leaving)
    return Checkpoint(target, game.step)


def refuse_non_finite(game: Game) -> None:
    """Refuse to save weights that are not finite over good ones.

    Raises:
        DivergedError: the message names the first of them.
    """
    nets = {"generator": game.generator.net, "average": game.generator.average, "critic": game.critic.net}
    for role, net in nets.items():
        for name, value in net.state_dict().items() if net is not None else ():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise DivergedError(
                    f"training diverged: {name} of the {role} is not finite at step {game.step}, which was not saved; "
                    "lower --d-lr and --g-lr and resume from the checkpoint before"
                )


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written or half-removed."""
    for left_over in [*folder.glob(".step-*.tmp"), *folder.glob(".step-*.old")]:
        shutil.rmtree(left_over, ignore_errors=True)


def newest(folder: Path) -> Checkpoint:
    """The newest checkpoint that is whole. Damaged ones are named on stderr and passed over.

    Raises:
        CheckpointError: there is none.
    """
    found = sorted(folder.glob("step-*"), key=step_of, reverse=True)
    for path in found:
        try:
            verify(path)
            return Checkpoint(path, step_of(path))
        except (DamagedError, OSError) as error:
            print(f"warning: {error}; the checkpoint before it is used", file=sys.stderr)
    what = "every checkpoint there is damaged" if found else "there is no checkpoint there"
    raise CheckpointError(f"{folder}: {what}; train again, or give another run")


def restore(checkpoint: Checkpoint, game: Game) -> dict[str, Any]:
    """Load a checkpoint into a game built with the same options; returns the `extra` that was saved.

    Raises:
        CheckpointError: it holds other networks or parts than the game.
    """
    load_weights(game.generator.net, checkpoint.folder / "generator.safetensors")
    if game.generator.average is not None:
        load_weights(game.generator.average, checkpoint.folder / "ema.safetensors")
    load_weights(game.critic.net, checkpoint.folder / "critic.safetensors")
    try:
        state = torch.load(checkpoint.folder / "state.pt", map_location="cpu", weights_only=True)
        game.load_state_dict(state.pop("game"))
    except (OSError, RuntimeError, KeyError, ValueError, AttributeError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{checkpoint.folder / 'state.pt'} does not match this run: {first_line(error)}"
        ) from error
    return state


def load_weights(net: nn.Module, path: Path) -> None:
    """Load weights from a safetensors file.

    Raises:
        CheckpointError: the file is missing, unreadable or of another network.
    """
    try:
        net.load_state_dict(load_file(path), strict=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path} does not match this run's networks: {first_line(error)}") from error


def tensors(net: nn.Module) -> dict[str, torch.Tensor]:
    """A network's weights and buffers, contiguous and on the CPU, as safetensors wants them."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in net.state_dict().items()}


def step_of(path: Path) -> int:
    """The step in a checkpoint's name, -1 where there is none."""
    digits = path.name.removeprefix("step-")
    return int(digits) if digits.isdecimal() else -1


def first_line(error: BaseException) -> str:
    """An error's message, shortened to one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (" ".join(lines[:2]) or type(error).__name__)[:200]
