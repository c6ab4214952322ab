"""`TextNetwork`: an architecture for text, and the registry of all of them.

An architecture is one class in one file of this folder, which registers itself by being defined with a name:
`class WganGp(TextNetwork, name="wgan-gp")`. The option `arch` chooses it. Its own fields, declared by `option`, are its
options.
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, dataclass_transform

import torch
from torch import nn

from gan_core.discovery import import_all
from gan_core.errors import UsageError, named
from gan_core.parts.fields import option
from seqgan_gp import networks


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of text networks.

    Attributes:
        symbols: V, symbols in the vocabulary.
        length: L, symbols per line.
        width: channels of the widest layer.
        depth: residual blocks per network.
        kernel: kernel width of the blocks' convolutions, odd.
        res_scale: factor of a block's residual branch.
    """

    symbols: int
    length: int
    width: int
    depth: int
    kernel: int = 5
    res_scale: float = 0.3


@dataclass_transform(field_specifiers=(option,), kw_only_default=True)
@dataclass(frozen=True, kw_only=True)
class TextNetwork(ABC):
    """An architecture: a generator of text, and the trunk of a critic below its linear heads.

    Text is (B, V, L): symbols are channels, one-hot for real text, a softmax over V for generated text.

    shape: the sizes of the networks.
    """

    shape: Shape
    name: ClassVar[str]

    def __init_subclass__(cls, name: str = "") -> None:
        super().__init_subclass__()
        dataclass(frozen=True, kw_only=True)(cls)
        if not name:
            return  # a base of several architectures
        if name in NETWORKS:
            raise ValueError(f"two text networks are called {name!r}: {NETWORKS[name].__name__} and {cls.__name__}")
        cls.name = name
        NETWORKS[name] = cls

    @classmethod
    def options(cls) -> list[dataclasses.Field]:
        """Return the fields that are options of this architecture alone."""
        return [field for field in dataclasses.fields(cls) if "help" in field.metadata]

    @abstractmethod
    def generator(self, inputs: int) -> nn.Module:
        """Return a new network from noise (B, inputs) to text (B, V, L)."""

    @abstractmethod
    def trunk(self, more: int = 0) -> tuple[nn.Module, int]:
        """Return a new network from text with `more` further channels, (B, V + more, L), to features (B, F), and F."""

    def decoder(self, code: int) -> nn.Module:
        """Return a new network from an encoding (B, code) to text (B, V, L), for autoencoder critics."""
        return self.generator(code)


NETWORKS: dict[str, type[TextNetwork]] = {}


def make_network(arch: str, shape: Shape, options: Mapping[str, Any] | None = None) -> TextNetwork:
    """Return the architecture of that name; `options` are values of its own fields.

    Raises:
        UsageError: there is no such architecture, or it has no such option.
    """
    import_all(networks)
    if arch not in NETWORKS:
        raise UsageError(f"{named('arch', arch)} does not exist: choose from {', '.join(NETWORKS)}")
    kind, own = NETWORKS[arch], dict(options or {})
    names = [field.name for field in kind.options()]
    if unknown := set(own) - set(names):
        raise UsageError(f"{named('arch', arch)} has no option {min(unknown)}: it has {', '.join(names) or 'none'}")
    return kind(shape=shape, **own)


@torch.no_grad()
def initialise(net: nn.Module, init: str) -> None:
    """Set the weights of a network: `paper` is the authors' initialisation, `torch` leaves PyTorch's defaults.

    The authors' code: convolutions uniform with std sqrt(4 / (fan_in + fan_out)), where the fans count the kernel;
    linear layers uniform with std sqrt(2 / (fan_in + fan_out)) (Glorot); biases 0.
    """
    if init == "torch":
        return
    for module in net.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            kernel = math.prod(module.weight.shape[2:])
            fans = kernel * (module.weight.shape[0] + module.weight.shape[1])
            bound = math.sqrt(3 * (4 if isinstance(module, nn.Conv1d) else 2) / fans)
            module.weight.uniform_(-bound, bound)
            module.bias.zero_()
