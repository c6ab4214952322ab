"""Optimisers, and how their learning rates fall."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.optim import Adam, Optimizer, RMSprop


def make_adam(parameters: Iterable[nn.Parameter], lr: float, beta1: float, beta2: float) -> Optimizer:
    """Adam (Kingma and Ba 2015), fused into one pass over the weights."""
    parameters = list(parameters)
    return Adam(parameters, lr=lr, betas=(beta1, beta2), fused=parameters[0].device.type in ("cpu", "cuda"))


def make_rmsprop(parameters: Iterable[nn.Parameter], lr: float, beta1: float, beta2: float) -> Optimizer:
    """RMSProp with torch's smoothing of 0.99, as WGAN has it; the betas are Adam's and play no part."""
    return RMSprop(parameters, lr=lr)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adam": make_adam, "rmsprop": make_rmsprop}

# Factor of the learning rate by the share of the run that is done, in [0, 1].
DECAYS: dict[str, Callable[[float], float]] = {
    "none": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
}


def set_learning_rate(optimiser: Optimizer, lr: float) -> None:
    """Set the rate of every parameter group."""
    group: dict[str, Any]
    for group in optimiser.param_groups:
        group["lr"] = lr
