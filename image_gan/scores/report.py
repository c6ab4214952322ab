"""Scores of images that can be trusted: each beside what real images and meaningless ones score at the same size.

A generated set is scored as the uint8 images that people see; nothing is stretched or resized before the backbone does.
"""

import hashlib
import json
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
from image_gan.scores.metrics import Compared, frechet, inception_score, moments

FORMAT = 1  # of what is cached: raise it with any change to what is measured
MAX_REFERENCE = 50_000  # training images behind the Frechet distance
MAX_COMPARED = 5_000  # images of a side behind KID, precision, recall, density and coverage
MAX_SAMPLES = 10_000  # scored if nothing else is asked
LEAST = 2  # images of a side: one has no covariance


def default_num(images: ImageSet) -> int:
    """How many samples are scored by default: as many as there are test images, so that the floor is at equal n."""
    return max(LEAST, min(MAX_SAMPLES, len(images.test)))


@dataclass(frozen=True)
class Reference:
    """What the training images are to a backbone.

    num: images behind mean (D,) and covariance (D, D), float64. features: of at most MAX_COMPARED, (N, D) float32.
    """

    num: int
    mean: np.ndarray
    covariance: np.ndarray
    features: np.ndarray


class Scorer:
    """Scores images against the training images of a set, by one backbone.

    The reference, and what real images and noise score, are measured on the first use and kept in the cache.

    images: the real ones. noise: further meaningless images by name, (N, H, W, C) uint8, such as the untrained
    generator's, at least as many as are scored; uniform and Gaussian pixels are always there.
    """

    def __init__(self, images: ImageSet, backbone: Backbone, noise: Mapping[str, np.ndarray] | None = None) -> None:
        if len(images.train) < LEAST:
            raise DataError(
                f"{images.description} has fewer than {LEAST} training images: give another {named('data')}"
            )
        self.images, self.backbone, self.noise = images, backbone, noise or {}
        self.key = digest(str(FORMAT), images.fingerprint, backbone.fingerprint)
        self._known: Reference | None = None
        self._compared: dict[int, Compared] = {}  # by the number of features
        self._measured: dict[str, dict[str, Any]] = {}
        self._noise_keys: dict[str, str] = {}

    def score(self, samples: np.ndarray) -> dict[str, Any]:
        """The report of an evaluation, for `evaluate` to print as JSON, of samples (N, H, W, C) uint8.

        Raises:
            UsageError: fewer than two samples, or of another shape than the real images.
        """
        self._check(samples)
        return self.score_features(*self.backbone(samples))

    def read(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        """A batch of samples as arrays for `score_features`: `features`, and `logits` where the backbone has them.

        Raises:
            UsageError: they are of another shape than the real images.
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
        """The same for what the backbone makes of samples: (N, D) and (N, K).

        Raises:
            UsageError: fewer than two samples.
            GanError: features that are not finite.
        """
        num = len(features)
        if num < LEAST:
            raise UsageError(f"{num} samples cannot be scored: {named('num')} must be at least {LEAST}")
        if not np.isfinite(features).all():
            raise GanError(f"the backbone {self.backbone.name} must give finite features of samples, and did not")
        reference = self._reference()
        num_floor = min(num, len(self.images.test))
        return {
            "backbone": self.backbone.name,
            "backbone_note": self.backbone.note,
            "num_samples": num,
            "num_reference": reference.num,
            "num_compared": min(num, len(reference.features)),
            "num_features": len(reference.mean),
            **self._measure(features, logits),
            "floor": self._floor(num_floor) if num_floor >= LEAST else None,
            "noise": self._best_noise(num),
        }

    def _measure(self, features: np.ndarray, logits: np.ndarray | None) -> dict[str, Any]:
        reference = self._reference()
        num = min(len(features), len(reference.features))
        if num not in self._compared:
            self._compared[num] = Compared(reference.features[:num])
        compared, fake = self._compared[num], chosen(features, num)
        kid = compared.kernel_distance(fake)
        score = None if logits is None else inception_score(logits, splits=min(10, len(logits)))
        return {
            "frechet": frechet(reference.mean, reference.covariance, *moments(features)),
            "kid": {"mean": kid[0], "std": kid[1]},
            "inception_score": None if score is None else {"mean": score[0], "std": score[1]},
            **compared.neighbourhoods(fake),
        }

    def _floor(self, num: int) -> dict[str, Any]:
        """What real images score that are not in the reference."""
        return {"num": num, **self._kept_measure(f"test images {num}", lambda: chosen(self.images.test, num))}

    def _best_noise(self, num: int) -> dict[str, Any]:
        """The meaningless images that come closest, by the Frechet distance."""
        train = self.images.train
        draws: dict[str, tuple[str, Callable[[], np.ndarray]]] = {
            "uniform pixels": ("", lambda: uniform_pixels(train, num)),
            "Gaussian pixels": ("", lambda: gaussian_pixels(train, num)),
        }
        for name, images in self.noise.items():
            key = f"{name} {num}"
            if key not in self._noise_keys:  # of the same array, scored again and again
                self._noise_keys[key] = digest(images[:num])
            draws[name] = (self._noise_keys[key], lambda images=images: images[:num])
        scores = {name: self._kept_measure(f"{name} {num} {key}", draw) for name, (key, draw) in draws.items()}
        best = min(scores, key=lambda name: scores[name]["frechet"])
        return {"name": best, "frechet": scores[best]["frechet"], "kid": scores[best]["kid"]["mean"]}

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
            key = digest(self.key, what)

            def write(folder: Path) -> None:
                (folder / "scores.json").write_text(json.dumps(self._measure(*self.backbone(draw()))))

            self._measured[what] = kept(cache_root(None), f"scores-{key[:24]}", read_scores, write, key=key)
        return self._measured[what]


def read_reference(folder: Path) -> Reference | None:
    """The reference in a folder of the cache, or None where it is missing or damaged."""
    try:
        verify(folder)
        with np.load(folder / "reference.npz", allow_pickle=False) as arrays:
            return Reference(int(arrays["num"]), *(arrays[name] for name in ("mean", "covariance", "features")))
    except (DamagedError, OSError, ValueError, KeyError):
        return None


def read_scores(folder: Path) -> dict[str, Any] | None:
    """The scores in a folder of the cache, or None where they are missing or damaged."""
    try:
        verify(folder)
        return json.loads((folder / "scores.json").read_text())
    except (DamagedError, OSError, ValueError):
        return None


def digest(*parts: str | np.ndarray) -> str:
    """A hexadecimal name for strings and arrays: another one for other contents."""
    hashed = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes()
        hashed.update(len(data).to_bytes(8, "little") + data)
    return hashed.hexdigest()


def chosen(rows: np.ndarray, num: int) -> np.ndarray:
    """`num` rows, or all if there are fewer, taken at random but always the same: data may be sorted by class."""
    if len(rows) <= num:
        return rows
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), num, replace=False))]


def uniform_pixels(images: np.ndarray, num: int) -> np.ndarray:
    """Images (num, H, W, C) whose every pixel is anything."""
    return np.random.default_rng(0).integers(0, 256, (num, *images.shape[1:]), np.uint8)


def gaussian_pixels(images: np.ndarray, num: int) -> np.ndarray:
    """Images (num, H, W, C) whose every pixel is Gaussian, with the mean and the spread that it has in real images."""
    some = chosen(images, MAX_COMPARED).astype(np.float32)
    drawn = np.random.default_rng(0).standard_normal((num, *images.shape[1:]), np.float32)
    return (some.mean(0) + some.std(0) * drawn).round().clip(0, 255).astype(np.uint8)


def table(report: dict[str, Any]) -> str:
    """A report as a table for people, with sentences that say how the scores compare."""
    backbone, floor, noise = report["backbone"], report["floor"], report["noise"]
    note = f" ({report['backbone_note']})" if report["backbone_note"] else ""
    distance = distance_name(backbone)

    def number(scores: dict[str, Any] | None, key: str) -> str:
        value = None if scores is None else scores.get(key)
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
    names = {"frechet": distance, "kid": f"KID ({backbone})", "inception_score": f"Inception Score ({backbone})"}
    for key in ("frechet", "kid", "inception_score", "precision", "recall", "density", "coverage"):
        if report[key] is not None:
            row = f"{names.get(key, key):<34}{number(report, key):>20}{number(floor, key):>20}{number(noise, key):>16}"
            lines.append(row.rstrip())
    return "\n".join([*lines, in_words(report)])


def distance_name(backbone: str) -> str:
    """FID is the Frechet distance by one network only: another network's bears its name."""
    return "FID" if backbone == "inception" else f"Frechet distance ({backbone})"


def in_words(report: dict[str, Any]) -> str:
    """Where the samples stand between noise and real images, and what to compare them with."""
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
