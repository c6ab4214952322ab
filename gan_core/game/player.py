"""A player: a network with its optimiser, its constraints, and the running average of its weights."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_core.networks.timed import at_step
from gan_core.parts.base import Constraint
from gan_core.runtime import dist
from gan_core.runtime.engine import Terms
from gan_core.schedules.base import Number, at


class Player:
    """A network with its optimiser, its constraints and, if asked for, a running average of its weights.

    ema: decay of the average, 0 for no average. After n steps the decay is min(ema, (1 + n) / (10 + n)), so that the
        average of a short run is not dominated by the initial weights.
    rates: the optimiser's numbers that may follow a schedule: `lr`, `beta1`, `beta2`. Missing ones stay as the
        optimiser has them.
    """

    def __init__(
        self,
        net: nn.Module,
        optimiser: Optimizer,
        constraints: Sequence[Constraint] = (),
        ema: Number = 0.0,
        rates: Mapping[str, Number] | None = None,
    ) -> None:
        self.net, self.optimiser, self.constraints, self.ema = net, optimiser, list(constraints), ema
        self.rates = dict(rates or {})
        self.average = copy.deepcopy(net).requires_grad_(False) if ema else None
        self.parameters: list[Tensor] = list(net.parameters())
        self.steps = 0
        self.decay = at(ema, 0)

    @property
    def best(self) -> nn.Module:
        """The network to sample from: the running average if there is one."""
        return self.net if self.average is None else self.average

    def at_step(self, step: int, factor: float = 1.0) -> None:
        """Set the network's, the optimiser's and the average's scheduled numbers to their values at a generator step.

        factor: multiplies the learning rate.
        """
        at_step(self.net, step)
        self.decay = at(self.ema, step)
        now = {name: at(number, step) for name, number in self.rates.items()}
        group: dict[str, Any]
        for group in self.optimiser.param_groups:
            if "lr" in now:
                group["lr"] = now["lr"] * factor
            if "betas" in group:
                beta1, beta2 = group["betas"]
                group["betas"] = (now.get("beta1", beta1), now.get("beta2", beta2))

    def learn(self, micro_batches: int = 1) -> Terms:
        """One optimiser step by the gradients in the network plus those of the constraints' costs.

        Returns the gradient norm and whether the step was skipped. If the norm is not finite, the step is skipped:
        weights, average and optimiser do not change.

        micro_batches: the number of micro-batches that the gradients are the sum of.
        """
        if micro_batches > 1:
            torch._foreach_div_([p.grad for p in self.parameters if p.grad is not None], micro_batches)
        for constraint in self.constraints:
            cost = constraint.cost(self.net)
            if cost is not None:
                (cost / dist.size()).backward()
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        dist.add_up(gradients)
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        finite = torch.isfinite(norm)
        if finite:
            self.optimiser.step()
            self.steps += 1
            for constraint in self.constraints:
                constraint.enforce(self.net)
            self._follow()
        return {"gradient": torch.where(finite, norm, 0.0), "skipped": (~finite).float()}

    @torch.no_grad()
    def _follow(self) -> None:
        """Update the running average with the current weights."""
        if self.average is None:
            return
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(list(self.average.parameters()), self.parameters, weight)
        for mine, its in zip(self.average.buffers(), self.net.buffers(), strict=True):
            mine.copy_(its)

    def state_dict(self) -> dict[str, Any]:
        """The state that is not in the networks' weights."""
        return {"optimiser": self.optimiser.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps = state["steps"]
