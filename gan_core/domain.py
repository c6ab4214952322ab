"""The protocols that a domain such as text or images implements: Data, Networks, Samples, Scores."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from gan_core.game.prior import Prior
from gan_core.game.trained import Picture, Trained
from gan_core.labels import Labels
from gan_core.sample import Sample


class Data(Protocol):
    """The training examples."""

    fingerprint: str  # identifies the training data and how it is encoded
    num_examples: int
    labelled: np.ndarray  # the indices of the examples that show a label; empty if all or none do

    def batch(self, indices: np.ndarray, device: torch.device, step: int) -> Sample:
        """The training batch of the examples at `indices`, in [0, num_examples), for a generator step."""

    def about(self) -> dict[str, Any]:
        """The description of the data in config.json, which includes `fingerprint`."""

    def summary(self) -> str:
        """A one-line description of the data for people."""


class Networks(Protocol):
    """Makes networks, with PyTorch's default initial weights."""

    energy_scale: float  # factor of an autoencoder critic's mean reconstruction error

    def generator(self, prior: Prior) -> nn.Module:
        """Make a network from a `Latent` of the prior to x."""

    def trunk(self, extra: int = 0) -> tuple[nn.Module, int]:
        """Make a network from x with `extra` additional channels to features (B, F); return it and F."""

    def decoder(self, code: int) -> nn.Module:
        """Make a network from an encoding (B, code) to x, for autoencoder critics."""

    def initialise(self, net: nn.Module) -> None:
        """Set the initial weights of an assembled network."""


class Samples(Protocol):
    """Writes, prints and shows samples."""

    formats: tuple[str, ...]  # the formats for `export`, named by the file's suffix; the default first
    printed: tuple[str, ...]  # the formats that can be written to standard output
    pictured: int  # number of samples in a picture

    def save(self, folder: Path) -> None:
        """Write the files for decoding samples, such as a tokenizer, into a checkpoint."""

    def show(self, stem: Path, picture: Picture, trained: Trained) -> Path:
        """Write samples to the path `stem` plus the domain's suffix, for people; grouped by class if labelled."""

    def show_real(self, stem: Path, num: int) -> Path:
        """Write `num` real samples in the same form as `show`."""

    def export(self, batches: Iterable[Sample], form: str, path: Path, columns: int | None = None) -> None:
        """Write samples in one of `formats` to a new file or folder; `columns` applies to pictures."""

    def lines(self, batches: Iterable[Sample], form: str, for_terminal: bool) -> Iterator[str]:
        """Format samples in one of `printed`, as pieces of text for standard output."""

    def preview(self, batches: Iterable[Sample]) -> list[str]:
        """A few samples as lines for the terminal; [] if samples are not text."""


class Scores(Protocol):
    """Scores generated samples."""

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        """Score generated samples; returns the object that `evaluate` prints as JSON.

        Every process calls it and draws its share of the samples; then only `trained.is_scorer()` computes the scores.
        """

    def scalars(self, evaluation: dict[str, Any]) -> dict[str, float]:
        """The scores in an evaluation that are plotted against steps, by name."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A domain, opened for a run.

    labels: the classes of the training examples, as training sees them.
    data, scores: None if a checkpoint is opened without its data; then samples can be drawn but not scored.
    """

    name: str
    labels: Labels
    networks: Networks
    samples: Samples
    data: Data | None = None
    scores: Scores | None = None
