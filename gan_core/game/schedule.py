"""Optimisers, and how their learning rates fall."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
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
    "stall": lambda done: 1.0,  # left to `Stall`
}


class Stall:
    """Halves a factor whenever a measure of convergence stops falling: BEGAN, arXiv 1703.10717, section 4.1.

    The publication does not say when a measure has stalled. Here it has where its mean over `patience` steps is
    not below the lowest such mean before.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.factor, self.lowest = 1.0, math.inf
        self.total, self.count = torch.zeros(()), 0

    def watch(self, measure: Tensor) -> None:
        """Take in the measure after a step. It is read from its device once in `patience` steps."""
        self.total, self.count = self.total.to(measure.device) + measure, self.count + 1
        if self.count < self.patience:
            return
        mean = float(self.total) / self.count
        self.factor *= 1.0 if mean < self.lowest else 0.5
        self.lowest = min(mean, self.lowest)
        self.total, self.count = torch.zeros(()), 0

    def state_dict(self) -> dict[str, Any]:
        """What resuming needs."""
        return {"factor": self.factor, "lowest": self.lowest, "total": self.total.cpu(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.factor, self.lowest = state["factor"], state["lowest"]
        self.total, self.count = state["total"], state["count"]


def set_learning_rate(optimiser: Optimizer, lr: float) -> None:
    """Set the rate of every parameter group."""
    group: dict[str, Any]
    for group in optimiser.param_groups:
        group["lr"] = lr
