"""Whether generated lines are as long as real ones."""

import numpy as np

from seqgan_gp.scores.metrics import METRICS
from seqgan_gp.scores.real import RealLines


@METRICS("length", better="lower", beside=("floor", "chains"))
def length(samples: np.ndarray, real: RealLines) -> float:
    """Absolute difference between the mean lengths of samples and of real lines, in symbols."""
    return abs(float(real.lengths(samples).mean()) - real.facts.mean_length)
