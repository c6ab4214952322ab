"""The Inception Score."""

import math

import numpy as np

from image_gan.scores.metrics.base import METRICS, Features, Spread

SPLITS = 10


@METRICS("inception_score", better="higher", beside=("real",))
def of_samples(samples: Features, real: Features) -> float:
    """Inception Score of the samples' class logits: Salimans et al. 2016, arXiv 1606.03498, section 4."""
    if samples.logits is None:
        return math.nan
    return Spread(*inception_score(samples.logits, min(SPLITS, len(samples.logits))))


def inception_score(logits: np.ndarray, splits: int = SPLITS, seed: int = 0) -> tuple[float, float]:
    """The mean and the standard deviation of the Inception Score over splits, as in the authors' code.

    exp(mean over x of KL(p(y|x) || p(y))) of class logits (N, K), N >= splits, which are split in a random order.
    """
    logits = np.random.default_rng(seed).permutation(logits).astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    scores = []
    for own in np.array_split(log_p, splits):
        p = np.exp(own)
        # If the mean of a class is 0, so is its p in every row: the clip only avoids the logarithm of 0.
        marginal = np.log(p.mean(0).clip(np.finfo(np.float64).tiny))
        scores.append(np.exp((p * (own - marginal)).sum(1).mean()))
    return float(np.mean(scores)), float(np.std(scores))
