"""Reduction of learning rates on a plateau of a loss's measure of convergence."""

import math
from typing import Any

import torch
from torch import Tensor


class ReduceOnPlateau:
    """Halves a factor whenever a measure stops falling: BEGAN, Berthelot et al. 2017, arXiv 1703.10717, section 4.1.

    The publication does not define a plateau. Here, the measure is on a plateau if its mean over `patience` steps is
    not below the lowest such mean so far. With a patience of 0 the factor stays 1.
    """

    def __init__(self, patience: int = 0) -> None:
        self.patience = patience
        self.factor, self.lowest = 1.0, math.inf
        self.total, self.count = torch.zeros(()), 0

    def watch(self, measure: Tensor | None) -> None:
        """Add the measure after a step. Its mean is read from the device once in `patience` steps."""
        if measure is None or not self.patience:
            return
        self.total, self.count = self.total.to(measure.device) + measure, self.count + 1
        if self.count < self.patience:
            return
        mean = float(self.total) / self.count
        self.factor *= 1.0 if mean < self.lowest else 0.5
        self.lowest = min(mean, self.lowest)
        self.total, self.count = torch.zeros(()), 0

    def state_dict(self) -> dict[str, Any]:
        """The state that a resumed run needs."""
        return {"factor": self.factor, "lowest": self.lowest, "total": self.total.cpu(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.factor, self.lowest = float(state["factor"]), float(state["lowest"])
        self.total, self.count = state["total"] + 0.0, int(state["count"])
