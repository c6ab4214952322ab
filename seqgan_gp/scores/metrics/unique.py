"""How often a generator repeats itself."""

import numpy as np

from seqgan_gp.corpus.corpus import row_hashes
from seqgan_gp.scores.metrics import METRICS
from seqgan_gp.scores.real import RealLines


@METRICS("unique", better="higher", beside=("floor", "chains"))
def unique(samples: np.ndarray, real: RealLines) -> float:
    """Distinct lines among the samples, as a share of the samples."""
    return len(np.unique(row_hashes(samples))) / len(samples)
