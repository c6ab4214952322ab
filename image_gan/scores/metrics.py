"""How far generated images are from real ones, as arrays of features (N, D), whatever network made the features.

All sums are in float64. torchmetrics has two of these scores, KID and the Inception Score, for networks of the
caller's; both draw from torch's global generator, which would let scoring change training, and keep the features'
float32, so they are the tests' independent check here instead of a dependency.
"""

from collections.abc import Iterator

import numpy as np

BLOCK = 1000  # rows of a matrix of distances at a time: 80 MB beside 10,000 columns


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean (D,) and the unbiased covariance (D, D) of features (N, D), N >= 2."""
    mean = features.mean(0, dtype=np.float64)
    covariance = np.zeros((len(mean), len(mean)))
    for start in range(0, len(features), BLOCK):
        centred = features[start : start + BLOCK] - mean
        covariance += centred.T @ centred
    return mean, covariance / (len(features) - 1)


def frechet(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """The squared Frechet distance between two Gaussians: Dowson and Landau 1982; FID: Heusel et al. 2017.

    |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)). The last trace is the sum of the singular values of
    C1^(1/2) C2^(1/2), with symmetric roots: no root of a product, which singular covariances make complex.
    """
    overlap = np.linalg.svd(root(cov1) @ root(cov2), compute_uv=False).sum()
    return float(max(0.0, np.square(mean1 - mean2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * overlap))


def root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root of a covariance (D, D).

    Eigenvalues that are rounding errors count as 0: a root makes them large, 1e-8 of 1e-16, and there can be thousands.
    """
    values, vectors = np.linalg.eigh(covariance)
    rounding = values[-1] * len(values) * np.finfo(np.float64).eps
    return (vectors * np.sqrt(np.where(values > rounding, values, 0))) @ vectors.T


class Compared:
    """Real features (N, D) that many sets of fake ones are compared with: what is theirs alone is measured once."""

    def __init__(self, real: np.ndarray) -> None:
        self.real = real
        self._itself: dict[tuple[int, ...], list[float]] = {}  # the real subsets' part of KID
        self._balls: dict[tuple[int, ...], np.ndarray] = {}

    def kernel_distance(
        self, fake: np.ndarray, subsets: int = 100, size: int = 1000, seed: int = 0
    ) -> tuple[float, float]:
        """See the function of this name."""
        real, key = self.real, (len(fake), subsets, size, seed)
        size = max(2, min(size, min(len(real), len(fake)) // 2))
        rng = np.random.default_rng(seed)
        known, itself, distances = self._itself.get(key), [], []
        for number in range(subsets):
            a, b = (side[rng.choice(len(side), size, replace=False)].astype(np.float64) for side in (real, fake))
            itself.append(mean_kernel(a) if known is None else known[number])
            distances.append(itself[-1] + mean_kernel(b) - 2 * total_kernel(a, b) / (len(a) * len(b)))
        self._itself[key] = itself
        return float(np.mean(distances)), float(np.std(distances))

    def neighbourhoods(self, fake: np.ndarray, k: int = 3, k_density: int = 5) -> dict[str, float]:
        """See the function of this name."""
        real, places = self.real, (k, k_density)
        if places not in self._balls:
            self._balls[places] = nearest(real, places)
        real_ball, real_ball_density = self._balls[places].T
        fake_ball = nearest(fake, (k,))[:, 0]
        in_real, recalled, covered, within = np.zeros(len(fake), bool), [], [], 0
        for block, squared in squared_distances(real, fake):
            in_real |= (squared <= real_ball[block, None]).any(0)
            recalled.append((squared <= fake_ball).any(1))
            close = squared <= real_ball_density[block, None]
            covered.append(close.any(1))
            within += np.count_nonzero(close)
        return {
            "precision": float(in_real.mean()),
            "recall": float(np.concatenate(recalled).mean()),
            "density": float(within / (min(k_density, len(real) - 1) * len(fake))),
            "coverage": float(np.concatenate(covered).mean()),
        }


def kernel_distance(
    real: np.ndarray, fake: np.ndarray, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """KID: the mean and the standard deviation of `mmd2` over random subsets. Binkowski et al. 2018, arXiv 1801.01401.

    A subset holds `size` features of each side, (N, D) and (M, D), or half of the smaller side if that is less: subsets
    that were whole sides would all be equal, and their spread would say nothing.
    """
    return Compared(real).kernel_distance(fake, subsets, size, seed)


def mmd2(a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy of (N, D) and (M, D): Gretton et al. 2012, equation 3.

    The kernel is (x.y / D + 1)^3. It can be negative where the sets are of one distribution.
    """
    return mean_kernel(a) + mean_kernel(b) - 2 * total_kernel(a, b) / (len(a) * len(b))


def total_kernel(x: np.ndarray, y: np.ndarray) -> float:
    """The sum of the kernel of `mmd2` over all pairs of (N, D) and (M, D)."""
    product = x @ y.T
    product /= x.shape[1]
    product += 1
    return float(np.vdot(product * product, product))  # the sum of the cubes, many times faster than ** 3


def mean_kernel(x: np.ndarray) -> float:
    """Its mean over all pairs of two different ones of (N, D)."""
    itself = ((np.square(x).sum(1) / x.shape[1] + 1) ** 3).sum()
    return (total_kernel(x, x) - itself) / (len(x) * (len(x) - 1))


def inception_score(logits: np.ndarray, splits: int = 10, seed: int = 0) -> tuple[float, float]:
    """The Inception Score: mean and standard deviation over splits. Salimans et al. 2016, section 4, and their code.

    exp(mean over x of KL(p(y|x) || p(y))) of the classes' logits (N, K), in a random order, N >= splits.
    """
    logits = np.random.default_rng(seed).permutation(logits).astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    scores = []
    for part in np.array_split(log_p, splits):
        p = np.exp(part)
        # A class that no image of the part is given adds 0: its p is 0 wherever the logarithm of its mean would not be.
        marginal = np.log(p.mean(0).clip(np.finfo(np.float64).tiny))
        scores.append(np.exp((p * (part - marginal)).sum(1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def neighbourhoods(real: np.ndarray, fake: np.ndarray, k: int = 3, k_density: int = 5) -> dict[str, float]:
    """Precision and recall (Kynkaanniemi et al. 2019, arXiv 1904.06991), density and coverage.

    A ball around each feature reaches to its k-th nearest neighbour in its own set. precision: the share of fakes in
    some real ball; recall: the share of reals in some fake ball. With balls of `k_density` neighbours, density: in how
    many real balls a fake is, on average, over k_density; coverage: the share of real balls with a fake in them
    (Naeem et al. 2020, arXiv 2002.09797). real (N, D), fake (M, D), at least two of each: fewer
    than k neighbours count as k. All four depend on N and M: compare them at equal sizes only.
    """
    return Compared(real).neighbourhoods(fake, k, k_density)


def nearest(features: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """Squared distances of features (N, D) to their k-th nearest other ones: (N, number of ks)."""
    places = [min(k, len(features) - 1) for k in ks]  # place 0 is the feature itself
    return np.concatenate(
        [np.partition(squared, places, axis=1)[:, places] for _, squared in squared_distances(features, features)]
    )


def squared_distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield blocks of rows of the squared distances between (N, D) and (M, D), with the rows that they are.

    |x|^2 + |y|^2 - 2 x.y loses digits where features are far from 0 and near each other: what rounding may have made
    is taken as 0, so that equal features are at no distance.
    """
    b = b.astype(np.float64)
    b_squares = np.square(b).sum(1)
    for start in range(0, len(a), BLOCK):
        block = slice(start, min(start + BLOCK, len(a)))
        x = a[block].astype(np.float64)
        scale = np.square(x).sum(1)[:, None] + b_squares
        squared = scale - 2 * (x @ b.T)
        scale *= 1e-12
        squared[squared < scale] = 0
        yield block, squared
