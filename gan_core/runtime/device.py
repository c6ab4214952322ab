"""The device that a run computes on: which, how many threads, what arithmetic it has, and how batches get there."""

import os

import torch
from torch import Tensor

from gan_core.errors import UsageError, named
from gan_core.runtime.pool import processors


def sent(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of this machine's memory on the device, where that is another; the program does not wait for it.

    From pageable memory a GPU's copy would wait until all that was asked of the GPU before is done.
    """
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is CUDA, else Apple's MPS, else the CPU.

    Raises:
        UsageError: torch has no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"{named('device', name)} cannot be used here: choose cpu, or see `doctor` for what there is"
        ) from error
    return device


def use_threads(threads: int) -> None:
    """Let torch use so many CPU threads; 0 for as many as this process may run on, shared with others of torchrun."""
    torch.set_num_threads(threads or max(1, processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def has_bf16(device: torch.device) -> bool:
    """Whether arithmetic in bfloat16 is the processor's own, and so faster than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
