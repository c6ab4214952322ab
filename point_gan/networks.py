"""Perceptrons for points: ReLU, no normalisation, as in WGAN-GP's toy experiments (Gulrajani et al. 2017, appendix)."""

from itertools import pairwise

from torch import Tensor, nn

from gan_core.ops.activations import ReLU
from gan_core.ops.precision import upcast


class Perceptron(nn.Sequential):
    """Rows (B, inputs) -> rows (B, outputs), by `depth` hidden layers of `width`; outputs 0: the last hidden layer."""

    def __init__(self, inputs: int, width: int, depth: int, outputs: int = 0) -> None:
        widths = [inputs, *[width] * depth]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), ReLU()]
        super().__init__(*layers, *([nn.Linear(widths[-1], outputs)] if outputs else []))

    def forward(self, x: Tensor) -> Tensor:
        return upcast(super().forward(x))


def initialise(net: nn.Module, init: str) -> None:
    """`he`: normal weights of variance 2 / inputs, biases 0 (He et al. 2015); `torch`: PyTorch's, left as they are."""
    if init == "torch":
        return
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
