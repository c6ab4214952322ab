"""The text domain: implements the four protocols of `gan_core.domain`."""

import json
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gan_core.domain import Domain
from gan_core.evaluation.label_evaluation import Judge, Shown, evaluate_labels, knows_labels, label_scalars, show_labels
from gan_core.evaluation.label_scores import table as label_table
from gan_core.game.prior import Prior
from gan_core.game.trained import PICTURED, Picture, Trained
from gan_core.labels import Labels, settle_labels, some_labelled
from gan_core.labels import load as load_labels
from gan_core.networks.conditional import Generator
from gan_core.runtime.device import sent
from gan_core.sample import Sample
from gan_core.schedules.base import at
from gan_core.storage.sealed import replacing
from gan_core.text import plain
from seqgan_gp import tokenizers
from seqgan_gp.corpus.corpus import Corpus, open_rows, prepare
from seqgan_gp.networks.base import Shape, initialise, make_network
from seqgan_gp.scores.classifier import NgramClassifier
from seqgan_gp.scores.protocols import PROTOCOLS, other_scorer, run_scorer, scalars, table
from seqgan_gp.settings import TextSettings
from seqgan_gp.tokenizers.base import Tokenizer

TESTED = 2_000  # samples in the evaluation of labels
MAX_TESTED = 10_000  # highest number of held-out lines that a critic or a classifier is scored on
BATCH = 256  # held-out lines in a batch


class TextData:
    """The training lines of a corpus as one-hot batches."""

    def __init__(self, settings: TextSettings, corpus: Corpus) -> None:
        self.settings, self.corpus = settings, corpus
        self._labels, self.labels = settle_labels(
            corpus.train_labels, corpus.classes, corpus.description, classes=settings.classes,
            per_class=settings.labels_per_class, seed=settings.seed,
        )  # fmt: skip
        self.labelled = some_labelled(self._labels)
        self.fingerprint = corpus.fingerprint
        self.num_examples = len(corpus.train)

    def batch(self, indices: np.ndarray, device: torch.device, step: int) -> Sample:
        """One-hot lines (B, V, L), smoothed by the setting `smoothing`. Only the ids are copied to the device."""
        ids = sent(torch.from_numpy(self.corpus.train[indices]), device).long()
        y = sent(torch.from_numpy(self._labels[indices]), device).long() if len(self.labels) else None
        return Sample(one_hot(ids, self.corpus.tokenizer.size, at(self.settings.smoothing, step)), y)

    def held_out(self, num: int) -> Iterator[Sample]:
        """At most `num` held-out lines in batches, with all their labels, hidden ones included."""
        for start in range(0, min(num, len(self.corpus.heldout)), BATCH):
            rows = slice(start, min(start + BATCH, num))
            x = one_hot(torch.from_numpy(self.corpus.heldout[rows].astype(np.int64)), self.corpus.tokenizer.size)
            yield Sample(x, torch.from_numpy(self.corpus.heldout_labels[rows].astype(np.int64)))

    def about(self) -> dict[str, Any]:
        corpus = self.corpus
        about = {"description": corpus.description, "fingerprint": corpus.fingerprint, "counts": corpus.counts}
        return about | {
            "tokenizer": corpus.tokenizer.kind,
            "symbols": corpus.tokenizer.size,
            "classes": list(corpus.classes),
        }

    def summary(self) -> str:
        counts, tokenizer = self.corpus.counts, self.corpus.tokenizer
        rows = f"{len(self.corpus.train):,} lines to learn from, {len(self.corpus.heldout):,} held out"
        remarks = {"blank": "blank lines dropped", "bad_utf8": f"lines not UTF-8 ({self.settings.bad_utf8})"}
        noted = "".join(f", {counts[key]:,.0f} {text}" for key, text in remarks.items() if counts.get(key))
        kind = f"{tokenizer.size} symbols ({tokenizer.kind}), {self.settings.seq_len} a line"
        classes = f"; {self.labels.told()}" if len(self.labels) else ""
        return f"{self.corpus.description}: {rows}{noted}; {kind}{classes}"


class TextNetworks:
    """The networks of the settings' architecture, for a vocabulary of `symbols` symbols."""

    def __init__(self, settings: TextSettings, symbols: int) -> None:
        # Half the sum over symbols, averaged over positions: the total variation between a symbol and its
        # reconstruction, from 0 to 1. A plain mean would shrink with the size of the vocabulary.
        self.energy_scale = symbols / 2
        s = self.settings = settings
        shape = Shape(
            symbols=symbols, length=s.seq_len, width=s.width, depth=s.depth, kernel=s.kernel, res_scale=s.res_scale
        )
        self._network = make_network(s.arch, shape, s.of_arch)

    def generator(self, prior: Prior) -> nn.Module:
        return Generator(self._network.generator(prior.width + prior.num_classes), prior.num_classes)

    def decoder(self, code: int) -> nn.Module:
        return self._network.decoder(code)

    def trunk(self, extra: int = 0) -> tuple[nn.Module, int]:
        return self._network.trunk(extra)

    def initialise(self, net: nn.Module) -> None:
        initialise(net, self.settings.init)


class TextSamples:
    """Decodes softmax batches to sentences (the most likely symbol at each position), and writes them.

    corpus: provides real lines to show; None if a checkpoint is opened without its data.
    """

    formats: tuple[str, ...] = ("txt", "jsonl", "npz")
    printed: tuple[str, ...] = ("txt", "jsonl")
    pictured = PICTURED

    def __init__(self, tokenizer: Tokenizer, labels: Labels, corpus: Corpus | None = None) -> None:
        self.tokenizer, self.labels, self._corpus = tokenizer, labels, corpus

    def save(self, folder: Path) -> None:
        self.tokenizer.save(folder)
        self.labels.save(folder)

    def show(self, stem: Path, picture: Picture, trained: Trained) -> Path:
        path = stem.with_suffix(".txt")
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(line + "\n" for line in self._rows(picture.batches, picture.columns))
        return path

    def show_real(self, stem: Path, num: int) -> Path:
        assert self._corpus is not None
        path = stem.with_suffix(".txt")
        text = "".join(line + "\n" for line in self.tokenizer.decode(self._corpus.heldout[:num]))
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
        return path

    def export(self, batches: Iterable[Sample], form: str, path: Path, columns: int | None = None) -> None:
        """Write samples to a file. `npz` has the array `ids` and, for conditional samples, `labels`."""
        if form == "npz":
            samples = list(batches)
            labels = {} if samples[0].y is None else {"labels": torch.cat([s.y for s in samples]).numpy()}
            with path.open("wb") as file:
                np.savez_compressed(file, ids=ids_of(samples).astype(self.tokenizer.dtype), **labels)
            return
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(self.lines(batches, form, for_terminal=False))

    def lines(self, batches: Iterable[Sample], form: str, for_terminal: bool) -> Iterator[str]:
        """One line per sample. In `txt`, a conditional sample begins with its label and a tab, as `data` reads it."""
        for text, name in self._named(batches):
            if form == "jsonl":
                about = {"text": text} if name is None else {"label": name, "text": text}
                yield json.dumps(about, ensure_ascii=for_terminal) + "\n"
            else:
                line = text if name is None else f"{name}\t{text}"
                yield (plain(line) if for_terminal else line) + "\n"

    def preview(self, batches: Iterable[Sample]) -> list[str]:
        return [plain(line.replace("\t", ": ", 1)) for line in self._rows(batches)]

    def _named(self, batches: Iterable[Sample]) -> Iterator[tuple[str, str | None]]:
        """Each sentence of the batches, with the name of its class or None."""
        for batch in batches:
            names = repeat(None) if batch.y is None else (self.labels.names[y] for y in batch.y.tolist())
            yield from zip(self.tokenizer.decode(ids_of([batch])), names, strict=False)

    def _rows(self, batches: Iterable[Sample], columns: int | None = None) -> Iterator[str]:
        """Lines for people: the class, a tab and the sentence; `columns` sentences form a group if it is given."""
        for i, (text, name) in enumerate(self._named(batches)):
            if columns and i and i % columns == 0:
                yield ""
            yield text if name is None else f"{name}\t{text}"


class TextScores:
    """N-gram scores by each protocol, and scores of labels and codes."""

    def __init__(self, data: TextData) -> None:
        self.data, self.corpus = data, data.corpus
        self._judge: Judge | None = None
        self._scorers = {name: run_scorer(protocol, data.corpus) for name, protocol in PROTOCOLS.items()}

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        """The run's scores, protocol -> report; {} on ranks other than 0, which only draw their share of samples."""
        drawn = {name: trained.collect(protocol.num, read_ids) for name, protocol in PROTOCOLS.items()}
        shown = self.show_labels(trained)
        if not trained.is_scorer():
            return {}
        reports = {name: self._scorers[name].score(arrays["ids"]) for name, arrays in drawn.items()}
        return reports | self.score_shown(trained, shown)

    def score(self, protocol: str, trained: Trained, num: int | None = None, data: str | None = None) -> dict[str, Any]:
        """The report of one protocol.

        num: the number of samples; None for the protocol's number.
        data: other real lines to compare with; None for the run's lines.
        """
        scorer = self._scorers[protocol]
        if data is not None:
            settings = self.data.settings
            rows = open_rows(data, self.corpus.tokenizer, settings.seq_len, bad_utf8=settings.bad_utf8)
            scorer = other_scorer(PROTOCOLS[protocol], self.corpus, rows)
        return scorer.score(ids_of(trained.draw(num or PROTOCOLS[protocol].num)))

    def scalars(self, evaluation: dict[str, Any]) -> dict[str, float]:
        reports = {name: report for name, report in evaluation.items() if name in PROTOCOLS}
        return scalars(reports) | label_scalars(evaluation.get("labels", {}))

    def score_labels(self, trained: Trained, num: int = 0) -> dict[str, Any]:
        """{"labels": the report of `label_report`}, or {} if the run uses neither labels nor codes."""
        return self.score_shown(trained, self.show_labels(trained, num))

    def show_labels(self, trained: Trained, num: int = 0) -> Shown | None:
        """Generate the samples for the scores of labels and codes; None if the run uses neither."""
        return show_labels(trained, self._judged(), num or TESTED) if knows_labels(trained) else None

    def score_shown(self, trained: Trained, shown: Shown | None) -> dict[str, Any]:
        """{"labels": the report for the samples of `show_labels`}, or {} for None."""
        return {} if shown is None else {"labels": evaluate_labels(trained, self._judged(), shown)}

    def _judged(self) -> Judge | None:
        """The held-out classifier, or None if the data has fewer than two classes."""
        if self._judge is None and len(self.data.labels) > 1:
            corpus = self.corpus
            known = NgramClassifier.fit(corpus.train, corpus.train_labels, len(self.data.labels))

            def classify(batch: Sample) -> np.ndarray:
                return known.predict(ids_of([batch]))

            self._judge = Judge("n-grams", classify, lambda: self.data.held_out(MAX_TESTED), self.data.labels.names)
        return self._judge


def open_domain(settings: TextSettings) -> Domain:
    """Open the text domain, with the settings' data prepared or taken from the cache.

    Raises:
        DataError: the data cannot be used.
    """
    corpus = prepare(
        settings.data, tokenizer=settings.tokenizer, vocab_size=vocab_size_of(settings), seq_len=settings.seq_len,
        bad_utf8=settings.bad_utf8, heldout=settings.heldout, labels=settings.labels,
    )  # fmt: skip
    return domain_of(settings, corpus)


def domain_of(settings: TextSettings, corpus: Corpus) -> Domain:
    """The text domain with a given corpus."""
    data = TextData(settings, corpus)
    return Domain(
        name="text", labels=data.labels, networks=TextNetworks(settings, corpus.tokenizer.size),
        samples=TextSamples(corpus.tokenizer, data.labels, corpus), data=data, scores=TextScores(data),
    )  # fmt: skip


def from_checkpoint(settings: TextSettings, folder: Path) -> Domain:
    """The text domain without data, for drawing samples, with the tokenizer and the labels of a checkpoint."""
    tokenizer, labels = tokenizers.load(folder), load_labels(folder)
    networks, samples = TextNetworks(settings, tokenizer.size), TextSamples(tokenizer, labels)
    return Domain(name="text", labels=labels, networks=networks, samples=samples)


def report(evaluation: dict[str, Any]) -> str:
    """An evaluation as text: for each protocol a table, and a sentence that compares the score."""
    if "protocol" in evaluation:  # the report of a single protocol
        protocol = {name: value for name, value in evaluation.items() if name != "labels"}
        labels = {name: value for name, value in evaluation.items() if name == "labels"}
        evaluation = {evaluation["protocol"]: protocol} | labels
    tables = [label_table(found) if name == "labels" else table(found) for name, found in evaluation.items()]
    return "\n\n".join(tables)


def one_hot(ids: Tensor, symbols: int, smoothing: float = 0.0) -> Tensor:
    """One-hot lines (B, V, L) of ids (B, L); a share `smoothing` of each one-hot is spread evenly over all symbols."""
    spread = smoothing / symbols
    x = torch.full((*ids.shape, symbols), spread, device=ids.device)
    return x.scatter_(2, ids.unsqueeze(2), 1 - smoothing + spread).transpose(1, 2)


def ids_of(batches: Iterable[Sample]) -> np.ndarray:
    """The ids (N, L) of the most likely symbols in softmax batches (B, V, L)."""
    return np.concatenate([batch.x.argmax(dim=1).to(torch.int32).cpu().numpy() for batch in batches])


def read_ids(batch: Sample) -> dict[str, np.ndarray]:
    """The array `ids` (B, L) of a softmax batch, for `Trained.collect`."""
    return {"ids": ids_of([batch])}


def vocab_size_of(settings: TextSettings) -> int | None:
    """The vocabulary size to train a tokenizer with; None for bytes, which have a fixed size."""
    return None if settings.tokenizer == "byte" else settings.vocab_size
