"""How samples spread over the modes of a mixture (after Srivastava et al. 2017, arXiv 1705.07761, section 4.1).

A sample belongs to its nearest mode, and is of high quality within three standard deviations of it.
"""

import numpy as np

from point_gan.scores import METRICS, Real

NEAR = 3.0  # standard deviations
LEAST = 0.1  # of its share that a covered mode has


def assigned(samples: np.ndarray, real: Real) -> tuple[np.ndarray, np.ndarray]:
    """The number (N,) of the nearest mode of each sample, and whether it is near."""
    distances = np.linalg.norm(samples[:, None] - real.modes[None], axis=2)
    return distances.argmin(1), distances.min(1) <= NEAR * real.spread


@METRICS("modes covered", better="higher", beside=("floor",))
def modes_covered(samples: np.ndarray, real: Real) -> float | None:
    """Modes that have at least a tenth of their share of the samples near them."""
    if not len(real.modes):
        return None
    mode, near = assigned(samples, real)
    counts = np.bincount(mode[near], minlength=len(real.modes))
    return float((counts >= LEAST * len(samples) / len(real.modes)).sum())


@METRICS("high quality", better="higher", beside=("floor",))
def high_quality(samples: np.ndarray, real: Real) -> float | None:
    """The share of samples within three standard deviations of a mode."""
    return float(assigned(samples, real)[1].mean()) if len(real.modes) else None


@METRICS("reverse KL", better="lower", beside=("floor",))
def reverse_kl(samples: np.ndarray, real: Real) -> float | None:
    """KL(samples || real) over the modes in nats. A sample counts for its nearest mode; all modes are as likely."""
    if not len(real.modes):
        return None
    shares = np.bincount(assigned(samples, real)[0], minlength=len(real.modes)) / len(samples)
    shares = shares[shares > 0]
    return float((shares * np.log(shares * len(real.modes))).sum())
