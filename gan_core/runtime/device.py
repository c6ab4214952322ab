"""The device of a run: choosing it, its CPU threads, its support for bfloat16, and copying batches to it."""

import os

import torch
from torch import Tensor

from gan_core.errors import UsageError, named
from gan_core.runtime.pool import processors


def sent(x: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to the device, asynchronously for CUDA.

    The tensor is pinned first: a copy from pageable memory would wait for all work queued on the GPU.
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
    """Set the number of CPU threads.

    threads: 0 for all CPUs available to this process, divided among torchrun's local processes.
    """
    torch.set_num_threads(threads or max(1, processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 natively, which makes it faster than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
