"""The scores of label_scores.py, measured on what a run has learned."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gan_core.label_losses import InfoMaximising
from gan_core.label_scores import Scores, agreement, classifier_scores, code_scores, critic_scores, label_report
from gan_core.sample import Sample, Verdict
from gan_core.trained import Trained


@dataclass(frozen=True)
class Judge:
    """What a domain brings: a held-out classifier, trained on the labels of real training examples.

    name: of the classifier. classify: a batch -> the classes (B,) that it finds. held_out: real test batches with their
    true labels. classes: their names.
    """

    name: str
    classify: Callable[[Sample], np.ndarray]
    held_out: Callable[[], Iterable[Sample]]
    classes: tuple[str, ...]


def knows_labels(trained: Trained) -> bool:
    """Whether a run has learnt anything of labels or codes that could be scored."""
    return bool(trained.prior.shares or trained.prior.codes or trained.has_head("class"))


def evaluate_labels(trained: Trained, judge: Judge | None, num: int) -> tuple[Scores, list[Sample]]:
    """The report of `label_scores.label_report` by `num` samples, and the samples, of each class as many where asked.

    judge: None where the data has no labels to learn: then what samples tell of their codes is all there is.
    """
    asked = trained.each_class(num) if trained.prior.shares else None
    samples = list(trained.draw(num, asked))
    codes = None if trained.prior.codes is None else {"bits": bounds(trained, samples)}
    if judge is None:
        return label_report(codes=codes), samples
    names = judge.classes
    found = joined(map(judge.classify, samples))
    real = list(judge.held_out())
    truth = joined(batch.y for batch in real)
    critic = None
    if trained.has_head("class"):
        read = torch.cat([trained.heads(batch)["class"] for batch in real])
        critic = critic_scores(truth, read.argmax(1).numpy(), names, 0 if trained.taught else read.shape[1])
    if trained.prior.codes is not None and codes is not None:
        k = trained.prior.codes.categories
        drawn = joined(trained.prior.codes.categories_of(batch.code) for batch in samples if batch.code is not None)
        seen = joined(categories_in(trained.heads(batch), k) for batch in real)
        codes = code_scores(k, len(names), (drawn, found), (seen, truth), codes["bits"])
    report = label_report(
        classifier=classifier_scores(judge.name, truth, joined(map(judge.classify, real)), names),
        conditional=None if asked is None else agreement(asked.numpy(), found, names),
        critic=critic,
        codes=codes,
    )
    return report, samples


def label_scalars(report: Scores) -> dict[str, float]:
    """The scores of a report to plot against steps, by name."""
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
    """Arrays or tensors (B, ...) as one array."""
    return np.concatenate([np.asarray(array) for array in arrays])


def categories_in(heads: dict[str, torch.Tensor], categories: int) -> torch.Tensor:
    """The values (B, C) of categorical codes that Q finds likeliest."""
    if "category" not in heads:
        return torch.empty(len(heads["level"]), 0, dtype=torch.int64)
    return heads["category"].unflatten(1, (-1, categories)).argmax(2)


def bounds(trained: Trained, samples: list[Sample]) -> dict[str, float]:
    """InfoGAN's lower bounds, in bits, on what the samples tell of their codes."""
    codes = trained.prior.codes
    assert codes is not None
    read = [trained.heads(batch) for batch in samples]
    heads = {name: torch.cat([batch[name] for batch in read]) for name in read[0]}
    code = torch.cat([batch.code for batch in samples if batch.code is not None])
    kind: Any = InfoMaximising
    loss = kind(
        categorical=codes.categorical, categories=codes.categories, continuous=codes.continuous,
        learn_std="log_std" in heads,
    )  # fmt: skip
    category, level = loss.bounds(Verdict(Sample(code, None, code), code, heads))
    kinds = {"category": (codes.categorical, category), "level": (codes.continuous, level)}
    return {name: float(value) for name, (count, value) in kinds.items() if count}
