"""Batches on their way to the device."""

import torch
from torch import Tensor


def sent(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of this machine's memory on the device, where that is another; the program does not wait for it.

    From pageable memory a GPU's copy would wait until all that was asked of the GPU before is done.
    """
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)
