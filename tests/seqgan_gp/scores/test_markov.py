"""Markov chains: they emit what they have seen, as often as they have seen it."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgan_gp.corpus.joined import JoinedRows
from seqgan_gp.scores import markov, ngrams
from seqgan_gp.scores.markov import MarkovChain, markov_chains
from seqgan_gp.scores.ngrams import Reference
from tests.seqgan_gp.sets import EMOJI, ENGLISH, KOREAN, encode, plain_counts, two_sets, wordnet


def long_pads(length=90):
    """Rows whose last seven or more symbols are padding: every context but the rows' ends is continued."""
    assert max(map(len, ENGLISH)) < length - 7
    return encode(ENGLISH, length)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
def test_a_chain_emits_only_what_it_has_seen(order):
    rows = long_pads()
    sample = MarkovChain(rows, order, 200).sample(400, 120, seed=3)
    assert sample.shape == (400, 120)
    assert sample.dtype == rows.dtype
    seen = plain_counts(rows, order + 1)
    assert plain_counts(sample, order + 1).keys() <= seen.keys()
    if order:
        starts = {tuple(row[:order]) for row in rows.tolist()}
        assert {tuple(row[:order]) for row in sample.tolist()} == starts
    more = plain_counts(sample, order + 2).keys() - plain_counts(rows, order + 2).keys()
    assert more or order == 5, "a shorter context than the chain's order makes new combinations"


def transitions(rows, order):
    """(previous symbols, next) -> how often, with None before the beginning of a line."""
    table = Counter()
    for row in rows.tolist():
        row = [None] * order + row
        table.update((tuple(row[i : i + order]), row[i + order]) for i in range(len(row) - order))
    return table


@pytest.mark.parametrize("order", [0, 1, 3])
def test_transitions_are_as_frequent_as_in_training(order):
    rows = long_pads()
    trained = transitions(rows, order)
    drawn = transitions(MarkovChain(rows, order, 200).sample(3000, 90, seed=1), order)
    of_context, of_drawn = Counter(), Counter()
    for (context, _), number in trained.items():
        of_context[context] += number
    for (context, _), number in drawn.items():
        of_drawn[context] += number
    worst, tested = 0.0, 0
    for (context, symbol), number in trained.items():
        p, n = number / of_context[context], of_drawn[context]
        if p < 1 and n * min(p, 1 - p) > 25:
            worst = max(worst, abs(drawn[context, symbol] - n * p) / math.sqrt(n * p * (1 - p)))
            tested += 1
    assert tested > 25
    assert 0.5 < worst < 4.5  # standard errors


def test_real_lines_score_better_the_longer_the_context():
    rows = encode(wordnet(4000), 32)
    chains = markov_chains(rows, 5, 1 << 7)
    reference = Reference.count(rows, 4, 1 << 7)
    scores = [reference.scores(chains[order].sample(640, 32, seed=0))[4] for order in range(1, 6)]
    assert scores[0] > scores[1] + 0.1 > scores[2] + 0.2
    assert scores[0] > 2 * scores[2]
    floor = reference.scores(rows[::6][:640])[4]
    assert scores[2] > floor - 0.02


def test_sentences_score_better_the_longer_the_context():
    rows = encode(ENGLISH, 32)
    reference = Reference.count(rows, 4, 200)
    first, third = (reference.scores(MarkovChain(rows, k, 200).sample(640, 32, seed=0))[4] for k in (1, 3))
    assert first > third + 0.2


def test_samples_depend_on_the_seed_only():
    chain = MarkovChain(encode(ENGLISH, 32), 2, 200)
    first = chain.sample(50, 32, seed=5)
    assert np.array_equal(first, chain.sample(50, 32, seed=5))
    assert not np.array_equal(first, chain.sample(50, 32, seed=6))
    assert chain.sample(0, 32, seed=5).shape == (0, 32)


@pytest.mark.parametrize("lines", [ENGLISH, KOREAN + EMOJI], ids=["english", "korean, emoji"])
def test_chains_made_together_equal_chains_made_alone(lines):
    rows = encode(lines, 32)
    chains = markov_chains(rows, 5)
    assert list(chains) == [1, 2, 3, 4, 5]
    for order, chain in chains.items():
        assert chain.order == order
        assert np.array_equal(chain.sample(40, 50, seed=9), MarkovChain(rows, order).sample(40, 50, seed=9))


@pytest.mark.parametrize("order", [0, 1, 5, 20])
def test_a_chain_that_was_saved_draws_the_same_lines(tmp_path, order):
    chain = MarkovChain(encode(ENGLISH, 32), order, 200)
    chain.save(tmp_path / "chain.npz")
    loaded = MarkovChain.load(tmp_path / "chain.npz")
    assert loaded.order == order and np.array_equal(loaded.sample(90, 50, seed=3), chain.sample(90, 50, seed=3))


def test_rows_are_counted_where_they_lie():
    """Of rows in several files no copy is made."""

    class Files(JoinedRows):
        def __array__(self, dtype=None, copy=None):
            raise AssertionError("all rows were copied")

    rows = encode(ENGLISH, 32)
    drawn = MarkovChain(Files([rows[:5], rows[5:]]), 3, 200).sample(60, 32, seed=1)
    assert np.array_equal(drawn, MarkovChain(rows, 3, 200).sample(60, 32, seed=1))


def test_two_word_contexts_draw_the_same_lines(monkeypatch):
    rows = encode(ENGLISH, 32)
    one_word = MarkovChain(rows, 5, 200).sample(300, 40, seed=0)
    for module in (ngrams, markov):
        monkeypatch.setattr(module, "symbol_bits", lambda symbols: 21)
    chain = MarkovChain(rows, 5, 200)
    assert chain._levels[5].contexts.dtype == "S16"
    assert np.array_equal(chain.sample(300, 40, seed=0), one_word)


def test_contexts_without_continuation_back_off_one_symbol_at_a_time():
    # (1, 2) only ends a row: then the order-1 context 2 decides, which 1 always follows; (2, 1) is followed by 3.
    rows = np.array([[0, 1, 2], [2, 1, 3]], np.uint8)
    sample = MarkovChain(rows, 2, 4).sample(500, 5, seed=0)
    assert {tuple(row) for row in sample.tolist() if row[0] == 0} == {(0, 1, 2, 1, 3)}
    # (1, 3) and 3 only end rows: any symbol may follow, as often as it occurs.
    after = Counter(row[3] for row in sample.tolist() if row[0] == 2)
    total = sum(after.values())
    for symbol, p in {0: 1 / 6, 1: 1 / 3, 2: 1 / 3, 3: 1 / 6}.items():
        assert abs(after[symbol] - total * p) < 4.5 * math.sqrt(total * p * (1 - p))


@settings(max_examples=30, deadline=None)
@given(two_sets(), st.integers(0, 4))
def test_any_rows_make_a_chain(sets, order):
    rows, _, symbols, _ = sets
    sample = MarkovChain(rows, order, symbols).sample(7, 12, seed=0)
    assert sample.shape == (7, 12)
    assert set(sample.ravel().tolist()) <= set(rows.ravel().tolist())
    assert set(sample[:, 0].tolist()) <= set((rows[:, 0] if order else rows).ravel().tolist())
