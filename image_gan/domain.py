"""The image domain: implements the four protocols of `gan_core.domain`."""

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from gan_core.domain import Domain
from gan_core.errors import CheckpointError, DataError, UsageError, named
from gan_core.evaluation.label_evaluation import Judge, Shown, evaluate_labels, knows_labels, label_scalars, show_labels
from gan_core.game.prior import Prior
from gan_core.game.trained import PICTURED, Picture, Trained
from gan_core.labels import Labels, settle_labels, some_labelled
from gan_core.labels import load as load_labels
from gan_core.networks.conditional import Generator
from gan_core.runtime.device import sent
from gan_core.runtime.dist import drawn, rank
from gan_core.runtime.randomness import reseed
from gan_core.sample import Sample
from gan_core.storage.animation import animate
from gan_core.storage.inputs import read_limited
from gan_core.storage.sealed import replacing
from image_gan.dataset.dataset import MAX_SIZE, ImageSet, open_images, prepare
from image_gan.grids import as_image, grid, grid_by_label
from image_gan.networks import initialise
from image_gan.scores import classifier
from image_gan.scores.backbones import open_backbone
from image_gan.scores.intra_class import IntraClass
from image_gan.scores.intra_class import table as label_table
from image_gan.scores.report import Scorer, default_num, scalars, table
from image_gan.settings import LARGEST, ImageSettings

FORMAT_FILE = "images.json"
FORMAT_LIMIT = 1 << 16  # bytes; a larger images.json is not one of ours
BATCH = 256  # test images in a batch
MAX_TESTED = 10_000  # highest number of test images that a critic or a classifier is scored on


class ImageData:
    """The training images of a data set as batches in [-1, 1]."""

    def __init__(self, settings: ImageSettings, images: ImageSet) -> None:
        self.settings, self.images = settings, images
        self._labels, self.labels = settle_labels(
            images.train_labels, images.classes, images.description, classes=settings.classes,
            per_class=settings.labels_per_class, seed=settings.seed,
        )  # fmt: skip
        self.labelled = some_labelled(self._labels)
        self.fingerprint = images.fingerprint
        self.num_examples = len(images.train)
        self.size, self.channels = images.train.shape[1], images.train.shape[3]

    def batch(self, indices: np.ndarray, device: torch.device, step: int) -> Sample:
        """Images (B, C, H, W) in [-1, 1], in channels-last memory layout, which is the layout on the disk."""
        x = sent(torch.from_numpy(self.images.train[indices]), device).permute(0, 3, 1, 2).float()
        if self.settings.mirror:
            mirrored = sent(drawn(torch.rand, len(x), 1, 1, 1), device) < 0.5
            x = torch.where(mirrored, x.flip(3), x)
        if self.settings.dequantise:
            x = (x + sent(drawn(torch.rand, *x.shape), device)) * (255 / 256)
        y = sent(torch.from_numpy(self._labels[indices]), device).long() if len(self.labels) else None
        return Sample(x / 127.5 - 1, y)

    def held_out(self, num: int) -> Iterator[Sample]:
        """At most `num` test images in batches, with all their labels, hidden ones included."""
        for start in range(0, min(num, len(self.images.test)), BATCH):
            rows = slice(start, min(start + BATCH, num))
            x = torch.from_numpy(np.array(self.images.test[rows])).permute(0, 3, 1, 2).float()
            yield Sample(x / 127.5 - 1, torch.from_numpy(self.images.test_labels[rows].astype(np.int64)))

    def about(self) -> dict[str, Any]:
        images = self.images
        about = {"description": images.description, "fingerprint": images.fingerprint, "counts": images.counts}
        return about | {"size": self.size, "channels": self.channels, "classes": list(images.classes)}

    def summary(self) -> str:
        images = self.images
        rows = f"{len(images.train):,} images to learn from, {len(images.test):,} held out"
        skipped = f", {images.counts['skipped']:,} unreadable" if images.counts.get("skipped") else ""
        colour = "grey" if self.channels == 1 else "colour"
        return f"{images.description}: {rows}{skipped}; {self.size}x{self.size} {colour}, {self.labels.told()}"


class ImageNetworks:
    """The networks of the settings' architecture, for images of one size and number of channels."""

    energy_scale = 1.0

    def __init__(self, settings: ImageSettings, size: int, channels: int) -> None:
        self.settings, self.shape = settings, settings.shape(size, channels)
        self.architecture = settings.architecture()

    def generator(self, prior: Prior) -> nn.Module:
        """Make a generator. With generator_norm "conditional" its norm layers take the labels, else its input row does.

        Raises:
            UsageError: generator_norm is "conditional" and the prior has no labels.
        """
        by_norm, num_classes = self.shape.generator_norm == "conditional", prior.num_classes
        if by_norm and not num_classes:
            raise UsageError(
                f"{named('generator_norm', 'conditional')} is told labels, which no part of this run asks for: "
                f"use {named('generator_norm', 'batch')}"
            )
        shape = dataclasses.replace(self.shape, num_classes=num_classes if by_norm else 0)
        inputs = prior.width + (0 if by_norm else num_classes)
        return Generator(self.architecture.build_generator(inputs, shape), num_classes, by_norm)

    def decoder(self, code: int) -> nn.Module:
        """Make a decoder (B, code) -> images, with the width and the norm of the critic that it belongs to."""
        norm = "batch" if self.shape.critic_norm == "batch" else "none"
        shape = dataclasses.replace(self.shape, generator_width=self.shape.width, generator_norm=norm)
        return self.architecture.build_generator(code, shape)

    def trunk(self, extra: int = 0) -> tuple[nn.Module, int]:
        trunk = self.architecture.build_trunk(dataclasses.replace(self.shape, channels=self.shape.channels + extra))
        return trunk, trunk.features

    def initialise(self, net: nn.Module) -> None:
        initialise(net, self.settings.init)


class ImageSamples:
    """Writes images as pictures and files.

    images: provides real images to show; None if a checkpoint is opened without its data.
    """

    formats: tuple[str, ...] = ("png", "folder", "npz")
    printed: tuple[str, ...] = ()
    pictured = PICTURED

    def __init__(
        self, settings: ImageSettings, size: int, channels: int, labels: Labels, images: ImageSet | None = None
    ) -> None:
        self.settings, self.size, self.channels, self.labels, self._images = settings, size, channels, labels, images

    def save(self, folder: Path) -> None:
        (folder / FORMAT_FILE).write_text(json.dumps({"size": self.size, "channels": self.channels}) + "\n")
        self.labels.save(folder)

    def show(self, stem: Path, picture: Picture, trained: Trained) -> Path:
        path = stem.with_suffix(".png")
        with replacing(path) as temporary:
            self._picture(picture.batches, picture.columns).save(temporary, format="PNG")
        if self.settings.animate and stem.name.isdecimal():
            animate(stem.parent)
        return path

    def show_real(self, stem: Path, num: int) -> Path:
        assert self._images is not None
        path = stem.with_suffix(".png")
        with replacing(path) as temporary:
            grid(np.asarray(self._images.test[:num])).save(temporary, format="PNG")
        return path

    def preview(self, batches: Iterable[Sample]) -> list[str]:
        return []

    def export(self, batches: Iterable[Sample], form: str, path: Path, columns: int | None = None) -> None:
        """Write images to a file or folder. For conditional samples, `folder` has a sub-folder per class and `npz` an
        array `labels`.
        """
        if form == "folder":
            path.mkdir()
            for i, (image, y) in enumerate(with_labels(batches)):
                folder = path if y is None else path / file_name(self.labels.names[y])
                folder.mkdir(exist_ok=True)
                as_image(image).save(folder / f"{i:06d}.png")
            return
        samples = list(batches)
        with path.open("wb") as file:
            if form == "npz":
                labels = {} if samples[0].y is None else {"labels": torch.cat([s.y for s in samples]).numpy()}
                np.savez_compressed(file, images=pixels_of(samples), **labels)
            else:
                self._picture(samples, columns).save(file, format="PNG")

    def lines(self, batches: Iterable[Sample], form: str, for_terminal: bool) -> Iterator[str]:
        raise UsageError(f"images cannot be printed: give them a file with {named('out')}")

    def _picture(self, batches: Iterable[Sample], columns: int | None = None) -> Image.Image:
        samples = list(batches)
        images = pixels_of(samples)
        if columns is not None or samples[0].y is None:
            return grid(images, columns)
        return grid_by_label(images, torch.cat([s.y for s in samples]).numpy(), self.labels.names)


class ImageScores:
    """Scores by the features of a backbone, and scores of labels and codes."""

    def __init__(self, data: ImageData, networks: ImageNetworks) -> None:
        self.data, self.images, self.settings, self._networks = data, data.images, data.settings, networks
        self._scorers: dict[str, Scorer] = {}
        self._judge: Judge | None = None

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        """The run's scores; {} on ranks other than 0, which only compute the features of their share of samples."""
        return self.score(trained)

    def score(self, trained: Trained, num: int = 0, backbone: str = "", data: str | None = None) -> dict[str, Any]:
        """Score samples by the features of a backbone.

        num, backbone: the number of samples and the backbone; 0 and "" for those of the settings.
        data: other real images to compare with, resized to the run's size; None for the run's images.
        """
        backbone = backbone or self.settings.backbone
        if data is None:
            found = self._scorer(backbone, trained)
        else:
            found = scorer(prepared(self.settings, data, self.data.size, self.data.channels), backbone)
        num = num or self.settings.eval_num or default_num(self.images)
        seen = trained.collect(num, lambda batch: found.read(pixels(batch.x)))
        shown = self._show_labels(trained, num, found)
        if not trained.is_scorer():
            return {}
        return found.score_features(seen["features"], seen.get("logits")) | self._score_labels(trained, shown, found)

    def scalars(self, evaluation: dict[str, Any]) -> dict[str, float]:
        return scalars(evaluation) | label_scalars(evaluation.get("labels", {}))

    def _scorer(self, backbone: str, trained: Trained) -> Scorer:
        if backbone not in self._scorers:
            noise = {} if rank() else {"untrained generator": self._untrained(trained)}  # only rank 0 scores
            self._scorers[backbone] = scorer(self.images, backbone, noise)
        return self._scorers[backbone]

    def _show_labels(self, trained: Trained, num: int, scorer: Scorer) -> Shown | None:
        """Generate samples for the scores of labels and codes, with their features; None if the run uses neither."""
        if not knows_labels(trained):
            return None
        measured = len(self.data.labels) > 1 and trained.prior.shares
        return show_labels(
            trained, self._judged(), num, (lambda batch: scorer.read(pixels(batch.x))) if measured else None
        )

    def _score_labels(self, trained: Trained, shown: Shown | None, scorer: Scorer) -> dict[str, Any]:
        """{"labels": the report of `label_report`}, or {} if the run uses neither labels nor codes."""
        if shown is None:
            return {}
        report = evaluate_labels(trained, self._judged(), shown)
        if "features" in shown.arrays:
            intra = IntraClass(self.images, scorer.backbone)
            report["intra_frechet"] = intra.score_features(shown.arrays["features"], shown.asked)
        return {"labels": report}

    def _judged(self) -> Judge | None:
        """The held-out classifier, or None if the data has fewer than two classes."""
        if self._judge is None and len(self.data.labels) > 1:
            known = classifier.trained("classifier", self.images, torch.device("cpu"))

            def classify(batch: Sample) -> np.ndarray:
                return known.classes_of(pixels(batch.x))

            self._judge = Judge("classifier", classify, lambda: self.data.held_out(MAX_TESTED), self.data.labels.names)
        return self._judge

    def _untrained(self, trained: Trained) -> np.ndarray:
        """Samples of the untrained generator, uint8 (N, H, W, C), as a baseline for the scores."""
        settings, prior = self.settings, trained.prior
        with torch.random.fork_rng():
            reseed(settings.seed, "initialisation")
            net = self._networks.generator(prior)
            self._networks.initialise(net)
        untrained = Trained(net, None, prior, settings.seed, 64, torch.device("cpu"))
        return pixels_of(untrained.draw(default_num(self.images)))


def open_domain(settings: ImageSettings) -> Domain:
    """Open the image domain, with the settings' data prepared or taken from the cache.

    Raises:
        DataError: the data cannot be used.
    """
    if settings.size:
        settings.shape(settings.size, settings.channels or 1)  # refuse a bad size before hours of decoding
    images = prepared(settings, settings.data, settings.size, settings.channels)
    size = images.train.shape[1]
    if size > LARGEST:
        raise DataError(
            f"{images.description} has {size} pixels a side: give {named('size', 'N')}, from 1 to {LARGEST}"
        )
    return domain_of(settings, images)


def domain_of(settings: ImageSettings, images: ImageSet) -> Domain:
    """The image domain with a given data set."""
    data = ImageData(settings, images)
    networks = ImageNetworks(settings, data.size, data.channels)
    samples = ImageSamples(settings, data.size, data.channels, data.labels, images)
    return Domain(
        name="image", labels=data.labels, networks=networks, samples=samples, data=data,
        scores=ImageScores(data, networks),
    )  # fmt: skip


def from_checkpoint(settings: ImageSettings, folder: Path) -> Domain:
    """The image domain without data, for drawing samples, with the size and the labels of a checkpoint.

    Raises:
        CheckpointError: images.json or labels.json is missing or invalid.
    """
    path = folder / FORMAT_FILE
    try:
        about = json.loads(read_limited(path, FORMAT_LIMIT))
        size, channels = int(about["size"]), int(about["channels"])
        if not (1 <= size <= MAX_SIZE and channels in (1, 3)):
            raise ValueError("no size of images")
        labels = load_labels(folder)
        networks = ImageNetworks(settings, size, channels)
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError, UsageError) as error:
        raise CheckpointError(f"{path} is not readable: take an older checkpoint, or another run") from error
    samples = ImageSamples(settings, size, channels, labels)
    return Domain(name="image", labels=labels, networks=networks, samples=samples)


def report(evaluation: dict[str, Any]) -> str:
    """An evaluation as text: a table of scores, and a table of labels if there is one."""
    labels = [label_table(evaluation["labels"])] if evaluation.get("labels") else []
    return "\n\n".join([table(evaluation), *labels])


def prepared(settings: ImageSettings, data: str, size: int, channels: int) -> ImageSet:
    """Prepare the images of `data` in a size, with the other options from the settings."""
    return prepare(
        data, size=size, channels=channels, resize=settings.resize, bad_images=settings.bad_images,
        max_pixels=settings.max_pixels, heldout=settings.heldout,
    )  # fmt: skip


def scorer(images: ImageSet, backbone: str, noise: dict[str, np.ndarray] | None = None) -> Scorer:
    """A scorer of samples against real images, by the features of a backbone.

    backbone: "auto" trains one on the real images: a classifier if they are labelled, else by rotation.
    """
    if backbone == "auto":
        backbone = "classifier" if images.classes else "rotation"
    return Scorer(images, open_backbone(backbone, images), noise or {})


def score_files(samples: str, data: str, backbone: str) -> dict[str, Any]:
    """Score saved images (a folder, .npz or .zip) against the real images of `data`, resized to the samples' size.

    Raises:
        DataError: the samples or the data cannot be used.
    """
    images = open_images(samples)
    _, size, _, channels = images.shape
    return scorer(prepare(data, size=size, channels=channels), backbone).score(images)


def pixels(x: Tensor) -> np.ndarray:
    """Images (B, C, H, W) in [-1, 1] as uint8 (B, H, W, C), scaled by a constant and not by each image's range."""
    levels = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).cpu().numpy()


def pixels_of(batches: Iterable[Sample]) -> np.ndarray:
    """All images of the batches as uint8 (N, H, W, C)."""
    return np.concatenate([pixels(batch.x) for batch in batches])


def with_labels(batches: Iterable[Sample]) -> Iterator[tuple[np.ndarray, int | None]]:
    """Each image of the batches, uint8 (H, W, C), with its label or None."""
    for batch in batches:
        yield from zip(pixels(batch.x), repeat(None) if batch.y is None else batch.y.tolist(), strict=False)


def file_name(name: str) -> str:
    """A folder name for a class name: without path separators, and not a hidden or special name."""
    return re.sub(r"[^\w .-]", "_", name).strip(" .") or "_"
