"""Casts between the precision of autocast and that of sums."""

import torch
from torch import Tensor


def upcast(x: Tensor) -> Tensor:
    """At least float32: what autocast made narrow, scores and slopes are summed in."""
    return x if x.dtype == torch.float64 else x.float()


def downcast(*tensors: Tensor) -> list[Tensor]:
    """In the type that autocast has for products, where it is on: backward it is off, and the types must agree."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return list(tensors)
    return [tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors]
