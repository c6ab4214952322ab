"""The exact Wasserstein-1 distance between two sets of points."""

import numpy as np

from point_gan.scores import METRICS, Real

MOST = 1_000  # points of a side: the assignment takes their number to the third power


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """The mean distance of the cheapest one-to-one assignment of points (N, 2) to points (N, 2)."""
    from scipy.optimize import linear_sum_assignment

    distances = np.linalg.norm(a[:, None].astype(np.float64) - b[None].astype(np.float64), axis=2)
    return float(distances[linear_sum_assignment(distances)].mean())


@METRICS("Wasserstein-1", better="lower", beside=("floor",))
def wasserstein_1(samples: np.ndarray, real: Real) -> float:
    """Exact optimal transport between as many samples as real points, at most 1,000 of each."""
    num = min(len(samples), len(real), MOST)
    return wasserstein(samples[:num], real.points[:num])
