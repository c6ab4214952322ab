"""Points as a domain of the core: the four protocols of `gan_core.domain`."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import point_gan.scores
from gan_core.discovery import import_all
from gan_core.domain import Domain
from gan_core.errors import CheckpointError
from gan_core.game.prior import Prior
from gan_core.game.trained import Picture, Trained
from gan_core.labels import Labels, settle_labels, some_labelled
from gan_core.labels import load as load_labels
from gan_core.networks.conditional import Generator
from gan_core.sample import Sample
from gan_core.storage.animation import animate
from gan_core.storage.inputs import read_limited
from point_gan.networks import Perceptron, initialise
from point_gan.pictures import SHOWN, draw, extent_of, surface
from point_gan.scores import METRICS, Real
from point_gan.settings import PointSettings
from point_gan.sources import Points, open_points, read_points

FRAME_FILE = "points.json"
FRAME_LIMIT = 1 << 16  # bytes; a larger one is not ours

import_all(point_gan.scores)


class PointData:
    """The training points, (B, 2)."""

    def __init__(self, settings: PointSettings, points: Points) -> None:
        self.points = points
        self._labels, self.labels = settle_labels(
            points.y, points.classes, points.description, classes=settings.classes,
            per_class=settings.labels_per_class, seed=settings.seed,
        )  # fmt: skip
        self.labelled = some_labelled(self._labels)
        self.fingerprint = points.fingerprint
        self.num_examples = len(points.train)

    def batch(self, indices: np.ndarray, device: torch.device, step: int) -> Sample:
        y = torch.from_numpy(self._labels[indices]).long().to(device) if len(self.labels) else None
        return Sample(torch.from_numpy(self.points.train[indices]).to(device), y)

    def about(self) -> dict[str, Any]:
        return {"description": self.points.description, "fingerprint": self.fingerprint, "num": self.num_examples}

    def summary(self) -> str:
        points = self.points
        rows = f"{len(points.train):,} points to learn from, {len(points.heldout):,} held out"
        return f"{points.description}: {rows}; {self.labels.told()}"


class PointNetworks:
    """Perceptrons of the settings' width and depth."""

    energy_scale = 1.0

    def __init__(self, settings: PointSettings) -> None:
        self.settings = settings

    def generator(self, prior: Prior) -> nn.Module:
        return Generator(self.decoder(prior.width + prior.num_classes), prior.num_classes)

    def decoder(self, code: int) -> nn.Module:
        return Perceptron(code, self.settings.width, self.settings.depth, outputs=2)

    def trunk(self, extra: int = 0) -> tuple[nn.Module, int]:
        return Perceptron(2 + extra, self.settings.width, self.settings.depth), self.settings.width

    def initialise(self, net: nn.Module) -> None:
        initialise(net, self.settings.init)


class PointSamples:
    """Points as arrays, tables and pictures, in the units of the data."""

    formats: tuple[str, ...] = ("png", "npy", "csv")
    printed: tuple[str, ...] = ("csv",)
    pictured = SHOWN

    def __init__(self, settings: PointSettings, points: Points, labels: Labels) -> None:
        self.settings, self.points, self.labels = settings, points, labels
        self._corners = extent_of(points.heldout)
        low, high = self.in_units(np.array(self._corners, np.float32))
        self._extent = low, high

    def in_units(self, x: np.ndarray) -> np.ndarray:
        """Points (N, 2) as training sees them, in the units of the data."""
        return x * np.array(self.points.scale, np.float32) + np.array(self.points.centre, np.float32)

    def save(self, folder: Path) -> None:
        points = self.points
        frame = {"centre": points.centre, "scale": points.scale, "real": points.heldout[:1000].round(5).tolist()}
        (folder / FRAME_FILE).write_text(json.dumps(frame) + "\n")
        self.labels.save(folder)

    def show(self, stem: Path, picture: Picture, trained: Trained) -> Path:
        path, samples = stem.with_suffix(".png"), self.in_units(values_of(picture.batches))
        values = None if trained.critic is None else surface(trained, *self._corners)
        draw(path, self.in_units(self.points.heldout), samples, values, f"step {stem.name.lstrip('0')}", self._extent)
        if self.settings.animate and stem.name.isdecimal():
            animate(stem.parent)
        return path

    def show_real(self, stem: Path, num: int) -> Path:
        path = stem.with_suffix(".png")
        draw(path, self.in_units(self.points.heldout), None, None, "real points", self._extent)
        return path

    def export(self, batches: Iterable[Sample], form: str, path: Path, columns: int | None = None) -> None:
        samples = list(batches)
        if form == "png":
            draw(path, self.in_units(self.points.heldout), self.in_units(values_of(samples)), None, "", self._extent)
        elif form == "npy":
            with path.open("wb") as file:
                np.save(file, self.in_units(values_of(samples)))
        else:
            path.write_text("".join(self.lines(samples, form, for_terminal=False)))

    def lines(self, batches: Iterable[Sample], form: str, for_terminal: bool) -> Iterator[str]:
        yield "x,y\n"
        for batch in batches:
            for x, y in self.in_units(values_of([batch])):
                yield f"{x:.6g},{y:.6g}\n"

    def preview(self, batches: Iterable[Sample]) -> list[str]:
        return []


class PointScores:
    """Every metric of samples, beside that of as many real points."""

    def __init__(self, settings: PointSettings, points: Points) -> None:
        self.settings, self.points = settings, points

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        return self.score(trained)

    def score(self, trained: Trained, num: int = 0) -> dict[str, Any]:
        """The report of so many samples, as the settings say where it is not given."""
        found = trained.collect(num or self.settings.eval_num, lambda batch: {"x": values_of([batch])})
        return compared(found["x"], self.points) if trained.is_scorer() else {}

    def scalars(self, evaluation: dict[str, Any]) -> dict[str, float]:
        return {name.replace(" ", "_"): scores["samples"] for name, scores in evaluation.get("scores", {}).items()}


def values_of(batches: Iterable[Sample]) -> np.ndarray:
    """Batches of points as one array (N, 2)."""
    return np.concatenate([batch.x.cpu().numpy() for batch in batches])


def compared(samples: np.ndarray, points: Points) -> dict[str, Any]:
    """The report of samples (N, 2): every metric that applies, of them and of real points that training never saw."""
    real = Real(points.train, points.modes, points.spread)
    report: dict[str, Any] = {"num_samples": len(samples), "num_reference": len(real), "scores": {}}
    for metric in METRICS:
        value = metric.function(samples, real)
        if value is not None:
            floor = metric.function(points.heldout[: len(samples)], real)
            report["scores"][metric.name] = {"samples": value, "floor": floor, "better": metric.better}
    return report


def report(evaluation: dict[str, Any]) -> str:
    """An evaluation for people: a table of the metrics, beside real points."""
    head = f"{evaluation['num_samples']:,} samples against {evaluation['num_reference']:,} training points"
    rows = [f"{name:<20}{row['samples']:>12.4g}{row['floor']:>12.4g}" for name, row in evaluation["scores"].items()]
    return "\n".join([head, f"{'':<20}{'samples':>12}{'real':>12}", *rows])


def open_domain(settings: PointSettings) -> Domain:
    """Points, with the settings' data.

    Raises:
        DataError: the data cannot be used.
    """
    points = open_points(settings.data, settings.points, settings.heldout, settings.seed)
    data = PointData(settings, points)
    return Domain(
        name="points", labels=data.labels, networks=PointNetworks(settings),
        samples=PointSamples(settings, points, data.labels), data=data, scores=PointScores(settings, points),
    )  # fmt: skip


def from_checkpoint(settings: PointSettings, folder: Path) -> Domain:
    """Points without data, with the frame and the labels of a checkpoint: samples can be drawn."""
    path = folder / FRAME_FILE
    try:
        about = json.loads(read_limited(path, FRAME_LIMIT))
        x, y = map(float, about["centre"])
        real = np.array(about["real"], np.float32).reshape(-1, 2)
        width, height = map(float, about["scale"])
        if not len(real) or not np.isfinite([x, y, width, height, *real.ravel()]).all() or min(width, height) <= 0:
            raise ValueError("no frame of points")
        points = Points("", real, real, np.zeros(0), centre=(x, y), scale=(width, height))
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise CheckpointError(f"{path} is not readable: take an older checkpoint, or another run") from error
    labels = load_labels(folder)
    return Domain(
        name="points", labels=labels, networks=PointNetworks(settings), samples=PointSamples(settings, points, labels)
    )


def score_files(samples: str, data: str) -> dict[str, Any]:
    """The report of points in a .npy or .csv file against those of `data`.

    Raises:
        DataError: either cannot be used.
    """
    points = open_points(data, 50_000, 0.1, 0)
    return compared(((read_points(samples) - points.centre) / points.scale).astype(np.float32), points)
