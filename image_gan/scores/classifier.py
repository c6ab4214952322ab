"""A small network that learns the very images that it will judge: their labels, or else how they were rotated.

Its features know what tells garments or digits apart, where those of a network for photographs may not; it is trained
in well under a minute, once a data set.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from gan_core.errors import UsageError, named
from gan_core.runtime.randomness import derive
from gan_core.storage.cache import cache_root, kept
from gan_core.storage.sealed import DamagedError, verify
from image_gan.dataset.dataset import ImageSet

FORMAT = 1  # of the cached weights: raise it with any change to the network or its training
TASKS = ("classifier", "rotation")
FEATURES = 64
STEPS, BATCH, RATE = 900, 64, 1e-2
MAX_IMAGES = 20_000  # to train on
WEIGHTS_FILE = "weights.safetensors"


class Classifier(nn.Module):
    """uint8 images (B, C, H, W) -> features (B, 64) and logits (B, K): three convolutions and a linear layer.

    The first strides where images are larger than 32 pixels, so that all sizes cost about the same.
    """

    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__()
        stride = max(1, size // 32)
        self.body = nn.Sequential(
            *convolution(channels, 24, stride + 2, stride), nn.MaxPool2d(2),
            *convolution(24, 64), nn.MaxPool2d(2),
            *convolution(64, 96), nn.AdaptiveMaxPool2d(3), nn.Flatten(),
            nn.Linear(96 * 9, FEATURES), nn.BatchNorm1d(FEATURES), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(FEATURES, classes)
        self.to(memory_format=torch.channels_last)  # half the time on a CPU

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        features = self.body(x)
        return features, self.head(features)


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """A convolution, batch normalisation and ReLU."""
    return [nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


@dataclass(frozen=True)
class Trained:
    """A network in eval mode, on the CPU, and the share of test images it is right about (None: none has a label)."""

    net: Classifier
    accuracy: float | None

    @torch.no_grad()
    def classes_of(self, images: np.ndarray) -> np.ndarray:
        """The likeliest label of each of images (N, H, W, C) uint8, perhaps mapped from a file: (N,) int64."""
        device = next(self.net.parameters()).device
        found = [np.empty(0, np.int64)]
        for start in range(0, len(images), BATCH * 4):
            x = channels_first(images[start : start + BATCH * 4])
            found.append(self.net(x.to(device))[1].argmax(1).cpu().numpy())
        return np.concatenate(found)


def trained(task: str, images: ImageSet, device: torch.device, seed: int = 0) -> Trained:
    """The network of a set of images, trained on the first use and kept in the cache.

    task: `classifier`, which learns the labels, or `rotation`, which learns by how many quarter turns an image was
    rotated (Gidaris et al. 2018, arXiv 1803.07728). The same seed gives the same network, on the same kind of machine.

    Raises:
        UsageError: the images have fewer than two different labels.
    """
    _, size, _, channels = images.train.shape
    classes = 4
    if task == "classifier":
        known = images.train_labels[images.train_labels >= 0]
        if len(np.unique(known)) < 2:
            raise UsageError(f"{images.description} has no labels to learn: take {named('backbone', 'rotation')}")
        classes = max(len(images.classes), int(known.max()) + 1)
    about = {
        "kind": f"seqgan-gp {task}", "format": FORMAT, "steps": STEPS, "images": images.fingerprint, "seed": seed
    }  # fmt: skip

    def read(folder: Path) -> Trained | None:
        try:
            manifest = verify(folder)
            if {key: manifest[key] for key in about} != about:
                return None
            tensors = load_file(folder / WEIGHTS_FILE)
            right, total = (int(tensors.pop(name)) for name in ("right", "total"))
            net = new_network(channels, size, classes, derive(seed, task))
            net.load_state_dict(tensors)
        except (DamagedError, OSError, RuntimeError, SafetensorError, KeyError):
            return None
        return Trained(net.eval(), right / total if total else None)

    def write(folder: Path) -> None:
        net = new_network(channels, size, classes, derive(seed, task)).to(device)
        train(net, task, images, derive(seed, task, 1))
        right, total = count_right(net.eval(), task, images)
        net.cpu()
        counts = {"right": torch.tensor(right), "total": torch.tensor(total)}
        save_file(
            {name: value.contiguous() for name, value in net.state_dict().items()} | counts, folder / WEIGHTS_FILE
        )

    name = f"{task}-{images.fingerprint[:24]}-{FORMAT}-{STEPS}-{seed}"
    return kept(cache_root(None), name, read, write, **about)


def new_network(channels: int, size: int, classes: int, seed: int) -> Classifier:
    """A network whose initial weights follow from the seed; torch's global generators stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Classifier(channels, size, classes)


def train(net: Classifier, task: str, images: ImageSet, seed: int) -> None:
    """Train a network on at most 20,000 of the training images, shifted by up to a pixel in 32.

    Images are not mirrored: the features would not know a mirrored digit from a digit.
    """
    from tqdm import tqdm

    device = next(net.parameters()).device
    rng = np.random.default_rng(seed)
    usable = np.arange(len(images.train))
    if task == "classifier":
        usable = usable[images.train_labels >= 0]
    usable = np.sort(rng.permutation(usable)[:MAX_IMAGES])
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    shift = max(1, images.train.shape[1] // 32)
    for chosen in tqdm(batches(usable, rng), task, STEPS, disable=not sys.stderr.isatty(), unit="step", leave=False):
        x = channels_first(images.train[chosen])
        if task == "classifier":
            y = torch.from_numpy(images.train_labels[chosen].astype(np.int64))
        else:
            y = torch.from_numpy(rng.integers(0, 4, len(x)))
            x = rotated(x, y)
        down, right = rng.integers(-shift, shift + 1, 2)
        x = shifted(x, int(down), int(right))
        loss = F.cross_entropy(net(x.to(device))[1], y.to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def batches(usable: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield STEPS batches of indices, epoch by epoch; a batch has at least two, and at most all."""
    order = usable[:0]
    for _ in range(STEPS):
        while len(order) < min(BATCH, max(2, len(usable))):
            order = np.concatenate([order, rng.permutation(usable)])
        yield order[:BATCH]
        order = order[BATCH:]


@torch.no_grad()
def count_right(net: Classifier, task: str, images: ImageSet) -> tuple[int, int]:
    """On how many test images the network is right, and of how many; each is rotated all four ways for `rotation`."""
    device = next(net.parameters()).device
    right = total = 0
    for start in range(0, len(images.test), BATCH * 4):
        block = slice(start, start + BATCH * 4)
        x, y = channels_first(images.test[block]), torch.from_numpy(images.test_labels[block].astype(np.int64))
        if task == "rotation":
            y = torch.arange(4).repeat_interleave(len(x))
            x = rotated(x.repeat(4, 1, 1, 1), y)
        x, y = x[y >= 0], y[y >= 0]
        if len(y):
            right += int((net(x.to(device))[1].argmax(1).cpu() == y).sum())
            total += len(y)
    return right, total


def channels_first(images: np.ndarray) -> Tensor:
    """Images (B, H, W, C), perhaps mapped from a file, as (B, C, H, W)."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)


def rotated(images: Tensor, turns: Tensor) -> Tensor:
    """Images (B, C, S, S), each by its own number of quarter turns (B,)."""
    every = torch.stack([images.rot90(turn, (2, 3)) for turn in range(4)])
    return every[turns, torch.arange(len(images))]


def shifted(images: Tensor, down: int, right: int) -> Tensor:
    """Images (B, C, H, W) moved by some pixels, their edges repeated."""
    rows = (torch.arange(images.shape[2]) - down).clamp(0, images.shape[2] - 1)
    columns = (torch.arange(images.shape[3]) - right).clamp(0, images.shape[3] - 1)
    return images[:, :, rows][:, :, :, columns]
