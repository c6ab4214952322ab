"""Where points come from: mixtures and curves that the literature trains on, and a user's .npy or .csv."""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gan_core.errors import DataError, UsageError, named
from gan_core.labels import UNKNOWN
from gan_core.storage.inputs import naming, path_of
from gan_core.text import printable

LARGEST = 1 << 30  # bytes of a user's file
LEAST = 10  # points of a user's file
REMEDY = "give a .npy file (N, 2), a .csv of two columns of numbers, or the name of built-in points"


@dataclass(frozen=True)
class Points:
    """Points as training sees them: (values - centre) / scale.

    train, heldout: (N, 2) and (M, 2) float32. y: (N,) the number of each training point's component, -1 where there is
    none. modes: (K, 2) centres of the components, () where they have none. spread: their standard deviation.
    """

    description: str
    train: np.ndarray
    heldout: np.ndarray
    y: np.ndarray
    modes: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    spread: float = 0.0
    centre: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    classes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the points."""
        return hashlib.sha256(self.train.tobytes() + self.heldout.tobytes() + self.y.tobytes()).hexdigest()


@dataclass(frozen=True)
class Shape:
    """A distribution that points are drawn from.

    draw: (number, generator) -> points (N, 2) and their components (N,). modes, spread: as in `Points`.
    """

    summary: str
    draw: Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
    modes: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    spread: float = 0.0


def mixture(summary: str, modes: np.ndarray, spread: float) -> Shape:
    """Equal Gaussians around some modes (K, 2)."""

    def draw(num: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        y = rng.integers(len(modes), size=num)
        return modes[y] + spread * rng.standard_normal((num, 2)), y

    return Shape(summary, draw, modes, spread)


def swiss_roll(num: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The spiral t (cos t, sin t) / 7.5 with noise of 0.25 / 7.5, t from 1.5 to 4.5 pi: WGAN-GP's, without labels."""
    t = 1.5 * np.pi * (1 + 2 * rng.random(num))
    points = np.stack([t * np.cos(t), t * np.sin(t)], 1) + 0.25 * rng.standard_normal((num, 2))
    return points / 7.5, np.full(num, UNKNOWN)


def moons(num: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two half circles that reach into each other, with noise of 0.05; a class each."""
    y = rng.integers(2, size=num)
    angle = np.pi * rng.random(num)
    points = np.where(
        y[:, None] == 0,
        np.stack([np.cos(angle), np.sin(angle)], 1),
        np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1),
    )
    return points - [0.5, 0.25] + 0.05 * rng.standard_normal((num, 2)), y


ANGLES = 2 * np.pi * np.arange(8) / 8
RING = 2 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)
GRID = np.stack(np.meshgrid(np.arange(-2.0, 3), np.arange(-2.0, 3)), -1).reshape(-1, 2)
SHAPES = {
    "8gaussians": mixture("a ring of 8 Gaussians, radius 2, standard deviation 0.02", RING, 0.02),
    "25gaussians": mixture("a grid of 25 Gaussians, distance 1, standard deviation 0.05", GRID, 0.05),
    "swiss-roll": Shape("a Swiss roll", swiss_roll),
    "moons": Shape("two moons", moons),
}


def open_points(data: str, num: int, heldout: float, seed: int) -> Points:
    """The points that the option `data` names.

    Args:
        data: a name of SHAPES, or a .npy or .csv file.
        num: how many training points are drawn from a built-in shape.
        heldout: the share of the points that training never sees; of built-in ones as many more are drawn.
        seed: of what is drawn, and of the split.

    Raises:
        DataError: the file cannot be used.
    """
    rng = np.random.default_rng(seed)
    if data in SHAPES:
        shape = SHAPES[data]
        extra = max(LEAST, round(num * heldout / (1 - heldout)))
        points, y = shape.draw(num + extra, rng)
        classes = tuple(map(str, range(int(y.max()) + 1)))
        points = points.astype(np.float32)
        return Points(
            f"{data} ({shape.summary})", points[:num], points[num:], y[:num], shape.modes, shape.spread, classes=classes
        )
    values = read_points(data)
    centre, scale = values.mean(0), values.std(0)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise DataError(f"{printable(data)} has a column with one value only: {REMEDY}")
    values = ((values - centre) / scale)[rng.permutation(len(values))].astype(np.float32)
    first = max(1, round(len(values) * heldout))
    y = np.full(len(values) - first, UNKNOWN)
    return Points(
        f"{printable(data)} ({len(values):,} points)", values[first:], values[:first], y,
        centre=(float(centre[0]), float(centre[1])), scale=(float(scale[0]), float(scale[1])),
    )  # fmt: skip


def read_points(data: str) -> np.ndarray:
    """The points (N, 2) float64 of a .npy or .csv file.

    Raises:
        DataError: it holds none.
    """
    if data not in SHAPES and not Path(data).suffix and not Path(data).exists():
        raise UsageError(
            f"{named('data', printable(data))} is no built-in name: choose from {', '.join(SHAPES)}; or {REMEDY}"
        )
    path, name = path_of(data, REMEDY), printable(data)
    with naming(name, REMEDY):
        if not path.is_file():
            raise DataError(f"{name} is no file: {REMEDY}")
        if path.stat().st_size > LARGEST:
            raise DataError(f"{name} is larger than {LARGEST >> 30} GiB: give a part of it")
        values = read_npy(path, name) if path.suffix.lower() == ".npy" else read_csv(path, name)
    if not np.isfinite(values).all():
        raise DataError(f"{name} has a value that is not finite: remove its row")
    if len(values) < LEAST:
        raise DataError(f"{name} has {len(values)} points, fewer than {LEAST}: give more")
    return values


def read_npy(path: Path, name: str) -> np.ndarray:
    """The points of a .npy file; what its header promises is mapped, not read."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(f"{name} is no .npy file of numbers: {REMEDY}") from error
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "fiu":
        raise DataError(f"{name} holds {array.dtype} {array.shape}, and points are numbers (N, 2): {REMEDY}")
    return np.array(array, np.float64)


def read_csv(path: Path, name: str) -> np.ndarray:
    """The points of a file of two columns, divided by commas, semicolons, tabs or spaces. A header line is skipped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise DataError(f"{name} is neither .npy nor text: {REMEDY}") from error
    head = text[: 1 << 12].partition("\n")[0]
    divider = next((mark for mark in (",", ";", "\t") if mark in head), " ")
    rows = [
        row for row in csv.reader(text.splitlines(), delimiter=divider, skipinitialspace=True) if "".join(row).strip()
    ]
    if rows and not any(map(is_number, rows[0])):
        rows = rows[1:]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or not all(map(is_number, row)):
            shown = printable(divider.join(row))[:60]
            raise DataError(f"{name}, row {number} ({shown}) is not two numbers: {REMEDY}")
    return np.array(rows, np.float64).reshape(-1, 2)


def is_number(text: str) -> bool:
    """Whether a cell of a table is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
