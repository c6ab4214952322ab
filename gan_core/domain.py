"""What a domain, text or images, provides to the core."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from gan_core.game.trained import Trained
from gan_core.labels import Labels
from gan_core.sample import Sample


class Domain(Protocol):
    """Data, networks and scores of one kind of sample."""

    name: str
    formats: tuple[str, ...]  # forms that samples are exported in, named by the ending of the file; the usual one first
    printed: tuple[str, ...]  # those that can go to standard output
    labels: Labels  # the classes of the training examples, as training sees them
    labels_by_norm: bool  # whether a generator takes labels by its normalisation layers, not beside the noise
    energy_scale: float  # of an autoencoder critic's mean reconstruction error

    @property
    def labelled(self) -> np.ndarray:
        """The indices of the training examples that show a label, () where all do or none."""

    @property
    def fingerprint(self) -> str:
        """Identifies the training data and how it is encoded."""

    @property
    def num_examples(self) -> int:
        """How many training examples there are."""

    def batch(self, indices: np.ndarray, device: torch.device) -> Sample:
        """The training examples at some indices, in [0, num_examples)."""

    def generator(self, inputs: int, num_classes: int) -> nn.Module:
        """A new network from rows (B, inputs) to x; where `num_classes` is not 0, from rows and labels (B,)."""

    def trunk(self, more: int = 0) -> tuple[nn.Module, int]:
        """A new network from x with some more channels to features (B, F), and F."""

    def decoder(self, code: int) -> nn.Module:
        """A new network from an encoding (B, code) to x, for autoencoder critics."""

    def initialise(self, net: nn.Module) -> None:
        """Set the weights of an assembled network."""

    def save(self, folder: Path) -> None:
        """Write what decoding needs, such as a tokeniser, into a checkpoint."""

    def about(self) -> dict[str, Any]:
        """What config.json says of the data; `fingerprint` identifies it."""

    def summary(self) -> str:
        """The data, for people, in a line."""

    def write_samples(self, stem: Path, batches: Iterable[Sample], columns: int | None = None) -> Path:
        """Write samples to `stem` plus a suffix of the domain's, for people to look at; by class where labelled."""

    def write_real(self, stem: Path, num: int) -> Path:
        """Write real samples likewise."""

    def export(self, batches: Iterable[Sample], form: str, path: Path, columns: int | None = None) -> None:
        """Write samples in one of `formats`, to a new file or folder; `columns` is for pictures."""

    def lines(self, batches: Iterable[Sample], form: str, for_terminal: bool) -> Iterator[str]:
        """Samples in one of `printed`, for standard output, in pieces."""

    def preview(self, batches: Iterable[Sample]) -> list[str]:
        """A few samples as lines for the terminal, none where the domain has no such form."""

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        """Score generated samples: the object that `evaluate --json` prints.

        Every process calls it: all draw their share first, and only where `trained.goes_on()` is it scored.
        """

    def scalars(self, evaluation: dict[str, Any]) -> dict[str, float]:
        """The scores in it to plot against steps, by name."""

    def report(self, evaluation: dict[str, Any]) -> str:
        """The evaluation for people: a table, and in words how the score compares."""
