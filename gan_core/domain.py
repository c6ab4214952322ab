"""What a domain, such as text or images, provides: four small protocols."""

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
    labelled: np.ndarray  # the indices of the examples that show a label, () where all do or none

    def batch(self, indices: np.ndarray, device: torch.device, step: int) -> Sample:
        """The examples at some indices, in [0, num_examples), as training sees them at a generator step."""

    def about(self) -> dict[str, Any]:
        """What config.json says of the data; `fingerprint` is in it."""

    def summary(self) -> str:
        """The data, for people, in a line."""


class Networks(Protocol):
    """New networks, with PyTorch's initial weights."""

    energy_scale: float  # factor of an autoencoder critic's mean reconstruction error

    def generator(self, prior: Prior) -> nn.Module:
        """A network from a `Latent` that the prior draws to x."""

    def trunk(self, extra: int = 0) -> tuple[nn.Module, int]:
        """A network from x with `extra` more channels to features (B, F), and F."""

    def decoder(self, code: int) -> nn.Module:
        """A network from an encoding (B, code) to x, for autoencoder critics."""

    def initialise(self, net: nn.Module) -> None:
        """Set the weights of an assembled network."""


class Samples(Protocol):
    """How samples are written, printed and shown."""

    formats: tuple[str, ...]  # that samples are exported in, named by the ending of the file; the usual one first
    printed: tuple[str, ...]  # those of them that can go to standard output
    pictured: int  # samples that are shown together

    def save(self, folder: Path) -> None:
        """Write what samples are decoded with, such as a tokenizer, into a checkpoint."""

    def show(self, stem: Path, picture: Picture, trained: Trained) -> Path:
        """Write samples to `stem` plus a suffix of the domain's, for people to look at; by class where labelled."""

    def show_real(self, stem: Path, num: int) -> Path:
        """Write `num` real samples in the same form."""

    def export(self, batches: Iterable[Sample], form: str, path: Path, columns: int | None = None) -> None:
        """Write samples in one of `formats` to a new file or folder; `columns` is for pictures."""

    def lines(self, batches: Iterable[Sample], form: str, for_terminal: bool) -> Iterator[str]:
        """Samples in one of `printed`, in pieces for standard output."""

    def preview(self, batches: Iterable[Sample]) -> list[str]:
        """A few samples as lines for the terminal, none where samples are no lines."""


class Scores(Protocol):
    """How generated samples are scored."""

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        """Score generated samples: the object that `evaluate` prints as JSON.

        Every process calls it: all draw their share first, and only where `trained.is_scorer()` is it scored.
        """

    def scalars(self, evaluation: dict[str, Any]) -> dict[str, float]:
        """The scores in an evaluation that are plotted against steps, by name."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A domain, opened for a run.

    labels: the classes of the training examples, as training sees them.
    data, scores: None where a checkpoint is opened without its data: then samples can only be drawn.
    """

    name: str
    labels: Labels
    networks: Networks
    samples: Samples
    data: Data | None = None
    scores: Scores | None = None
