"""Conditional networks: the generator's input row, and the modules through which labels enter a critic."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_core.sample import Latent


def one_hot(y: Tensor, num_classes: int) -> Tensor:
    """Labels (B,) as one-hot float rows (B, K); an unknown label, -1, gives a row of zeros."""
    return functional.one_hot(y.clamp(min=0), num_classes).float() * (y >= 0).unsqueeze(1)


class Generator(nn.Module):
    """A generator: wraps a domain's network, rows (B, inputs) -> x, and feeds it noise, code and one-hot label.

    num_classes: the number of classes of its labels, 0 for none.
    by_norm: the network takes labels as a second argument, for its conditional normalisation layers; then they are not
        part of the row.
    """

    def __init__(self, net: nn.Module, num_classes: int = 0, by_norm: bool = False) -> None:
        super().__init__()
        self.net, self.num_classes, self.by_norm = net, num_classes, by_norm

    def forward(self, latent: Latent) -> Tensor:
        row = [latent.z] if latent.code is None else [latent.z, latent.code]
        if self.num_classes and not self.by_norm:
            assert latent.y is not None
            row.append(one_hot(latent.y, self.num_classes))
        joined = torch.cat(row, 1)
        return self.net(joined, latent.y) if self.by_norm else self.net(joined)


class LabelEntry(nn.Module):
    """How labels enter a critic. This base class ignores them."""

    def enter(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The trunk's input for x (B, C, ...) and labels y (B,)."""
        return x

    def bonus(self, features: Tensor, y: Tensor | None) -> Tensor | float:
        """The term (B,) that is added to the score."""
        return 0.0


class ConcatEntry(LabelEntry):
    """Appends the one-hot label to the channels of x (B, C, ...), constant over all positions."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def enter(self, x: Tensor, y: Tensor | None) -> Tensor:
        assert y is not None
        planes = one_hot(y, self.num_classes).to(x.dtype)
        planes = planes.view(*planes.shape, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])
        return torch.cat([x, planes], 1)


class ProjectionEntry(LabelEntry):
    """Adds the inner product of the features and the label's embedding to the score; 0 for an unknown label."""

    def __init__(self, num_classes: int, features: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(num_classes, features)
        nn.init.xavier_uniform_(self.embed.weight)  # as in the authors' code; a domain's initialisation may replace it

    def bonus(self, features: Tensor, y: Tensor | None) -> Tensor | float:
        assert y is not None
        return (self.embed(y.clamp(min=0)) * features).sum(1) * (y >= 0)
