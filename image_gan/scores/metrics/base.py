"""What a metric of images is computed from, and the registry of the metrics."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np

from gan_core.evaluation.metrics import Metrics

T = TypeVar("T")
BLOCK = 1000  # rows that are converted to float64 at a time


class Features:
    """What a backbone computes of a set of images.

    Attributes:
        values: features (N, D) float64 of at most `report.MAX_COMPARED` of the images. The samples and the real images
            that a metric compares have the same N.
        logits: class logits (M, K) of all images; None if the backbone has none, and for real images.
        mean, covariance: (D,) and (D, D) float64, of all images.
    """

    def __init__(
        self,
        values: np.ndarray,
        logits: np.ndarray | None = None,
        moments_of_all: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.values = values.astype(np.float64)
        self.logits = logits
        self.mean, self.covariance = moments(values) if moments_of_all is None else moments_of_all
        self._known: dict[Hashable, Any] = {}

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The result of a function, computed on the first call with this key and kept after."""
        if key not in self._known:
            self._known[key] = compute()
        return self._known[key]


class Spread(float):
    """The mean of a metric over random subsets of the images, with its standard deviation `std`."""

    def __new__(cls, mean: float, std: float) -> "Spread":
        self = super().__new__(cls, mean)
        self.std = float(std)
        return self

    std: float


# A metric is a function of the samples and the real images; NaN where it cannot be computed.
METRICS: Metrics[Callable[[Features, Features], float]] = Metrics(beside=("real", "noise"))


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean (D,) and the unbiased covariance (D, D) in float64 of features (N, D), N >= 2."""
    mean = features.mean(0, dtype=np.float64)
    covariance = np.zeros((len(mean), len(mean)))
    for start in range(0, len(features), BLOCK):
        centred = features[start : start + BLOCK] - mean
        covariance += centred.T @ centred
    return mean, covariance / (len(features) - 1)
