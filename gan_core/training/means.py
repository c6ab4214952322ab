"""Running means that stay on the device until they are read."""

import torch
from torch import Tensor


class Means:
    """Means of named scalars since the last `read`. `add` never waits for the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, scalars: dict[str, Tensor]) -> None:
        """Add one value to each named mean."""
        for name, value in scalars.items():
            total = self._sums.get(name)
            self._sums[name] = value.detach().clone() if total is None else total.add_(value.detach())
            self._counts[name] = self._counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        """Return the means, in one transfer from the device, and reset them."""
        if not self._sums:
            return {}
        values = torch.stack([value.double().reshape(()) for value in self._sums.values()]).tolist()
        means = {name: value / self._counts[name] for name, value in zip(self._sums, values, strict=True)}
        self._sums, self._counts = {}, {}
        return means

    def state_dict(self) -> dict[str, dict]:
        """The sums and counts since the last `read`."""
        return {
            "sums": {name: value.cpu() for name, value in self._sums.items()},
            "counts": dict(self._counts),
        }

    def load_state_dict(self, state: dict[str, dict]) -> None:
        """The inverse of `state_dict`."""
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])
