"""Casts between autocast's dtype for products and the wider dtype for sums."""

import torch
from torch import Tensor


def upcast(x: Tensor) -> Tensor:
    """Upcast to float32 (float64 stays), so that scores and gradient norms are not accumulated in bfloat16."""
    return x if x.dtype == torch.float64 else x.float()


def downcast(*tensors: Tensor) -> list[Tensor]:
    """Cast to autocast's dtype if autocast is on.

    It is off during backward, where the dtypes of all operands must already agree.
    """
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return list(tensors)
    return [tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors]
