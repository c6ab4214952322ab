"""The values of all metrics of `seqgan_gp.scores.metrics`, as reports and tables have them."""

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.errors import GanError
from gan_core.evaluation.metrics import Metric
from gan_core.storage.cache import cache_root, kept
from gan_core.storage.sealed import DamagedError, verify
from seqgan_gp.scores.metrics import METRICS
from seqgan_gp.scores.real import RealLines, by_hash

FORMAT = 1  # of the cached values: raise it with any change to what metrics are measured on

Scores = dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Beside:
    """Measures the metrics on held-out lines and on Markov chains, and keeps the values in the cache.

    Attributes:
        real: the lines that samples are compared with. Its fingerprint also determines `heldout` and `draw`.
        heldout: real rows (M, L) that are not in `real`.
        draw: returns samples (num, L) of the Markov chain of each order for a number of samples.
    """

    real: RealLines
    heldout: np.ndarray
    draw: Callable[[int], Mapping[int, np.ndarray]]

    def values(self, num: int) -> Scores:
        """Return for each metric what stands beside it at `num` samples: "floor", "num_floor" and "chains".

        "num_floor" is the number of held-out lines, less than `num` if there are fewer.
        """
        sources = {metric.name: source_digest(metric) for metric in METRICS}
        about = (FORMAT, self.real.fingerprint, num, sources)
        key = hashlib.sha256(json.dumps(about).encode()).hexdigest()

        def read(folder: Path) -> Scores | None:
            try:
                verify(folder)
                return json.loads((folder / "scores.json").read_text())
            except (DamagedError, OSError, ValueError):
                return None

        def write(folder: Path) -> None:
            (folder / "scores.json").write_text(
                json.dumps({metric.name: self._measure(metric, num) for metric in METRICS})
            )

        return kept(cache_root(None), f"scores-{key[:24]}", read, write, key=key)

    def _measure(self, metric: Metric, num: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if "floor" in metric.beside:
            rows = self.heldout[by_hash(self.heldout, num)]
            found |= {"floor": value_of(metric, rows, self.real), "num_floor": len(rows)}
        if "chains" in metric.beside:
            drawn = self.draw(num)
            found["chains"] = {str(order): value_of(metric, rows, self.real) for order, rows in drawn.items()}
        return found


def scores_of(samples: np.ndarray, real: RealLines, beside: Beside | None = None) -> Scores:
    """Return the object "scores" of a report: each metric's "value", which value is "better", and what stands beside.

    samples: rows (N, L), padded after the end of each line.
    """
    others = beside.values(len(samples)) if beside else {}
    return {
        metric.name: {"value": value_of(metric, samples, real), "better": metric.better, **others.get(metric.name, {})}
        for metric in METRICS
    }


def value_of(metric: Metric, rows: np.ndarray, real: RealLines) -> float:
    """Return the value of a metric for rows (N, L).

    Raises:
        GanError: the value is not a finite number.
    """
    value = float(metric.function(rows, real))
    if not math.isfinite(value):
        raise GanError(f"the metric {metric.name} gave {value} where a finite number is needed: correct its function")
    return value


def source_digest(metric: Metric) -> str:
    """Return a hash of the file that defines a metric, so that values of an earlier version are not reused."""
    path = inspect.getsourcefile(metric.function)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path and Path(path).is_file() else ""


def scores_table(scores: Scores) -> list[str]:
    """Return the lines of a table with one row per metric."""
    orders = list(dict.fromkeys(order for score in scores.values() for order in score.get("chains", ())))
    heads = ["better", "generator", "real text"] + [f"order {order}" for order in orders]
    lines = ["Other scores of the same samples; orders are those of Markov chains"]
    lines.append(f"{'':<26}" + "".join(f"{head:>11}" for head in heads).rstrip())
    for name, score in scores.items():
        values = [score["value"], score.get("floor"), *(score.get("chains", {}).get(order) for order in orders)]
        cells = ["" if value is None else f"{value:.4g}" for value in values]
        lines.append((f"{name:<26}{score['better']:>11}" + "".join(f"{cell:>11}" for cell in cells)).rstrip())
    return lines
