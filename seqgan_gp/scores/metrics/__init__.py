"""Metrics of generated text: one function in one file of this folder, registered by `@METRICS(...)`.

A metric takes samples, an integer array (N, L) in which each row is padded after its line, and the `RealLines` that
they are compared with, and returns a finite number. Nothing else is needed for it to appear in `evaluate` (the table,
and "scores" of --json), in TensorBoard and in curves.png. `beside` names what else it is measured on at the same size:

- "floor": held-out real lines;
- "chains": samples of Markov chains of order 1 to 5 that were fitted to the training lines.

The protocol "plain" compares two files and has neither.
"""

import sys
from collections.abc import Callable

import numpy as np

from gan_core.discovery import import_all
from gan_core.evaluation.metrics import Metrics
from seqgan_gp.scores.real import RealLines

METRICS: Metrics[Callable[[np.ndarray, RealLines], float]] = Metrics(beside=("floor", "chains"))

import_all(sys.modules[__name__])
