"""Checkpoints: complete, checksummed, and sufficient to resume a run.

`step-000500/` contains generator.safetensors, ema.safetensors (if the generator has a running average),
critic.safetensors, state.pt (optimisers, controllers, counters), the domain's files for decoding samples, and
manifest.json with the SHA-256 of each file. Nothing is unpickled: weights are safetensors, and state.pt is read with
weights_only=True.
"""

import io
import pickle
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
from torch import nn

from gan_core.domain import Samples
from gan_core.errors import CheckpointError, DivergedError, GanError, named
from gan_core.game.game import Game
from gan_core.storage.sealed import DamagedError, sealed_folder, verify, writing

UNUSABLE = (  # errors raised on reading weights and states that are damaged or belong to another run
    OSError, RuntimeError, LookupError, ValueError, AttributeError, TypeError, ArithmeticError, AssertionError,
    EOFError, MemoryError, pickle.UnpicklingError, SafetensorError,
)  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has passed `verify`: its folder and its step."""

    folder: Path
    step: int


def save(folder: Path, game: Game, samples: Samples, extra: dict[str, Any], keep: int) -> Checkpoint:
    """Write a checkpoint of a game into the folder of checkpoints; delete all but the `keep` newest.

    The new checkpoint is verified before an older one is deleted, so a good one always remains. Checkpoints of later
    steps are deleted too: a run only goes back behind them if they are damaged.

    Raises:
        DivergedError: a weight is not finite; nothing is written.
        GanError: the disk is full, or reading does not return what was written; older checkpoints stay.
    """
    refuse_non_finite(game)
    sweep(folder)
    target = folder / f"step-{game.step:06d}"
    full = "free some space there, then resume; older checkpoints were kept"
    with writing(target, full), sealed_folder(target, step=game.step, torch=torch.__version__) as temporary:
        # Write the bytes here: the libraries' own writers report a full disk by other exceptions or not at all.
        (temporary / "generator.safetensors").write_bytes(as_bytes(tensors(game.generator.net)))
        if game.generator.average is not None:
            (temporary / "ema.safetensors").write_bytes(as_bytes(tensors(game.generator.average)))
        (temporary / "critic.safetensors").write_bytes(as_bytes(tensors(game.critic.net)))
        state = io.BytesIO()
        torch.save({"game": game.state_dict(), **extra}, state)
        (temporary / "state.pt").write_bytes(state.getbuffer())
        samples.save(temporary)
    try:
        verify(target)
    except DamagedError as error:
        raise GanError(f"{error}, just after it was written: check the disk; older checkpoints were kept") from error
    found = in_order(folder)
    until_now = [path for path in found if step_of(path) <= game.step]
    later = found[len(until_now) :]
    for old in [*until_now[:-keep], *later]:
        leaving = old.with_name(f".{old.name}.old")  # renamed first, so that a kill leaves no half checkpoint
        old.rename(leaving)
        shutil.rmtree(leaving)
    return Checkpoint(target, game.step)


def refuse_non_finite(game: Game) -> None:
    """Refuse to save a game that has non-finite weights.

    Raises:
        DivergedError: the message names the first non-finite tensor.
    """
    nets = {"generator": game.generator.net, "average": game.generator.average, "critic": game.critic.net}
    for role, net in nets.items():
        for name, value in net.state_dict().items() if net is not None else ():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise DivergedError(
                    f"training diverged: {name} of the {role} is not finite at step {game.step}, which was not saved; "
                    f"lower {named('critic_lr')} and {named('generator_lr')} and resume from the checkpoint before"
                )


def sweep(folder: Path) -> None:
    """Remove checkpoints that a killed process left half-written or half-removed."""
    for left_over in [*folder.glob(".step-*.tmp"), *folder.glob(".step-*.old")]:
        shutil.rmtree(left_over, ignore_errors=True)


def in_order(folder: Path) -> list[Path]:
    """The folders named `step-NUMBER`, whole or damaged, in order of step; copies under other names are ignored."""
    return sorted((path for path in folder.glob("step-*") if step_of(path) >= 0), key=step_of)


def newest(folder: Path) -> Checkpoint:
    """The newest intact checkpoint. Damaged ones are reported on stderr and skipped.

    Raises:
        CheckpointError: there is no intact checkpoint.
    """
    found = in_order(folder)
    for path in reversed(found):
        try:
            verify(path)
            return Checkpoint(path, step_of(path))
        except (DamagedError, OSError) as error:
            print(f"warning: {error}; the checkpoint before it is used", file=sys.stderr)
    what = "every checkpoint there is damaged" if found else "there is no checkpoint there"
    raise CheckpointError(f"{folder}: {what}; train again, or give another run")


def latest(folder: Path) -> Checkpoint | None:
    """The newest intact checkpoint, or None if none has been saved.

    Raises:
        CheckpointError: all saved checkpoints are damaged.
    """
    return newest(folder) if in_order(folder) else None


def restore(checkpoint: Checkpoint, game: Game) -> dict[str, Any]:
    """Load a checkpoint into a game built with the same options; return the `extra` that was saved with it.

    Raises:
        CheckpointError: the checkpoint's networks or parts differ from the game's.
    """
    load_weights(game.generator.net, checkpoint.folder / "generator.safetensors")
    if game.generator.average is not None:
        load_weights(game.generator.average, checkpoint.folder / "ema.safetensors")
    load_weights(game.critic.net, checkpoint.folder / "critic.safetensors")
    try:
        refuse_packed(checkpoint.folder / "state.pt")
        state = torch.load(checkpoint.folder / "state.pt", map_location="cpu", weights_only=True)
        game.load_state_dict(state.pop("game"))
    except UNUSABLE as error:
        raise CheckpointError(
            f"{checkpoint.folder / 'state.pt'} does not match this run: {first_line(error)}"
        ) from error
    return state


def refuse_packed(path: Path) -> None:
    """Refuse a torch.save file with compressed members: torch writes none, and a megabyte could unpack to a gigabyte.

    Raises:
        ValueError: a member is compressed, or the file was not written by torch.save.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is packed")
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError("it is no file of torch.save") from error


def load_weights(net: nn.Module, path: Path) -> None:
    """Load weights from a safetensors file.

    Raises:
        CheckpointError: the file is missing, unreadable, or belongs to another network.
    """
    try:
        net.load_state_dict(load_file(path), strict=True)
    except UNUSABLE as error:
        raise CheckpointError(f"{path} does not match this run's networks: {first_line(error)}") from error


def tensors(net: nn.Module) -> dict[str, torch.Tensor]:
    """A network's weights and buffers, contiguous and on the CPU, as safetensors requires."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in net.state_dict().items()}


def step_of(path: Path) -> int:
    """The step in a checkpoint's name; -1 if the name has none."""
    digits = path.name.removeprefix("step-")
    return int(digits) if digits.isdecimal() else -1


def first_line(error: BaseException) -> str:
    """The first two lines of an error's message as one, at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (" ".join(lines[:2]) or type(error).__name__)[:200]
