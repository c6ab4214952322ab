"""The judge of lines: what it learns, what it must not see, and how its n-grams are told apart."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_core.errors import DataError
from seqgan_gp.scores import classifier
from seqgan_gp.scores.classifier import SLOTS, NgramClassifier, gram_counts, gram_slots, num_slots
from seqgan_gp.tokenizers.base import PAD
from tests.seqgan_gp.sets import ENGLISH, KOREAN, encode


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 60)


def chains(rng, num, length=16, classes=3):
    """Rows whose symbols are as frequent in every class: class k steps by k + 1, modulo 20."""
    labels = rng.integers(0, classes, num).astype(np.int16)
    start = rng.integers(0, 20, (num, 1))
    return ((start + np.arange(length) * (labels[:, None] + 1)) % 20 + 1).astype(np.uint8), labels


def test_it_learns_what_only_longer_n_grams_tell():
    rng = np.random.default_rng(0)
    rows, labels = chains(rng, 2000)
    test, truth = chains(rng, 500)
    judge = NgramClassifier.fit(rows, labels, 3)
    assert (judge.predict(test) == truth).mean() > 0.98
    assert judge.accuracy(test, truth)["accuracy"] == (judge.predict(test) == truth).mean()
    assert judge.predict(test[:0]).shape == (0,)
    again = NgramClassifier.fit(rows, labels, 3)
    assert np.array_equal(judge.weights, again.weights)


def test_it_is_at_chance_where_labels_mean_nothing():
    rng = np.random.default_rng(1)
    (rows, labels), (test, truth) = chains(rng, 3000), chains(rng, 1500)
    found = NgramClassifier.fit(rows, rng.permutation(labels), 3).accuracy(test, truth)
    assert found["accuracy"] == pytest.approx(1 / 3, abs=0.06)


def test_a_beginning_is_told_from_the_middle():
    rng = np.random.default_rng(2)

    def draw(num):
        labels = rng.integers(0, 2, num)
        rows = rng.integers(3, 20, (num, 12))
        rows[:, 0], rows[:, 6] = 1 + labels, 2 - labels  # both symbols occur once in every row
        return rows, labels

    (rows, labels), (test, truth) = draw(4000), draw(500)
    assert (NgramClassifier.fit(rows, labels, 2).predict(test) == truth).mean() > 0.95


def test_rows_without_a_label_change_nothing():
    rng = np.random.default_rng(3)
    rows, labels = chains(rng, 600)
    noise = rng.integers(1, 21, (600, 16)).astype(np.uint8)
    alone = NgramClassifier.fit(rows, labels, 3)
    beside = NgramClassifier.fit(np.concatenate([rows, noise]), np.concatenate([labels, np.full(600, -1)]), 3)
    assert np.array_equal(alone.weights, beside.weights) and np.array_equal(alone.offset, beside.offset)
    known = alone.accuracy(rows, labels)
    assert alone.accuracy(np.concatenate([rows, noise]), np.concatenate([labels, np.full(600, -1)])) == known


def test_padding_is_never_seen():
    rng = np.random.default_rng(4)
    rows, labels = chains(rng, 1200)
    symbols = rows[rng.permutation(len(rows))]  # what is in a row says nothing of its label: only the padding does
    long = np.pad(symbols, ((0, 0), (0, 16)))
    judge = NgramClassifier.fit(long, labels, 3)
    assert np.array_equal(judge.weights, NgramClassifier.fit(symbols, labels, 3).weights)
    assert np.array_equal(judge.predict(long), judge.predict(symbols))
    after = long.copy()
    after[:, 20:] = rng.integers(1, 20, (1200, 12))  # a sample that goes on after its end
    assert np.array_equal(judge.predict(after), judge.predict(long))


def test_rare_classes_are_not_taken_for_frequent_ones():
    rng = np.random.default_rng(5)

    def draw(num):
        labels = (rng.random(num) < 0.05).astype(np.int16)
        rows = rng.integers(1, 9, (num, 12))
        rows[labels == 1] = rng.integers(1, 6, (labels.sum(), 12)) + rng.integers(0, 4, (labels.sum(), 12))
        return rows, labels

    (rows, labels), held_out = draw(6000), draw(4000)
    judge = NgramClassifier.fit(rows, labels, 2)
    assert judge.offset == pytest.approx(np.log([1 - labels.mean(), labels.mean()]), abs=1e-6)
    even, preferring = (j.accuracy(*held_out) for j in (judge, NgramClassifier(judge.weights, np.zeros(2, np.float32))))
    assert even["balanced"] > preferring["balanced"] + 0.1
    assert even["accuracy"] < preferring["accuracy"] - 0.01


def test_a_class_that_is_not_there_is_never_found():
    rng = np.random.default_rng(6)
    rows, labels = chains(rng, 900, classes=2)
    judge = NgramClassifier.fit(rows, labels * 2, 4)
    assert set(judge.predict(rng.integers(0, 21, (500, 16)))) == {0, 2}


@pytest.mark.parametrize("labels", [[-1, -1, -1], [1, 1, -1], [0, 0, 0]])
def test_one_class_is_nothing_to_learn(labels):
    with pytest.raises(DataError, match="fewer than two classes"):
        NgramClassifier.fit(np.ones((3, 8), np.uint8), np.array(labels, np.int16), 2)


@given(st.lists(st.lists(st.integers(0, 65535) | st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=6))
def test_rows_have_the_n_grams_that_a_loop_finds(drawn):
    rows = np.array(drawn, np.uint16)
    places = gram_slots(rows, SLOTS)
    counts = gram_counts(rows, SLOTS).toarray()
    slot_of = {}
    for row, found, count in zip(drawn, places.tolist(), counts, strict=True):
        text = [PAD, *(row[: row.index(PAD)] if PAD in row else row)]
        grams = Counter(tuple(text[i : i + n]) for n in range(1, 5) for i in range(len(text) - n + 1))
        assert sum(slot > 0 for slot in found) == grams.total() == count.sum() and count[0] == 0
        padded = [PAD, *row]
        windows = [(n, i) for n in range(1, 5) for i in range(len(padded) - n + 1)]
        for (n, i), slot in zip(windows, found, strict=True):
            inside = i + n <= len(text)
            assert (slot > 0) == inside
            if inside:
                assert slot_of.setdefault(tuple(text[i : i + n]), slot) == slot


def test_different_n_grams_mostly_have_different_slots():
    rows = encode(ENGLISH * 2 + KOREAN, 40, pad="\0").astype(np.uint16)
    text = {tuple([0, *row][i : i + n]) for row in rows.tolist() for n in range(1, 5) for i in range(42 - n)}
    inside = {gram for gram in text if 0 not in gram[1:] and gram != (0,)} | {(0,)}
    slots = set(gram_slots(rows, SLOTS).ravel().tolist()) - {0}
    assert len(inside) * 0.97 < len(slots) <= len(inside)
    assert set(gram_slots(rows, 4).ravel().tolist()) == {0, 1, 2, 3}
    for symbol in range(1, 200):  # whatever follows, a beginning is no symbol: BEGIN, s, BEGIN s, s s, BEGIN s s
        assert len(set(gram_slots(np.full((1, 2), symbol), SLOTS)[0])) == 5


@pytest.mark.parametrize("classes, slots", [(2, 1 << 16), (64, 1 << 16), (65, 1 << 15), (1000, 1 << 12), (32767, 128)])
def test_many_classes_have_fewer_slots(classes, slots):
    assert num_slots(classes) == slots


@pytest.mark.parametrize("length", [1, 2, 3])
def test_lines_may_be_shorter_than_the_longest_n_gram(length):
    rows = np.repeat(np.arange(1, 5, dtype=np.uint8)[:, None], length, 1)
    judge = NgramClassifier.fit(rows, np.array([0, 1, 0, 1]), 2)
    assert judge.predict(rows).tolist() == [0, 1, 0, 1]
