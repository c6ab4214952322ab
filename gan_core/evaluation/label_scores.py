"""What a run knows of labels and codes: whether samples are what was asked for, and what a critic's heads have learnt.

A held-out classifier, trained on real examples only, says what a sample shows. No share is given alone: beside it
stand the share by chance, and where it can be had that of real examples.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gan_core.text import plain

PERMUTATIONS = 100  # of the codes, behind what a best matching scores by chance
SHOWN = 12  # classes in a table: the worst ones where there are more

Scores = dict[str, Any]


def confusion(asked: np.ndarray, found: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """How often each label was found where each was asked for: (rows, columns) int64.

    asked (N,), found (N,): pairs in which one is out of range, as unknown labels are, are left out.
    """
    asked, found = np.asarray(asked, np.int64), np.asarray(found, np.int64)
    known = (asked >= 0) & (asked < rows) & (found >= 0) & (found < columns)
    return np.bincount(asked[known] * columns + found[known], minlength=rows * columns).reshape(rows, columns)


def agreement(asked: np.ndarray, found: np.ndarray, names: Sequence[str]) -> Scores:
    """How often what was found (N,) is what was asked for (N,), labels of the classes `names`, negative if unknown.

    "num": pairs with both known; where there are none, each share is None.
    "accuracy": the share of them that agree.
    "per_class": the same of the pairs that asked for each class, by its name; None where none did.
    "balanced": the mean of these shares, each class counting alike.
    "chance": the accuracy of findings as frequent as these that do not depend on what was asked for, the sum over
        classes of their share of what was asked times their share of what was found.
    "constant": the accuracy of always finding the class that was asked for most.
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
    """How well codes name classes that nobody told them of; table (K, M) counts how often code and class go together.

    "accuracy": the largest share of the counts that a one-to-one matching of codes to classes covers; some codes or
        classes stay alone where K and M differ. "matching": its [code, class] pairs.
    "chance": the mean of that accuracy over 100 random permutations of the codes, from a fixed seed: codes that know
        nothing of the classes, of the same frequencies.
    "majority": the share that is covered if each code names its most frequent class (purity), which rises with K.
    "bits": the mutual information of the frequencies, plug-in, which is biased upward by about
        (K - 1)(M - 1) / (2 num ln 2) (Miller 1955). "shared": the same over the mean of the two entropies, from 0 to 1;
        0 where both are 0.
    "num": the sum of the counts; where it is 0, each share is None.
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
    """The rows and the columns of the one-to-one matching of (K, M) with the largest sum, min(K, M) of each."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(table, maximize=True)


def matching_by_chance(table: np.ndarray) -> float:
    """The "chance" of `best_matching`."""
    codes, classes = (np.repeat(np.arange(len(sums)), sums) for sums in (table.sum(1), table.sum(0)))
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(PERMUTATIONS):
        drawn = confusion(rng.permutation(codes), classes, *table.shape)
        shares.append(drawn[matched(drawn)].sum() / len(codes))
    return float(np.mean(shares))


def entropy(counts: np.ndarray) -> float:
    """The entropy in bits of the frequencies that counts (K,) are, their sum positive."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no negative zero


def mutual_information(table: np.ndarray) -> float:
    """In bits, of the joint frequencies that counts (K, M) are: sum of p(k, m) log2(p(k, m) / (p(k) p(m)))."""
    joint = table / table.sum()
    independent = joint.sum(1, keepdims=True) * joint.sum(0)
    seen = table > 0
    return max(0.0, float((joint[seen] * np.log2(joint[seen] / independent[seen])).sum()))


def classifier_scores(name: str, truth: np.ndarray, found: np.ndarray, names: Sequence[str]) -> Scores:
    """Of a held-out classifier on real test examples (N,): what its findings on samples are worth."""
    return {"name": name, **agreement(truth, found, names)}


def critic_scores(truth: np.ndarray, found: np.ndarray, names: Sequence[str], categories: int = 0) -> Scores:
    """Of a critic's class head on real test examples (N,), `found` the likeliest class of each.

    categories: 0 if the critic learnt the classes; how many it tells apart if it learnt them without labels. Then
    there is a "matched_error", of the best one-to-one matching, and a "majority_error", of each category naming its
    most frequent class, as CatGAN is scored (Springenberg 2016, section 4), beside the rest of `best_matching`.
    """
    if not categories:
        scores = agreement(truth, found, names)
        return {"error": opposite(scores["accuracy"]), **scores}
    scores = best_matching(confusion(found, truth, categories, len(names)))
    errors = {"matched_error": opposite(scores["accuracy"]), "majority_error": opposite(scores["majority"])}
    return {"categories": categories, **errors, **scores}


def opposite(share: float | None) -> float | None:
    """1 - share."""
    return None if share is None else 1 - share


def code_scores(
    categories: int,
    num_classes: int,
    samples: tuple[np.ndarray, np.ndarray] | None = None,
    real: tuple[np.ndarray, np.ndarray] | None = None,
    bits: dict[str, float] | None = None,
) -> Scores:
    """What categorical codes, of so many values each, have to do with the classes, one `best_matching` a code.

    samples: the values (N, C) of samples' codes, and what a classifier finds the samples to be (N,).
    real: the values (M, C) that Q reads off real test examples, and their labels (M,).
    bits: of "category" codes and of "level" codes, the lower bound on what samples tell of them, see
        `InfoMaximising.bounds`.
    """
    report: Scores = {"categories": categories}
    for name, pair in (("samples", samples), ("real", real)):
        if pair is not None:
            values, labels = pair
            report[name] = [best_matching(confusion(v, labels, categories, num_classes)) for v in values.T]
    return report if bits is None else {**report, "bits": bits}


def label_report(**sections: Scores | None) -> Scores:
    """The object under `labels` of an evaluation: of the sections those that there are.

    classifier: `classifier_scores`. conditional: the `agreement` of the labels that were asked for and what the
    classifier finds in the samples. critic: `critic_scores`. codes: `code_scores`. Domains may add their own.
    """
    return {name: scores for name, scores in sections.items() if scores is not None}


def table(report: Scores) -> str:
    """A report for people: a paragraph a section, in sentences, and the classes one by one."""
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
    """How many samples are what was asked for, in all and of each class."""
    head = (
        f"Conditional samples: {percent(scores['accuracy'])} of {scores['num']:,} are what was asked for "
        f"(chance {percent(scores['chance'])})"
    )
    real = judge["per_class"] if judge is not None else {}
    columns = {"samples": scores["per_class"], **({"real": real} if real else {})}
    return "\n".join([head, *class_rows(columns)])


def class_rows(columns: dict[str, dict[str, float | None]]) -> list[str]:
    """Lines of a table of shares of each class, by their column; the first column says which classes are worst."""
    first = next(iter(columns.values()))
    known = [name for name, share in first.items() if share is not None]
    shown = known if len(known) <= SHOWN else sorted(known, key=lambda name: first[name] or 0)[:SHOWN]
    left_out = len(known) - len(shown)
    rows = [f"  {'class':<24}" + "".join(f"{title:>10}" for title in columns)]
    for name in shown:
        rows.append(f"  {plain(name)[:23]:<24}" + "".join(f"{percent(c.get(name)):>10}" for c in columns.values()))
    return [*rows, f"  and {left_out:,} classes that are better"] if left_out else rows


def critic_table(scores: Scores) -> str:
    """How often a critic's class head is wrong."""
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
    """What each categorical code tells of the classes, and how much samples tell of all codes."""
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
    """How well codes agree with classes, and how far that is from what chance gives."""
    if not matching["num"]:
        return "nothing to compare"
    points = 100 * (matching["accuracy"] - matching["chance"])
    chance = f"chance {percent(matching['chance'])}, {points:+.1f} points"
    return f"{percent(matching['accuracy'])} agree ({chance}); {information(matching)}"


def information(matching: Scores) -> str:
    """How much codes tell of classes."""
    if not matching["num"]:
        return "nothing to compare"
    return f"{matching['bits']:.2f} bits, {percent(matching['shared'])} of what there is to share"


def percent(share: float | None) -> str:
    """A share for people."""
    return "-" if share is None else f"{100 * share:.1f}%"
