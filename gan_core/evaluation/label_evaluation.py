"""Evaluation of labels and codes: computes the scores of label_scores.py for the networks of a run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from gan_core.evaluation.label_scores import (
    Scores,
    agreement,
    classifier_scores,
    code_scores,
    critic_scores,
    label_report,
)
from gan_core.game.trained import Trained
from gan_core.parts.label_losses import InfoMaximising
from gan_core.sample import Sample, Verdict


@dataclass(frozen=True)
class Judge:
    """A domain's held-out classifier, trained on the labels of real training examples.

    name: the classifier's name. classify: a batch -> the predicted classes (B,).
    held_out: yields batches of real test examples with their true labels. classes: the names of the classes.
    """

    name: str
    classify: Callable[[Sample], np.ndarray]
    held_out: Callable[[], Iterable[Sample]]
    classes: tuple[str, ...]

    @cached_property
    def of_real(self) -> tuple[np.ndarray, np.ndarray]:
        """The true labels (N,) and the predicted classes (N,) of the real test examples, computed once."""
        pairs = [(np.asarray(batch.y), self.classify(batch)) for batch in self.held_out()]
        return joined(truth for truth, _ in pairs), joined(found for _, found in pairs)


@dataclass(frozen=True)
class Shown:
    """Generated samples, reduced to what the evaluation of labels and codes needs.

    asked: the labels (N,) that the samples are conditioned on, or None.
    arrays: (N, ...) each. `found`: the classes that a judge predicts. With codes also `code`, the samples' codes, and
        `head NAME`, the outputs of the critic's heads. The caller may add more.
    """

    asked: np.ndarray | None
    arrays: dict[str, np.ndarray]


def knows_labels(trained: Trained) -> bool:
    """Whether a run uses labels or codes, so that their scores can be computed."""
    return bool(trained.prior.shares or trained.prior.codes or trained.has_head("class"))


def show_labels(
    trained: Trained, judge: Judge | None, num: int, keep: Callable[[Sample], dict[str, np.ndarray]] | None = None
) -> Shown:
    """Generate `num` samples, equally many per class if the generator is conditional; see `Trained.collect`.

    judge: None if the run's data has no labels. keep: computes further arrays from each batch.
    """
    asked = trained.each_class(num) if trained.prior.shares else None

    def read(batch: Sample) -> dict[str, np.ndarray]:
        arrays = {} if keep is None else keep(batch)
        if judge is not None:
            arrays["found"] = judge.classify(batch)
        if batch.code is not None:
            arrays["code"] = batch.code.numpy()
            arrays |= {f"head {name}": value.numpy() for name, value in trained.heads(batch).items()}
        return arrays

    return Shown(None if asked is None else asked.numpy(), trained.collect(num, read, asked))


def evaluate_labels(trained: Trained, judge: Judge | None, shown: Shown) -> Scores:
    """Compute the report of `label_scores.label_report`.

    judge: None if the data has no labels; then the report contains only the information of samples about their codes.
    """
    codes = None if trained.prior.codes is None else {"bits": bounds(trained, shown)}
    if judge is None:
        return label_report(codes=codes)
    names = judge.classes
    truth, found_in_real = judge.of_real
    asks_critic = trained.has_head("class") or codes is not None
    of_real = [trained.heads(batch) for batch in judge.held_out()] if asks_critic else []
    critic = None
    if trained.has_head("class"):
        read = torch.cat([heads["class"] for heads in of_real])
        critic = critic_scores(truth, read.argmax(1).numpy(), names, 0 if trained.taught else read.shape[1])
    if trained.prior.codes is not None and codes is not None:
        k = trained.prior.codes.categories
        drawn = trained.prior.codes.categories_of(torch.from_numpy(shown.arrays["code"])).numpy()
        seen = joined(categories_in(heads, k) for heads in of_real)
        codes = code_scores(k, len(names), (drawn, shown.arrays["found"]), (seen, truth), codes["bits"])
    return label_report(
        classifier=classifier_scores(judge.name, truth, found_in_real, names),
        conditional=None if shown.asked is None else agreement(shown.asked, shown.arrays["found"], names),
        critic=critic,
        codes=codes,
    )


def label_scalars(report: Scores) -> dict[str, float]:
    """The scores of a report that are plotted against steps, by name."""
    scalars = {}
    if "conditional" in report:
        scalars["labels/agreement"] = report["conditional"]["accuracy"]
    if "critic" in report:
        scalars["labels/critic_error"] = report["critic"].get("error", report["critic"].get("matched_error"))
    for where in ("samples", "real"):
        for number, matching in enumerate(report.get("codes", {}).get(where, ())):
            scalars[f"labels/code_{number}_{where}"] = matching["accuracy"]
    return {name: value for name, value in scalars.items() if value is not None}


def joined(arrays: Iterable[Any]) -> np.ndarray:
    """Concatenate arrays or tensors (B, ...) into one array."""
    return np.concatenate([np.asarray(array) for array in arrays])


def categories_in(heads: dict[str, torch.Tensor], categories: int) -> torch.Tensor:
    """The most likely values (B, C) of the categorical codes under Q."""
    if "category" not in heads:
        return torch.empty(len(heads["level"]), 0, dtype=torch.int64)
    return heads["category"].unflatten(1, (-1, categories)).argmax(2)


def bounds(trained: Trained, shown: Shown) -> dict[str, float]:
    """InfoGAN's lower bounds, in bits, on the mutual information of samples and codes, by kind of code."""
    codes = trained.prior.codes
    assert codes is not None
    arrays = {name: torch.from_numpy(array) for name, array in shown.arrays.items()}
    heads = {name.removeprefix("head "): value for name, value in arrays.items() if name.startswith("head ")}
    code = arrays["code"]
    kind: Any = InfoMaximising
    loss = kind(
        categorical=codes.categorical, categories=codes.categories, continuous=codes.continuous,
        learn_std="log_std" in heads,
    )  # fmt: skip
    category, level = loss.bounds(Verdict(Sample(code, None, code), code, heads))
    kinds = {"category": (codes.categorical, category), "level": (codes.continuous, level)}
    return {name: float(value) for name, (count, value) in kinds.items() if count}
