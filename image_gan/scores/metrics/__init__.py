"""Metrics of images, one file each; importing the package registers them all.

torchmetrics has KID and the Inception Score, but computes them in float32 and draws from torch's global generator, so
that scoring would change training. The tests compare these metrics with it.
"""

import sys

from gan_core.discovery import import_all
from image_gan.scores.metrics.base import METRICS, Features, Spread

__all__ = ["METRICS", "Features", "Spread"]

import_all(sys.modules[__name__])
