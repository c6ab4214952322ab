"""The Frechet distance."""

import numpy as np

from image_gan.scores.metrics.base import METRICS, Features


@METRICS("frechet", better="lower", beside=("real", "noise"))
def frechet_distance(samples: Features, real: Features) -> float:
    """Squared Frechet distance between Gaussians of the features' means and covariances.

    By Inception's features it is the FID: Heusel et al. 2017, arXiv 1706.08500.
    """
    return frechet(real.mean, real.covariance, samples.mean, samples.covariance)


def frechet(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """The squared Frechet distance between two Gaussians: Dowson and Landau 1982.

    |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)). The last trace is the sum of the singular values of
    C1^(1/2) C2^(1/2) with symmetric roots. This avoids the root of the product C1 C2, which is complex for singular
    covariances.
    """
    overlap = np.linalg.svd(root(cov1) @ root(cov2), compute_uv=False).sum()
    return float(max(0.0, np.square(mean1 - mean2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * overlap))


def root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root of a covariance (D, D).

    Eigenvalues of the size of rounding errors are set to 0: the root would turn 1e-16 into 1e-8, thousands of times.
    """
    values, vectors = np.linalg.eigh(covariance)
    rounding = values[-1] * len(values) * np.finfo(np.float64).eps
    return (vectors * np.sqrt(np.where(values > rounding, values, 0))) @ vectors.T
