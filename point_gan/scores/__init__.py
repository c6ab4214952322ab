"""Scores of points. A metric is one function in one file of this folder: it registers itself."""

from dataclasses import dataclass

import numpy as np

from gan_core.evaluation.metrics import Metrics


@dataclass(frozen=True)
class Real:
    """What samples are compared with: real points (N, 2), and the modes (K, 2) and the spread of their distribution.

    modes: () where the distribution has none.
    """

    points: np.ndarray
    modes: np.ndarray
    spread: float

    def __len__(self) -> int:
        return len(self.points)


# A metric is a function (samples (N, 2), Real) -> a number, None where it does not apply.
METRICS: Metrics = Metrics(beside=("floor",))
