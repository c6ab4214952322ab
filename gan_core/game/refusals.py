"""Checks that refuse combinations of parts that cannot be trained, with one sentence that names the remedy."""

from collections.abc import Sequence

from torch import nn

from gan_core.errors import DataError, UsageError, named
from gan_core.labels import Labels
from gan_core.networks.critic import BOUNDED, ENERGIES, mixes_samples
from gan_core.parts.base import Conditioning, Loss, Needs, Part, Penalty


def refuse_parts(parts: Sequence[Part], labels: Labels) -> None:
    """Refuse parts that contradict each other or do not fit the labels of the data.

    Raises:
        UsageError: the parts contradict each other or the labels; one sentence that names the remedy.
        DataError: a class has no training example.
    """
    losses = [part for part in parts if isinstance(part, Loss)]
    ways = [part for part in parts if isinstance(part, Conditioning)]
    deciding: list[Loss | Conditioning] = [*losses, *ways]
    needs: dict[Part, Needs] = {part: part.needs(len(labels)) for part in deciding}
    _refuse_scores(losses, needs)
    for part in parts:
        part.check(labels)
    for part, need in needs.items():
        _refuse_labels(part, need, labels)
    if len(ways) > 1:
        raise UsageError(f"{_names(ways)} both show the critic the label: {leave_one_out()}")
    _refuse_heads(losses, needs)
    for way in ways:
        _refuse_conditioning(way, losses, needs)
    for penalty in parts:
        if isinstance(penalty, Penalty) and penalty.target and (score := _score(losses, needs)) in BOUNDED:
            owner = next(loss for loss in losses if needs[loss].score == score)
            raise UsageError(
                f"{penalty.name} holds the critic's gradient norm to {penalty.target:g}, and the score of {owner.name} "
                f"is bounded, so it cannot rise for ever: use r1, r2 or zero-gp, or leave the penalty out with "
                f"{named('without')}"
            )


def _names(parts: Sequence[Part]) -> str:
    return " and ".join(part.name for part in parts)


def _score(losses: Sequence[Loss], needs: dict[Part, Needs]) -> str:
    return next(needs[loss].score for loss in losses if needs[loss].score)


def _refuse_scores(losses: Sequence[Loss], needs: dict[Part, Needs]) -> None:
    if not losses:
        raise UsageError(
            f"the run has no loss: add one, such as {named('add', 'wasserstein')} or {named('recipe', 'wgan-gp')}"
        )
    scoring = {needs[loss].score: loss for loss in reversed(losses) if needs[loss].score}
    if not scoring:
        verb = "stands" if len(losses) == 1 else "stand"
        raise UsageError(
            f"{_names(losses)} {verb} beside an adversarial loss and this run has none: add one, such as "
            f"{named('add', 'hinge')}"
        )
    if len(scoring) > 1:
        first, second = sorted(scoring.values(), key=losses.index)[:2]
        raise UsageError(
            f"{second.name} cannot share a critic with {first.name}, whose score is of another kind: {leave_one_out()}"
        )


def _refuse_labels(part: Part, need: Needs, labels: Labels) -> None:
    if need.labels == "none":
        return
    if len(labels) < 2:
        data = named("data")
        found = f"has one class only: give {data} with more" if len(labels) else f"has no labels: give labelled {data}"
        raise UsageError(f"{part.name} learns from labels and the data {found}")
    if not all(labels.counts):
        missing = labels.names[labels.counts.index(0)]
        raise DataError(
            f"the data has no training example of class {missing!r}, which {part.name} would learn: add some, or label "
            "the data without that class"
        )
    if need.labels == "all" and labels.hidden:
        total = labels.hidden + sum(labels.counts)
        raise UsageError(
            f"{part.name} needs the label of every example, and {labels.hidden:,} of {total:,} show none: leave "
            f"{named('labels_per_class')} out or label them all, or take a recipe that learns from some, "
            "acgan, sgan or catgan"
        )


def _refuse_heads(losses: Sequence[Loss], needs: dict[Part, Needs]) -> None:
    seen: dict[str, Loss] = {}
    for loss in losses:
        for head, width in needs[loss].heads.items():
            other = seen.setdefault(head, loss)
            if needs[other].heads[head] != width:
                raise UsageError(f"{_names([other, loss])} want a different number of classes: {leave_one_out()}")


def _refuse_conditioning(way: Conditioning, losses: Sequence[Loss], needs: dict[Part, Needs]) -> None:
    classifying = [loss for loss in losses if "class" in needs[loss].heads]
    if classifying and way.inputs(2):
        raise UsageError(
            f"{way.name} shows the critic the label that {classifying[0].name} has it guess: {leave_one_out()}"
        )
    score = _score(losses, needs)
    if not way.inputs(2) and score != "linear":
        kind = "a reconstruction error" if score in ENERGIES else "made of class logits"
        raise UsageError(
            f"{way.name} adds to a critic's linear score, and here it is {kind}: leave {way.name} out with "
            f"{named('without')}"
        )


def refuse_critic(
    critic: nn.Module, losses: Sequence[Loss], penalties: Sequence[Penalty], num_classes: int = 0
) -> None:
    """Refuse a critic that does not fit the losses and penalties.

    Raises:
        UsageError: the critic has batch norm or the wrong kind of score; one sentence that names the remedy.
    """
    if penalties and mixes_samples(critic):
        raise UsageError(
            f"the critic has batch norm, under which a gradient norm per sample means nothing, and the run has "
            f"{', '.join(penalty.name for penalty in penalties)}: "
            f"use a critic without it or with layer norm, or leave the penalty out with {named('without')}"
        )
    kind = getattr(critic, "score_kind", "linear")
    for loss in losses:
        wanted = loss.needs(num_classes).score
        if wanted in ENERGIES and kind not in ENERGIES:
            raise UsageError(
                f"{loss.name} scores by reconstruction error and this critic is no autoencoder: "
                f"give it an autoencoder critic, or leave {loss.name} out"
            )
        if wanted and wanted != kind:
            raise UsageError(
                f"{loss.name} wants a score that is {wanted!r} and this critic's is {kind!r}: {leave_one_out()}"
            )


def leave_one_out() -> str:
    """The remedy for two parts that exclude each other."""
    return f"leave one out with {named('without')}"
