"""Optimisers by name."""

from collections.abc import Callable, Iterable

from torch import nn
from torch.optim import Adam, Optimizer, RMSprop


def make_adam(parameters: Iterable[nn.Parameter], lr: float, beta1: float, beta2: float) -> Optimizer:
    """Adam (Kingma and Ba 2015), fused into one pass over the weights."""
    parameters = list(parameters)
    return Adam(parameters, lr=lr, betas=(beta1, beta2), fused=parameters[0].device.type in ("cpu", "cuda"))


def make_rmsprop(parameters: Iterable[nn.Parameter], lr: float, beta1: float, beta2: float) -> Optimizer:
    """RMSProp with torch's smoothing constant of 0.99, as in WGAN; beta1 and beta2 are ignored."""
    return RMSprop(parameters, lr=lr)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adam": make_adam, "rmsprop": make_rmsprop}
