"""Scores of labels and codes against double loops, all permutations and the definitions."""

import json
import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_core.evaluation.label_scores import (
    agreement,
    best_matching,
    classifier_scores,
    code_scores,
    confusion,
    critic_scores,
    label_report,
    matching_by_chance,
    mutual_information,
    table,
)

NAMES = ("trouser", "coat", "bag")
pairs = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 4)), max_size=40)
tables = st.integers(1, 5).flatmap(
    lambda k: st.integers(1, 5).flatmap(
        lambda m: st.lists(st.integers(0, 9), min_size=k * m, max_size=k * m).map(
            lambda counts: np.array(counts).reshape(k, m)
        )
    )
)


def brute_force(counts):
    """The best sum of any one-to-one matching of rows and columns."""
    wide = counts if counts.shape[0] <= counts.shape[1] else counts.T
    return max(sum(wide[i, j] for i, j in enumerate(p)) for p in permutations(range(wide.shape[1]), len(wide)))


def information(counts):
    """H(K) + H(M) - H(K, M) in bits."""
    total = counts.sum()

    def entropy(values):
        return -math.fsum(v / total * math.log2(v / total) for v in values if v)

    return entropy(counts.sum(1)) + entropy(counts.sum(0)) - entropy(counts.ravel()), entropy


@given(pairs)
def test_a_confusion_counts_pairs(drawn):
    asked, found = (np.array([p[i] for p in drawn], np.int16) for i in (0, 1))
    counted = Counter(drawn)
    expected = [[counted[row, column] for column in range(5)] for row in range(4)]
    assert confusion(asked, found, 4, 5).tolist() == expected
    narrow = confusion(asked, found, 2, 3)  # labels out of range are left out, never counted as others
    assert narrow.tolist() == [row[:3] for row in expected[:2]]


@given(pairs)
def test_an_agreement_is_what_a_loop_counts(drawn):
    scores = agreement(*(np.array([min(p[i], 2) for p in drawn], np.int64) for i in (0, 1)), NAMES)
    known = [(min(a, 2), min(b, 2)) for a, b in drawn if a >= 0 and b >= 0]
    assert scores["num"] == len(known) and json.loads(json.dumps(scores)) == scores
    if not known:
        assert {scores[key] for key in ("accuracy", "balanced", "chance", "constant")} == {None}
        return
    assert scores["accuracy"] == pytest.approx(sum(a == b for a, b in known) / len(known))
    every_pair = [a == b for a, _ in known for _, b in known]  # independent: any asked beside any found
    assert scores["chance"] == pytest.approx(sum(every_pair) / len(every_pair))
    assert scores["constant"] == max(Counter(a for a, _ in known).values()) / len(known)
    shares = []
    for label, name in enumerate(NAMES):
        found = [b for a, b in known if a == label]
        assert scores["per_class"][name] == (found.count(label) / len(found) if found else None)
        shares += [found.count(label) / len(found)] if found else []
    assert scores["balanced"] == pytest.approx(sum(shares) / len(shares))


@settings(deadline=None)
@given(tables)
def test_the_best_matching_is_the_best_of_all(counts):
    scores = best_matching(counts)
    assert json.loads(json.dumps(scores)) == scores and scores["num"] == counts.sum()
    if not counts.sum():
        assert scores["accuracy"] is None and scores["matching"] == []
        return
    assert scores["accuracy"] == pytest.approx(brute_force(counts) / counts.sum())
    assert sum(counts[code, label] for code, label in scores["matching"]) == brute_force(counts)
    for side in zip(*scores["matching"], strict=True):
        assert len(set(side)) == len(side) == min(counts.shape)
    assert scores["majority"] == pytest.approx(sum(max(row) for row in counts) / counts.sum())
    assert scores["majority"] >= scores["accuracy"] - 1e-12


@settings(deadline=None)
@given(tables.filter(lambda counts: counts.sum() > 0))
def test_information_is_the_definition(counts):
    bits, entropy = information(counts)
    scores = best_matching(counts)
    assert mutual_information(counts) == pytest.approx(bits, abs=1e-12)
    both = entropy(counts.sum(1)) + entropy(counts.sum(0))
    assert scores["shared"] == pytest.approx(2 * bits / both if both else 0, abs=1e-9)
    assert 0 <= scores["shared"] <= 1


def test_renamed_classes_are_matched_wholly():
    labels = np.random.default_rng(0).integers(0, 6, 600)
    scores = best_matching(confusion((labels * 5 + 3) % 6, labels, 6, 6))
    assert scores["accuracy"] == scores["majority"] == 1 and scores["shared"] == pytest.approx(1)
    assert scores["bits"] == pytest.approx(math.log2(6), abs=0.01)
    assert sorted(scores["matching"]) == sorted([(label * 5 + 3) % 6, label] for label in range(6))


def test_chance_is_the_mean_over_all_orders():
    codes, labels = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2]
    exact = np.mean([brute_force(confusion(np.array(p), np.array(labels), 3, 3)) for p in permutations(codes)]) / len(
        codes
    )
    counts = confusion(np.array(codes), np.array(labels), 3, 3)
    assert matching_by_chance(counts) == matching_by_chance(counts) == pytest.approx(exact, abs=0.05)


def test_codes_that_know_nothing_score_chance():
    rng = np.random.default_rng(1)
    counts = confusion(rng.integers(0, 10, 5000), rng.integers(0, 10, 5000), 10, 10)
    scores = best_matching(counts)
    assert scores["accuracy"] == pytest.approx(scores["chance"], abs=0.01)
    # The plug-in estimate is biased by about (K - 1)(M - 1) / (2 n ln 2) bits.
    assert scores["bits"] == pytest.approx(81 / (2 * 5000 * math.log(2)), rel=0.5)


def test_a_critic_that_learnt_the_classes_has_an_error():
    truth, found = np.array([0, 0, 1, 1, 2, -1]), np.array([0, 1, 1, 1, 0, 2])
    scores = critic_scores(truth, found, NAMES)
    assert (scores["error"], scores["num"]) == (pytest.approx(2 / 5), 5) and "matched_error" not in scores
    assert scores["per_class"] == {"trouser": 0.5, "coat": 1.0, "bag": 0.0}


def test_a_critic_without_labels_is_matched_to_them():
    truth = np.array([0] * 6 + [1] * 6 + [2] * 6)
    found = np.array([4] * 3 + [3] * 3 + [0] * 6 + [1] * 4 + [2] * 2)  # five categories for three classes
    scores = critic_scores(truth, found, NAMES, categories=5)
    assert "error" not in scores and scores["categories"] == 5
    assert scores["matched_error"] == pytest.approx(5 / 18) and scores["majority_error"] == 0
    assert {tuple(pair) for pair in scores["matching"]} >= {(0, 1), (1, 2)}


def test_each_code_is_scored_by_itself():
    rng = np.random.default_rng(2)
    found = rng.integers(0, 3, 300)
    values = np.stack([(found + 1) % 4, rng.integers(0, 4, 300)], 1)
    scores = code_scores(4, 3, (values, found), (values[:9], found[:9]), {"category": 1.5, "level": 0.25})
    assert [m["accuracy"] == 1 for m in scores["samples"]] == [True, False]
    assert scores["real"][1] == best_matching(confusion(values[:9, 1], found[:9], 4, 3))
    assert scores["bits"] == {"category": 1.5, "level": 0.25} and set(code_scores(4, 0)) == {"categories"}


def report():
    truth, found = np.arange(300) % 3, np.where(np.arange(300) % 10, np.arange(300) % 3, 0)
    return label_report(
        classifier=classifier_scores("n-grams", truth, found, NAMES),
        conditional=agreement(truth, np.where(np.arange(300) % 4, truth, 0), NAMES),
        critic=critic_scores(truth, found, NAMES),
        codes=code_scores(3, 3, (truth[:, None], found), None, {"category": 1.25}),
    )


def test_the_report_says_what_each_share_is_worth():
    text = table(report())
    for part in (
        "(n-grams), which is right about 93.3% of 300 real test examples", "of each class 93.3% on average",
        "Conditional samples: 83.3% of 300 are what was asked for (chance 33.3%)",
        "6.7% of 300 real test examples are taken for another class (by chance 66.7%, all for the most frequent class "
        "66.7%)",
        "code 0, 300 samples, by the classifier: 93.3% agree (chance 3",
        "points); 1.", "samples tell at least 1.25 bits of the category",
    ):  # fmt: skip
        assert part in text
    rows = [line.split() for line in text.splitlines()]
    assert ["trouser", "100.0%", "100.0%"] in rows and ["coat", "75.0%", "90.0%"] in rows


def test_only_what_there_is_is_told():
    assert label_report(classifier=None, codes=None) == {} and table({}) == ""
    without = label_report(critic=critic_scores(np.full(4, -1), np.zeros(4), NAMES, categories=2))
    assert "The critic's 2 categories" in table(without) and "nothing to compare" in table(without)
    unlabelled = code_scores(2, 3, (np.zeros((4, 1)), np.full(4, -1)))
    assert "code 0, 0 samples, by the classifier: nothing to compare" in table({"codes": unlabelled})
    assert table({"codes": {"bits": {"level": 0.5}}}).splitlines() == [
        "Codes:",
        "  samples tell at least 0.50 bits of the level codes",
    ]
    unknown = agreement(np.full(4, -1), np.zeros(4), NAMES)
    assert "Conditional samples: - of 0" in table({"conditional": unknown})


def test_many_classes_are_cut_to_the_worst_and_names_are_made_safe():
    names = [f"\x1b[31mclass {i}" for i in range(20)]
    asked = np.repeat(np.arange(20), 20)
    found = np.where(np.tile(np.arange(20), 20) <= asked, asked, (asked + 1) % 20)  # class i: i + 1 of 20 are right
    lines = table({"conditional": agreement(asked, found, names)}).splitlines()
    assert lines[2].split() == ["[31mclass", "0", "5.0%"] and lines[13].split()[2] == "60.0%"
    assert lines[14:] == ["  and 8 classes that are better"] and all(line.isprintable() for line in lines)
