"""Scatter pictures of points, with the critic's value surface behind them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan_core.game.trained import Trained
from gan_core.sample import Sample
from gan_core.storage.sealed import replacing, writing

MARGIN = 0.35  # of the real points' extent, on each side
CELLS = 120  # of the surface, a side
SHOWN = 1_000  # points of a kind


def extent_of(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of what a picture shows: all real points (N, 2), in a square, with a margin."""
    low, high = points.min(0), points.max(0)
    half = (high - low).max() * (0.5 + MARGIN)
    return (low + high) / 2 - half, (low + high) / 2 + half


def surface(trained: Trained, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The critic's score (CELLS, CELLS) over a square, rows from below."""
    x, y = (np.linspace(low[axis], high[axis], CELLS) for axis in (0, 1))
    grid = torch.tensor(np.stack(np.meshgrid(x, y), -1).reshape(-1, 2), dtype=torch.float32)
    shown = None if not trained.prior.num_classes else torch.full((len(grid),), -1)
    return trained.heads(Sample(grid, shown))["score"].reshape(CELLS, CELLS).numpy()


def draw(
    path: Path, real: np.ndarray, samples: np.ndarray | None, values: np.ndarray | None, title: str, extent: Any
) -> None:
    """Write a picture: real points (N, 2), samples (M, 2), and a value surface, where they are there.

    extent: its corners, see `extent_of`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    (left, bottom), (right, top) = extent
    figure: Any = Figure(figsize=(5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if values is not None:
        x, y = np.linspace(left, right, CELLS), np.linspace(bottom, top, CELLS)
        levels = np.linspace(values.min(), max(values.max(), values.min() + 1e-6), 25)
        axes.contourf(x, y, values, levels=levels, cmap="viridis", alpha=0.75)
        axes.contour(x, y, values, levels=levels[::2], colors="white", linewidths=0.5, alpha=0.6)
    axes.scatter(*real[:SHOWN].T, s=6, c="#f28e2b", linewidths=0, label="real")
    if samples is not None:
        axes.scatter(*samples[:SHOWN].T, s=6, c="#111111", linewidths=0, label="generated")
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="auto")
    axes.tick_params(labelsize=7)
    axes.set_title(title, fontsize=9)
    axes.legend(loc="upper right", fontsize=7, markerscale=2)
    with writing(path), replacing(path) as temporary:
        figure.savefig(temporary, dpi=90, format="png")
