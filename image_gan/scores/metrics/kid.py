"""The kernel inception distance (KID)."""

import numpy as np

from image_gan.scores.metrics.base import METRICS, Features, Spread


@METRICS("kid", better="lower", beside=("real", "noise"))
def kid(samples: Features, real: Features) -> Spread:
    """Squared maximum mean discrepancy over random subsets: Binkowski et al. 2018, arXiv 1801.01401."""
    return Spread(*kernel_distance(real, samples))


def kernel_distance(
    real: Features, fake: Features, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The mean and the standard deviation of `mmd2` over random subsets of (N, D) and (M, D) features.

    A subset has `size` features of each side, but at most half of the smaller side: subsets that are the whole sides
    would all be equal, and their standard deviation would be 0. The real subsets' own kernel is computed once.
    """
    key = ("kernel", len(fake.values), subsets, size, seed)
    size = max(2, min(size, min(len(real.values), len(fake.values)) // 2))
    rng = np.random.default_rng(seed)
    pairs = [
        [rng.choice(len(side.values), size, replace=False) for side in (real, fake)] for _ in range(subsets)
    ]  # fmt: skip
    of_real = real.once(key, lambda: [mean_kernel(real.values[rows]) for rows, _ in pairs])
    distances = []
    for own, (rows, others) in zip(of_real, pairs, strict=True):
        a, b = real.values[rows], fake.values[others]
        distances.append(own + mean_kernel(b) - 2 * total_kernel(a, b) / (len(a) * len(b)))
    return float(np.mean(distances)), float(np.std(distances))


def mmd2(a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy of (N, D) and (M, D): Gretton et al. 2012, equation 3.

    The kernel is (x.y / D + 1)^3. The estimate can be negative if both sets are of the same distribution.
    """
    return mean_kernel(a) + mean_kernel(b) - 2 * total_kernel(a, b) / (len(a) * len(b))


def total_kernel(x: np.ndarray, y: np.ndarray) -> float:
    """The sum of the kernel of `mmd2` over all pairs of (N, D) and (M, D)."""
    product = x @ y.T
    product /= x.shape[1]
    product += 1
    return float(np.vdot(product * product, product))  # the sum of the cubes, many times faster than ** 3


def mean_kernel(x: np.ndarray) -> float:
    """The mean of the kernel of `mmd2` over all pairs of two different rows of (N, D)."""
    itself = ((np.square(x).sum(1) / x.shape[1] + 1) ** 3).sum()
    return (total_kernel(x, x) - itself) / (len(x) * (len(x) - 1))
