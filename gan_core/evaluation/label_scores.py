"""Scores of labels and codes: agreement of samples with their labels, and the accuracy of a critic's heads.

A held-out classifier, trained on real examples only, predicts the class of a sample. Every share is reported together
with the share by chance and, if available, the share for real examples.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gan_core.text import plain

PERMUTATIONS = 100  # random permutations of the codes that estimate a matching's accuracy by chance
SHOWN = 12  # classes in a table; the worst ones if there are more

Scores = dict[str, Any]


def confusion(asked: np.ndarray, found: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The confusion matrix of labels asked for (rows) and labels found (columns): (rows, columns) int64 counts.

    asked (N,), found (N,): pairs with a label out of range, such as an unknown label, are ignored.
    """
    asked, found = np.asarray(asked, np.int64), np.asarray(found, np.int64)
    known = (asked >= 0) & (asked < rows) & (found >= 0) & (found < columns)
    return np.bincount(asked[known] * columns + found[known], minlength=rows * columns).reshape(rows, columns)


def agreement(asked: np.ndarray, found: np.ndarray, names: Sequence[str]) -> Scores:
    """The agreement of found labels (N,) with the labels asked for (N,); labels of the classes `names`, < 0 if unknown.

    "num": the number of pairs with both labels known; if 0, each share is None.
    "accuracy": the share of these pairs that agree.
    "per_class": for each class, by name, the accuracy on the pairs that ask for it; None if there are none.
    "balanced": the unweighted mean of "per_class".
    "chance": the expected accuracy of found labels with the same frequencies but independent of the labels asked for:
        the sum over classes of (share among labels asked for) * (share among labels found).
    "constant": the accuracy of always finding the class that is asked for most often.
    """
    table = confusion(asked, found, len(names), len(names))
    num, right = int(table.sum()), np.diag(table)
    each, found_each = table.sum(1), table.sum(0)
    shares = [int(r) / int(n) if n else None for r, n in zip(right, each, strict=True)]
    return {
        "num": num,
        "accuracy": int(right.sum()) / num if num else None,
        "balanced": float(np.mean([share for share in shares if share is not None])) if num else None,
        "chance": float((each / num) @ (found_each / num)) if num else None,
        "constant": int(each.max()) / num if num else None,
        "per_class": dict(zip(names, shares, strict=True)),
    }


def best_matching(table: np.ndarray) -> Scores:
    """How well codes that were learnt without labels correspond to classes, from the counts (K, M) of code and class.

    "accuracy": the largest share of the counts that a one-to-one matching of codes and classes covers; if K and M
        differ, some codes or classes are unmatched. "matching": its [code, class] pairs.
    "chance": the mean of that accuracy over 100 random permutations of the codes, from a fixed seed: the accuracy of
        codes with the same frequencies that are independent of the classes.
    "majority": the share that is covered if each code is assigned its most frequent class (purity); it rises with K.
    "bits": the plug-in estimate of the mutual information, which is biased upward by about
        (K - 1)(M - 1) / (2 num ln 2) (Miller 1955). "shared": "bits" over the mean of the two entropies, from 0 to 1;
        0 if both entropies are 0.
    "num": the sum of the counts; if 0, each share is None.
    """
    num = int(table.sum())
    if not num:
        keys = ("accuracy", "chance", "majority", "bits", "shared")
        return {"num": 0, **dict.fromkeys(keys), "matching": []}
    codes, classes = matched(table)
    bits = mutual_information(table)
    entropies = entropy(table.sum(1)) + entropy(table.sum(0))
    return {
        "num": num,
        "accuracy": int(table[codes, classes].sum()) / num,
        "chance": matching_by_chance(table),
        "majority": int(table.max(1).sum()) / num,
        "bits": bits,
        "shared": min(1.0, 2 * bits / entropies) if entropies else 0.0,
        "matching": [[int(code), int(label)] for code, label in zip(codes, classes, strict=True)],
    }


def matched(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The one-to-one matching with the largest sum of a table (K, M): its rows and columns, (min(K, M),) each."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(table, maximize=True)


def matching_by_chance(table: np.ndarray) -> float:
    """The value "chance" of `best_matching` for a table (K, M) of counts."""
    codes, classes = (np.repeat(np.arange(len(sums)), sums) for sums in (table.sum(1), table.sum(0)))
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(PERMUTATIONS):
        drawn = confusion(rng.permutation(codes), classes, *table.shape)
        shares.append(drawn[matched(drawn)].sum() / len(codes))
    return float(np.mean(shares))


def entropy(counts: np.ndarray) -> float:
    """The entropy in bits of the distribution given by counts (K,) with a positive sum."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no negative zero


def mutual_information(table: np.ndarray) -> float:
    """The mutual information in bits of counts (K, M): sum of p(k, m) log2(p(k, m) / (p(k) p(m)))."""
    joint = table / table.sum()
    independent = joint.sum(1, keepdims=True) * joint.sum(0)
    seen = table > 0
    return max(0.0, float((joint[seen] * np.log2(joint[seen] / independent[seen])).sum()))


def classifier_scores(name: str, truth: np.ndarray, found: np.ndarray, names: Sequence[str]) -> Scores:
    """The agreement of a held-out classifier with the true labels of real test examples (N,), with its name."""
    return {"name": name, **agreement(truth, found, names)}


def critic_scores(truth: np.ndarray, found: np.ndarray, names: Sequence[str], categories: int = 0) -> Scores:
    """The error of a critic's class head on real test examples: true labels (N,) and most likely classes `found` (N,).

    categories: 0 if the head learnt from labels, else the number of categories that it learnt without labels. In that
        case the scores are those of `best_matching`, with the "matched_error" of the best one-to-one matching and the
        "majority_error" of assigning each category its most frequent class (Springenberg 2016, section 4, for CatGAN).
    """
    if not categories:
        scores = agreement(truth, found, names)
        return {"error": opposite(scores["accuracy"]), **scores}
    scores = best_matching(confusion(found, truth, categories, len(names)))
    errors = {"matched_error": opposite(scores["accuracy"]), "majority_error": opposite(scores["majority"])}
    return {"categories": categories, **errors, **scores}


def opposite(share: float | None) -> float | None:
    """Return 1 - share; None for None."""
    return None if share is None else 1 - share


def code_scores(
    categories: int,
    num_classes: int,
    samples: tuple[np.ndarray, np.ndarray] | None = None,
    real: tuple[np.ndarray, np.ndarray] | None = None,
    bits: dict[str, float] | None = None,
) -> Scores:
    """How well each categorical code, of `categories` values, corresponds to the classes: a `best_matching` per code.

    samples: the codes (N, C) of generated samples, and the classes (N,) that a classifier predicts for them.
    real: the codes (M, C) that Q predicts for real test examples, and their labels (M,).
    bits: the lower bounds of `InfoMaximising.bounds`, for the codes "category" and "level".
    """
    report: Scores = {"categories": categories}
    for name, pair in (("samples", samples), ("real", real)):
        if pair is not None:
            values, labels = pair
            report[name] = [best_matching(confusion(v, labels, categories, num_classes)) for v in values.T]
    return report if bits is None else {**report, "bits": bits}


def label_report(**sections: Scores | None) -> Scores:
    """The object `labels` of an evaluation: the sections that are not None.

    classifier: `classifier_scores`. conditional: the `agreement` of the labels asked for and the classes that the
    classifier predicts for the samples. critic: `critic_scores`. codes: `code_scores`. Domains may add sections.
    """
    return {name: scores for name, scores in sections.items() if scores is not None}


def table(report: Scores) -> str:
    """A report as text: one paragraph per section, with a table of the classes."""
    judge = report.get("classifier")
    parts = []
    if judge is not None:
        parts.append(
            f"Labels are found by a held-out classifier ({judge['name']}), which is right about "
            f"{percent(judge['accuracy'])} of {judge['num']:,} real test examples (of each class "
            f"{percent(judge['balanced'])} on average; chance {percent(judge['chance'])})"
        )
    if "conditional" in report:
        parts.append(conditional_table(report["conditional"], judge))
    if "critic" in report:
        parts.append(critic_table(report["critic"]))
    if "codes" in report:
        parts.append(code_table(report["codes"]))
    return "\n".join(parts)


def conditional_table(scores: Scores, judge: Scores | None) -> str:
    """The share of samples that have the class asked for, in total and per class, as text."""
    head = (
        f"Conditional samples: {percent(scores['accuracy'])} of {scores['num']:,} are what was asked for "
        f"(chance {percent(scores['chance'])})"
    )
    real = judge["per_class"] if judge is not None else {}
    columns = {"samples": scores["per_class"], **({"real": real} if real else {})}
    return "\n".join([head, *class_rows(columns)])


def class_rows(columns: dict[str, dict[str, float | None]]) -> list[str]:
    """The lines of a table of shares: a row per class, a column per title.

    If there are more than SHOWN classes, only the worst by the first column are shown.
    """
    first = next(iter(columns.values()))
    known = [name for name, share in first.items() if share is not None]
    shown = known if len(known) <= SHOWN else sorted(known, key=lambda name: first[name] or 0)[:SHOWN]
    left_out = len(known) - len(shown)
    rows = [f"  {'class':<24}" + "".join(f"{title:>10}" for title in columns)]
    for name in shown:
        rows.append(f"  {plain(name)[:23]:<24}" + "".join(f"{percent(c.get(name)):>10}" for c in columns.values()))
    return [*rows, f"  and {left_out:,} classes that are better"] if left_out else rows


def critic_table(scores: Scores) -> str:
    """The error of a critic's class head, as text."""
    on = f"of {scores['num']:,} real test examples"
    if "error" in scores:
        return (
            f"The critic's classes: {percent(scores['error'])} {on} are taken for another class "
            f"(by chance {percent(opposite(scores['chance']))}, all for the most frequent class "
            f"{percent(opposite(scores['constant']))})"
        )
    return (
        f"The critic's {scores['categories']} categories, learnt without labels, as classes: "
        f"{percent(scores['matched_error'])} {on} are wrong under the best one-to-one matching "
        f"(by chance {percent(opposite(scores['chance']))}), {percent(scores['majority_error'])} with each category "
        f"taken for its most frequent class; {information(scores)}"
    )


def code_table(scores: Scores) -> str:
    """The correspondence of each categorical code with the classes, and the information about all codes, as text."""
    lines = []
    for key, what in (("samples", "samples, by the classifier"), ("real", "real test examples, as the critic reads")):
        for number, matching in enumerate(scores.get(key, ())):
            lines.append(f"  code {number}, {matching['num']:,} {what}: {above_chance(matching)}")
    how = ", their values matched one to one with the classes as well as can be" if lines else ""
    lines.insert(0, f"Codes{how}:")
    if "bits" in scores:
        parts = ", ".join(f"{value:.2f} bits of the {name} codes" for name, value in scores["bits"].items())
        lines.append(f"  samples tell at least {parts}")
    return "\n".join(lines)


def above_chance(matching: Scores) -> str:
    """The accuracy of a matching of codes and classes, next to chance, as text."""
    if not matching["num"]:
        return "nothing to compare"
    points = 100 * (matching["accuracy"] - matching["chance"])
    chance = f"chance {percent(matching['chance'])}, {points:+.1f} points"
    return f"{percent(matching['accuracy'])} agree ({chance}); {information(matching)}"


def information(matching: Scores) -> str:
    """The mutual information of codes and classes, as text."""
    if not matching["num"]:
        return "nothing to compare"
    return f"{matching['bits']:.2f} bits, {percent(matching['shared'])} of what there is to share"


def percent(share: float | None) -> str:
    """A share as a percentage, or "-" for None."""
    return "-" if share is None else f"{100 * share:.1f}%"
