"""Scores samples by every registered metric, beside what real images and meaningless images score at the same number.

Samples are scored as the uint8 images that people see. Only the backbone resizes them, and nothing is stretched.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.errors import DataError, GanError, UsageError, named
from gan_core.storage.cache import cache_root, kept
from gan_core.storage.sealed import DamagedError, verify
from image_gan.dataset.dataset import ImageSet
from image_gan.scores.backbones import Backbone
from image_gan.scores.metrics import METRICS, Features, Spread
from image_gan.scores.metrics.base import moments

FORMAT = 1  # in the keys of the cache: raise it with any change to what a metric measures
MAX_REFERENCE = 50_000  # training images behind the mean and the covariance of the reference
MAX_COMPARED = 5_000  # images a side for metrics that compare features one by one
MAX_SAMPLES = 10_000  # samples that are scored by default, at most
LEAST = 2  # images a side: one image has no covariance
# Metrics with keys of their own in the report; the others stand under "scores".
TOP_LEVEL = ("frechet", "kid", "inception_score", "precision", "recall", "density", "coverage")
TITLES = {"kid": "KID ({})", "inception_score": "Inception Score ({})"}  # of rows, with the backbone


def default_num(images: ImageSet) -> int:
    """The number of samples scored by default: the number of test images, so that the floor is at equal n."""
    return max(LEAST, min(MAX_SAMPLES, len(images.test)))


@dataclass(frozen=True)
class Reference:
    """What a backbone computes of the training images.

    num: images behind mean (D,) and covariance (D, D), float64. features: (N, D) float32, of at most MAX_COMPARED.
    """

    num: int
    mean: np.ndarray
    covariance: np.ndarray
    features: np.ndarray


class Scorer:
    """Scores samples against the training images of a set, by one backbone.

    The features of the training images, and the scores of test images and noise, are computed once and cached.

    images: the real images. noise: meaningless images by name, (N, H, W, C) uint8, at least as many as are scored, such
    as those of the untrained generator; uniform and Gaussian pixels are always added.
    """

    def __init__(self, images: ImageSet, backbone: Backbone, noise: Mapping[str, np.ndarray] | None = None) -> None:
        if len(images.train) < LEAST:
            raise DataError(
                f"{images.description} has fewer than {LEAST} training images: give another {named('data')}"
            )
        self.images, self.backbone, self.noise = images, backbone, noise or {}
        self.key = digest(str(FORMAT), images.fingerprint, backbone.fingerprint)
        self._known: Reference | None = None
        self._real: dict[int, Features] = {}  # by the number of features that are compared
        self._measured: dict[str, dict[str, Any]] = {}
        self._noise_keys: dict[str, str] = {}

    def score(self, samples: np.ndarray) -> dict[str, Any]:
        """The report of an evaluation, for `evaluate` to print as JSON, of samples (N, H, W, C) uint8.

        Raises:
            UsageError: there are fewer than two samples, or they have another shape than the real images.
        """
        self._check(samples)
        return self.score_features(*self.backbone(samples))

    def read(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays of a batch of samples for `score_features`: `features`, and `logits` if the backbone has them.

        Raises:
            UsageError: the samples have another shape than the real images.
        """
        self._check(samples)
        features, logits = self.backbone.embed(samples)
        arrays = {"features": features.astype(np.float32, copy=False)}
        return arrays if logits is None else arrays | {"logits": logits}

    def _check(self, samples: np.ndarray) -> None:
        shape = self.images.train.shape[1:]
        if samples.shape[1:] != shape or samples.dtype != np.uint8:
            size = " x ".join(map(str, samples.shape[1:]))
            raise UsageError(f"samples of {size} cannot be scored against images of {' x '.join(map(str, shape))}")

    def score_features(self, features: np.ndarray, logits: np.ndarray | None = None) -> dict[str, Any]:
        """The same for the features (N, D) and the logits (N, K) of samples.

        Raises:
            UsageError: there are fewer than two samples.
            GanError: a feature is not finite.
        """
        num = len(features)
        if num < LEAST:
            raise UsageError(f"{num} samples cannot be scored: {named('num')} must be at least {LEAST}")
        if not np.isfinite(features).all():
            raise GanError(f"the backbone {self.backbone.name} must give finite features of samples, and did not")
        reference = self._reference()
        num_floor = min(num, len(self.images.test))
        scores = self._measure(features, logits)
        real = self._real_scores(num_floor) if num_floor >= LEAST else None
        best, noise = self._best_noise(num)
        return {
            "backbone": self.backbone.name,
            "backbone_note": self.backbone.note,
            "num_samples": num,
            "num_reference": reference.num,
            "num_compared": min(num, len(reference.features)),
            "num_features": len(reference.mean),
            **{name: scores[name] for name in TOP_LEVEL},
            "scores": {
                metric.name: {
                    "value": scores[metric.name],
                    "better": metric.better,
                    "real": real[metric.name] if real and "real" in metric.beside else None,
                    "noise": noise[metric.name] if "noise" in metric.beside else None,
                }
                for metric in METRICS
                if metric.name not in TOP_LEVEL
            },
            "floor": real and {"num": num_floor, **{name: real[name] for name in TOP_LEVEL}},
            "noise": {"name": best, "frechet": noise["frechet"], "kid": noise["kid"]["mean"]},
        }

    def _measure(self, features: np.ndarray, logits: np.ndarray | None) -> dict[str, Any]:
        """The score by every metric: a number, {"mean", "std"} or None."""
        reference = self._reference()
        num = min(len(features), len(reference.features))
        if num not in self._real:
            moments_of_all = reference.mean, reference.covariance
            self._real[num] = Features(reference.features[:num], moments_of_all=moments_of_all)
        samples = Features(chosen(features, num), logits, moments(features))
        return {metric.name: as_json(metric.function(samples, self._real[num])) for metric in METRICS}

    def _real_scores(self, num: int) -> dict[str, Any]:
        """The scores of `num` test images, which are not in the reference."""
        return self._kept_measure(f"test images {num}", lambda: chosen(self.images.test, num))

    def _best_noise(self, num: int) -> tuple[str, dict[str, Any]]:
        """The name and the scores of the meaningless images with the least Frechet distance."""
        train = self.images.train
        draws: dict[str, tuple[str, Callable[[], np.ndarray]]] = {
            "uniform pixels": ("", lambda: uniform_pixels(train, num)),
            "Gaussian pixels": ("", lambda: gaussian_pixels(train, num)),
        }
        for name, images in self.noise.items():
            key = f"{name} {num}"
            if key not in self._noise_keys:  # the same array is scored at every evaluation
                self._noise_keys[key] = digest(images[:num])
            draws[name] = (self._noise_keys[key], lambda images=images: images[:num])
        scores = {name: self._kept_measure(f"{name} {num} {key}", draw) for name, (key, draw) in draws.items()}
        best = min(scores, key=lambda name: scores[name]["frechet"])
        return best, scores[best]

    def _reference(self) -> Reference:
        if self._known is None:
            self._known = kept(
                cache_root(None), f"reference-{self.key[:24]}", read_reference, self._write_reference, key=self.key
            )
        return self._known

    def _write_reference(self, folder: Path) -> None:
        images = chosen(self.images.train, MAX_REFERENCE)
        features, _ = self.backbone(images)
        mean, covariance = moments(features)
        compared = chosen(features, MAX_COMPARED)
        np.savez(folder / "reference.npz", num=len(features), mean=mean, covariance=covariance, features=compared)

    def _kept_measure(self, what: str, draw: Callable[[], np.ndarray]) -> dict[str, Any]:
        if what not in self._measured:
            key = digest(self.key, what, *(metric.name for metric in METRICS))

            def write(folder: Path) -> None:
                (folder / "scores.json").write_text(json.dumps(self._measure(*self.backbone(draw()))))

            self._measured[what] = kept(cache_root(None), f"scores-{key[:24]}", read_scores, write, key=key)
        return self._measured[what]


def read_reference(folder: Path) -> Reference | None:
    """The reference in a folder of the cache; None if it is missing or damaged."""
    try:
        verify(folder)
        with np.load(folder / "reference.npz", allow_pickle=False) as arrays:
            return Reference(int(arrays["num"]), *(arrays[name] for name in ("mean", "covariance", "features")))
    except (DamagedError, OSError, ValueError, KeyError):
        return None


def read_scores(folder: Path) -> dict[str, Any] | None:
    """The scores in a folder of the cache; None if they are missing or damaged."""
    try:
        verify(folder)
        return json.loads((folder / "scores.json").read_text())
    except (DamagedError, OSError, ValueError):
        return None


def as_json(score: float) -> float | dict[str, float] | None:
    """A score as JSON has it: {"mean", "std"} of a `Spread`, None of NaN."""
    if isinstance(score, Spread):
        return {"mean": float(score), "std": score.std}
    return None if math.isnan(score) else float(score)


def digest(*contents: str | np.ndarray) -> str:
    """The SHA-256 of strings and arrays in hexadecimal."""
    hashed = hashlib.sha256()
    for content in contents:
        data = content.encode() if isinstance(content, str) else np.ascontiguousarray(content).tobytes()
        hashed.update(len(data).to_bytes(8, "little") + data)
    return hashed.hexdigest()


def chosen(rows: np.ndarray, num: int) -> np.ndarray:
    """`num` random rows, or all if there are fewer. The same rows are taken every time; data may be sorted by class."""
    if len(rows) <= num:
        return rows
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), num, replace=False))]


def uniform_pixels(images: np.ndarray, num: int) -> np.ndarray:
    """Images (num, H, W, C) of independent, uniformly distributed pixels, in the shape of `images`."""
    return np.random.default_rng(0).integers(0, 256, (num, *images.shape[1:]), np.uint8)


def gaussian_pixels(images: np.ndarray, num: int) -> np.ndarray:
    """Images (num, H, W, C) of independent Gaussian pixels, each with its mean and std in the real images."""
    some = chosen(images, MAX_COMPARED).astype(np.float32)
    drawn = np.random.default_rng(0).standard_normal((num, *images.shape[1:]), np.float32)
    return (some.mean(0) + some.std(0) * drawn).round().clip(0, 255).astype(np.uint8)


def table(report: dict[str, Any]) -> str:
    """A report for people: a table, and sentences that compare the scores."""
    backbone, floor, noise = report["backbone"], report["floor"], report["noise"]
    note = f" ({report['backbone_note']})" if report["backbone_note"] else ""

    def number(value: Any) -> str:
        if isinstance(value, dict):
            return f"{value['mean']:.4g} ± {value['std']:.2g}"
        return "" if value is None else f"{value:.4g}"

    real = "real images" if floor is None else f"real ({floor['num']:,})"
    lines = [
        f"By the features of {backbone}{note}: {report['num_samples']:,} samples against {report['num_reference']:,} "
        f"training images",
        f"KID, precision, recall, density and coverage: at most {report['num_compared']:,} of each",
        f"{'':<34}{'samples':>20}{real:>20}{'noise':>16}",
    ]
    rows = {name: (report[name], (floor or {}).get(name), noise.get(name)) for name in TOP_LEVEL}
    rows |= {name: (of["value"], of["real"], of["noise"]) for name, of in report["scores"].items()}
    for name, (value, real_value, noise_value) in rows.items():
        if value is not None:
            title = distance_name(backbone) if name == "frechet" else TITLES.get(name, name).format(backbone)
            row = f"{title:<34}{number(value):>20}{number(real_value):>20}{number(noise_value):>16}"
            lines.append(row.rstrip())
    return "\n".join([*lines, in_words(report)])


def scalars(report: dict[str, Any]) -> dict[str, float]:
    """The scores to plot against steps, by "metric/backbone"."""
    values = {name: report[name] for name in TOP_LEVEL}
    values |= {name: of["value"] for name, of in report["scores"].items()}
    means = {name: value["mean"] if isinstance(value, dict) else value for name, value in values.items()}
    return {f"{name}/{report['backbone']}": mean for name, mean in means.items() if mean is not None}


def distance_name(backbone: str) -> str:
    """The name of the Frechet distance: FID by Inception's features only, otherwise with the backbone's name."""
    return "FID" if backbone == "inception" else f"Frechet distance ({backbone})"


def in_words(report: dict[str, Any]) -> str:
    """Sentences on where the samples stand between noise and real images, and on what to compare them with."""
    score, floor, noise, num = report["frechet"], report["floor"], report["noise"], report["num_samples"]
    name = distance_name(report["backbone"])
    below = f"{noise['frechet'] / max(score, 1e-12):.3g} times below the best of noise ({noise['name']})"
    sentences = [f"In short: {name} is {score:.4g}, {below}"]
    if floor is not None:
        at = "" if floor["num"] == num else f" (at {floor['num']:,}, so too high to compare)"
        sentences[0] += f" and {score / max(floor['frechet'], 1e-12):.3g} times what real images score{at}"
    d = report["num_features"]
    few = f"; {num:,} samples are fewer than the {d:,} features, so most of it may be bias" if num < d else ""
    sentences.append(
        f"It is biased upward at small n, by a term that grows like d(d + 1) / (2n), here d = {d:,} and n = {num:,}: "
        f"compare it at equal n only{few}"
    )
    return ". ".join([*sentences, "KID is unbiased."])
