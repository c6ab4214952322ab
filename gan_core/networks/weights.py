"""The weight matrices of a network."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding, *TRANSPOSED)


def weighted_layers(net: nn.Module) -> Iterator[Any]:
    """The layers of a network that hold a weight matrix, as `weight`."""
    return (module for module in net.modules() if isinstance(module, WEIGHTED))


def matrix(weight: Tensor, transposed: bool = False) -> Tensor:
    """A weight as a matrix (out, everything else); a transposed convolution has `out` in its second dimension."""
    return (weight.transpose(0, 1) if transposed else weight).flatten(1)
