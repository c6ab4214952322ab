"""The Frechet distance class by class. Scores of labels and codes are in `gan_core.evaluation.label_scores`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.errors import UsageError
from gan_core.evaluation import label_scores
from gan_core.storage.cache import cache_root, kept
from gan_core.storage.sealed import DamagedError, verify
from gan_core.text import plain
from image_gan.dataset.dataset import ImageSet
from image_gan.scores.backbones import Backbone
from image_gan.scores.metrics.base import moments
from image_gan.scores.metrics.frechet import frechet
from image_gan.scores.report import LEAST, MAX_REFERENCE, MAX_SAMPLES, chosen, digest, distance_name

FORMAT = 1  # in the keys of the cache: raise it with any change to what is measured
SHOWN = 12  # classes in a table; of more classes the farthest are shown


@dataclass(frozen=True)
class ClassReference:
    """What a backbone computes of the real images of a class.

    num: training images behind mean (D,) and covariance (D, D), float64. features: of test images, (M, D) float32.
    """

    num: int
    mean: np.ndarray
    covariance: np.ndarray
    features: np.ndarray


class IntraClass:
    """The Frechet distance between the samples and the training images of each class, by one backbone.

    Its mean over the classes is the intra FID of Miyato and Koyama 2018, arXiv 1802.05637, section 5.1, if the backbone
    is Inception. It is large if a generator ignores labels, or shows a single image per class. The features of real
    images are cached, one folder per class.
    """

    def __init__(self, images: ImageSet, backbone: Backbone) -> None:
        self.images, self.backbone = images, backbone
        self.key = digest("intra-class", str(FORMAT), images.fingerprint, backbone.fingerprint)

    def score(self, samples: np.ndarray, labels: np.ndarray) -> dict[str, Any] | None:
        """The object under `intra_frechet` for samples (N, H, W, C) uint8 and the labels (N,) they were drawn for.

        "mean": the mean over the classes with at least two samples and two training images.
        "floor": the same for test images, at most as many as there are samples of each class, over the classes with at
            least two. If a class's "num_floor" is smaller than its "num", its floor is too high to compare.
        None if no class can be measured.

        Raises:
            UsageError: the samples have another shape than the real images.
        """
        shape = self.images.train.shape[1:]
        if samples.shape[1:] != shape:
            size, real = (" x ".join(map(str, s)) for s in (samples.shape[1:], shape))
            raise UsageError(f"samples of {size} cannot be scored against images of {real}: draw them in that size")
        return self.score_features(self.backbone(samples)[0], labels)

    def score_features(self, features: np.ndarray, labels: np.ndarray) -> dict[str, Any] | None:
        """The same for the features (N, D) of samples and their labels (N,)."""
        per_class = {}
        for label, name in enumerate(self.images.classes):
            own = features[labels == label]
            real = np.flatnonzero(self.images.train_labels == label)
            if len(own) >= LEAST and len(real) >= LEAST:
                per_class[name] = self._distances(own, self._reference(label))
        if not per_class:
            return None
        floors = [scores["floor"] for scores in per_class.values() if scores["floor"] is not None]
        return {
            "backbone": self.backbone.name,
            "num_features": features.shape[1],
            "mean": float(np.mean([scores["frechet"] for scores in per_class.values()])),
            "floor": float(np.mean(floors)) if floors else None,
            "per_class": per_class,
        }

    def _distances(self, features: np.ndarray, reference: ClassReference) -> dict[str, Any]:
        held_out = chosen(reference.features, len(features))
        far = [
            frechet(reference.mean, reference.covariance, *moments(some)) if len(some) >= LEAST else None
            for some in (features, held_out)
        ]
        counts = {"num": len(features), "num_floor": len(held_out), "num_reference": reference.num}
        return {"frechet": far[0], "floor": far[1], **counts}

    def _reference(self, label: int) -> ClassReference:
        key = digest(self.key, str(label))

        def write(folder: Path) -> None:
            features, _ = self.backbone(of_class(self.images.train, self.images.train_labels, label, MAX_REFERENCE))
            mean, covariance = moments(features)
            test = of_class(self.images.test, self.images.test_labels, label, MAX_SAMPLES)
            held_out = self.backbone(test)[0] if len(test) else features[:0]
            np.savez(folder / "reference.npz", num=len(features), mean=mean, covariance=covariance, features=held_out)

        return kept(cache_root(None), f"intra-{key[:24]}", read_reference, write, key=key)


def read_reference(folder: Path) -> ClassReference | None:
    """The reference of a class in a folder of the cache; None if it is missing or damaged."""
    try:
        verify(folder)
        with np.load(folder / "reference.npz", allow_pickle=False) as arrays:
            return ClassReference(int(arrays["num"]), *(arrays[name] for name in ("mean", "covariance", "features")))
    except (DamagedError, OSError, ValueError, KeyError):
        return None


def of_class(images: np.ndarray, labels: np.ndarray, label: int, num: int) -> np.ndarray:
    """At most `num` of the images (N, H, W, C) with a label, the same ones every time."""
    return images[chosen(np.flatnonzero(labels == label), num)]


def table(report: dict[str, Any]) -> str:
    """A label report for people, with the distances of each class if the report has them."""
    if "intra_frechet" not in report:
        return label_scores.table(report)
    tables = label_scores.table(report), intra_table(report["intra_frechet"])
    return "\n".join([text for text in tables if text])


def intra_table(scores: dict[str, Any]) -> str:
    """The distances of each class for people, of many classes the farthest, with a sentence on their bias."""
    per_class, d = scores["per_class"], scores["num_features"]
    shown = list(per_class)
    if len(shown) > SHOWN:
        shown = sorted(shown, key=lambda name: -per_class[name]["frechet"])[:SHOWN]
    name = f"Intra-class {distance_name(scores['backbone'])}"
    floor = "" if scores["floor"] is None else f", real test images {scores['floor']:.4g}"
    lines = [
        f"{name}, mean of {len(per_class)} classes: {scores['mean']:.4g}{floor}",
        f"  {'class':<24}{'distance':>10}{'samples':>10}{'real':>10}{'test':>10}",
    ]
    for label in shown:
        of = per_class[label]
        real = "-" if of["floor"] is None else f"{of['floor']:.4g}"
        lines.append(f"  {plain(label)[:23]:<24}{of['frechet']:>10.4g}{of['num']:>10,}{real:>10}{of['num_floor']:>10,}")
    if len(per_class) > len(shown):
        lines.append(f"  and {len(per_class) - len(shown):,} classes that are nearer")
    least = min(of["num"] for of in per_class.values())
    return "\n".join([*lines, f"  {biased(d, least)}"])


def biased(d: int, num: int) -> str:
    """A sentence on the bias of a Frechet distance of d features at `num` images of a class."""
    few = f"; {num:,} are fewer than the features, so much of it may be bias" if num < d else ""
    return (
        f"It is biased upward at small n, by a term that grows like d(d + 1) / (2n), here d = {d:,} and n = {num:,} of "
        f"a class: compare it at equal n only{few}"
    )
