"""How much of the training data a generator reproduces."""

import numpy as np

from seqgan_gp.scores.metrics import METRICS
from seqgan_gp.scores.real import RealLines


@METRICS("copied", better="lower", beside=("floor", "chains"))
def copied(samples: np.ndarray, real: RealLines) -> float:
    """Share of the samples that equal a line of the training data, word for word, as far as rows reach."""
    return float(real.hold(samples).mean())
