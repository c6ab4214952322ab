"""Precision, recall, density and coverage, which are computed together from the same distances.

A ball around each feature reaches to its k-th nearest neighbour in its own set. All four scores depend on the number of
features of each side: compare them at equal numbers only.
"""

from collections.abc import Iterator

import numpy as np

from image_gan.scores.metrics.base import METRICS, Features

BLOCK = 1000  # rows of a matrix of distances at a time: 80 MB if it has 10,000 columns


@METRICS("precision", better="higher", beside=("real",))
def precision(samples: Features, real: Features) -> float:
    """Share of the samples inside a real image's ball: Kynkaanniemi et al. 2019, arXiv 1904.06991."""
    return neighbourhoods(real, samples)["precision"]


@METRICS("recall", better="higher", beside=("real",))
def recall(samples: Features, real: Features) -> float:
    """Share of the real images inside a sample's ball: Kynkaanniemi et al. 2019, arXiv 1904.06991."""
    return neighbourhoods(real, samples)["recall"]


@METRICS("density", better="higher", beside=("real",))
def density(samples: Features, real: Features) -> float:
    """Mean number of real images' balls around a sample, over k: Naeem et al. 2020, arXiv 2002.09797."""
    return neighbourhoods(real, samples)["density"]


@METRICS("coverage", better="higher", beside=("real",))
def coverage(samples: Features, real: Features) -> float:
    """Share of the real images' balls that hold a sample: Naeem et al. 2020, arXiv 2002.09797."""
    return neighbourhoods(real, samples)["coverage"]


def neighbourhoods(real: Features, fake: Features, k: int = 3, k_density: int = 5) -> dict[str, float]:
    """All four scores of (N, D) and (M, D) features, at least two of each, computed once for each pair.

    k is that of precision and recall, `k_density` that of density and coverage; a set with fewer than k neighbours uses
    as many as it has.
    """
    return fake.once((real, k, k_density), lambda: measured(real, fake, k, k_density))


def measured(real: Features, fake: Features, k: int, k_density: int) -> dict[str, float]:
    """The scores of `neighbourhoods`. The radii of the real balls are computed once."""
    places = (k, k_density)
    real_ball, real_ball_density = real.once(("balls", places), lambda: nearest(real.values, places)).T
    fake_ball = nearest(fake.values, (k,))[:, 0]
    num_real, num_fake = len(real.values), len(fake.values)
    in_real, recalled, covered, within = np.zeros(num_fake, bool), [], [], 0
    for block, squared in squared_distances(real.values, fake.values):
        in_real |= (squared <= real_ball[block, None]).any(0)
        recalled.append((squared <= fake_ball).any(1))
        close = squared <= real_ball_density[block, None]
        covered.append(close.any(1))
        within += np.count_nonzero(close)
    return {
        "precision": float(in_real.mean()),
        "recall": float(np.concatenate(recalled).mean()),
        "density": float(within / (min(k_density, num_real - 1) * num_fake)),
        "coverage": float(np.concatenate(covered).mean()),
    }


def nearest(features: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """The squared distances (N, number of ks) of features (N, D) to their k-th nearest other features."""
    places = [min(k, len(features) - 1) for k in ks]  # place 0 is the feature itself
    return np.concatenate(
        [np.partition(squared, places, axis=1)[:, places] for _, squared in squared_distances(features, features)]
    )


def squared_distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the squared distances between (N, D) and (M, D) in blocks of rows, each with the slice of its rows.

    |x|^2 + |y|^2 - 2 x.y loses digits if features are near each other and far from 0. Values within the rounding error
    are set to 0, so that equal features have distance 0.
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
